"""Whoever works in a folder has a token, which another takes over (`coref_k8s.store.fence`). Older programs take none."""

import sqlalchemy as sa
from alembic import op

revision = "0.2.2"
down_revision = "0.2.1"


def upgrade() -> None:
    """Add the table of tokens."""
    op.create_table(
        "coref_fence",
        sa.Column("token", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("study", sa.String(63), nullable=False),
        sa.Column("folder", sa.String(255), nullable=False),
        sa.Column("study_uid", sa.String(63), nullable=False),
        sa.Column("trial", sa.Integer),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.UniqueConstraint("namespace", "folder", name="ux_coref_fence"),
        sqlite_autoincrement=True,
    )
