"""What was measured of kinds of devices; what a study was expected to take. Only adds: programs of 0.1 go on working."""

import sqlalchemy as sa
from alembic import op

revision = "0.2.1"
down_revision = "0.2"


def upgrade() -> None:
    """Add a table and a column."""
    op.add_column("coref_study", sa.Column("expected_json", sa.Text))
    op.create_table(
        "coref_calibration",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("device", sa.String(253), nullable=False),
        sa.Column("task", sa.String(16), nullable=False),
        sa.Column("measured_at", sa.DateTime, nullable=False),
        sa.Column("key", sa.String(64), nullable=False, unique=True),
        sa.Column("measured_json", sa.Text, nullable=False),
    )
