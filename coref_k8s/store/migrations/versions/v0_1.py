"""Studies and attempts as release 0.1 made them, before versions were counted."""

import sqlalchemy as sa
from alembic import op

revision = "0.1"
down_revision = None


def upgrade() -> None:
    """Create what is missing: a database of 0.1 has it all."""
    present = sa.inspect(op.get_bind()).get_table_names()
    if "coref_study" not in present:
        op.create_table(
            "coref_study",
            sa.Column("namespace", sa.String(63), primary_key=True),
            sa.Column("name", sa.String(63), primary_key=True),
            sa.Column("spec_json", sa.Text, nullable=False),
            sa.Column("phase", sa.String(16), nullable=False),
            sa.Column("message", sa.Text, nullable=False),
            sa.Column("cancel_requested", sa.Boolean, nullable=False),
            sa.Column("prepared", sa.Text),
            sa.Column("statistics_json", sa.Text),
            sa.Column("created_at", sa.DateTime, nullable=False),
            sa.Column("started_at", sa.DateTime),
            sa.Column("resumed_at", sa.DateTime),
            sa.Column("finished_at", sa.DateTime),
        )
    if "coref_attempt" not in present:
        op.create_table(
            "coref_attempt",
            sa.Column("namespace", sa.String(63), primary_key=True),
            sa.Column("job_name", sa.String(63), primary_key=True),
            sa.Column("study", sa.String(63), nullable=False),
            sa.Column("kind", sa.String(16), nullable=False),
            sa.Column("seq_len", sa.Integer),
            sa.Column("trial", sa.Integer),
            sa.Column("attempt", sa.Integer, nullable=False),
            sa.Column("tier", sa.Integer, nullable=False),
            sa.Column("outcome", sa.String(16), nullable=False),
            sa.Column("reason", sa.String(32), nullable=False),
            sa.Column("message", sa.Text, nullable=False),
            sa.Column("exit_code", sa.Integer),
            sa.Column("retries", sa.Integer, nullable=False),
            sa.Column("disruptions", sa.Integer, nullable=False),
            sa.Column("gpus", sa.Integer, nullable=False),
            sa.Column("gpu_seconds", sa.Float, nullable=False),
            sa.Column("started_at", sa.DateTime),
            sa.Column("finished_at", sa.DateTime),
            sa.Column("node", sa.String(253), nullable=False),
            sa.Column("log_tail", sa.Text, nullable=False),
        )
        op.create_index("ix_coref_attempt_study", "coref_attempt", ["namespace", "study"])
