"""Attempts are known by what they were attempts at, not by the name of their Job; studies note who wrote them.

Study `a`'s finalist 0 and study `a-finalist`'s trial 0 had Jobs of one name, so one deleted the other's attempt.
Programs of 0.1 go on working with these tables, as they do after a rollback.
"""

import sqlalchemy as sa
from alembic import op

revision = "0.2"
down_revision = "0.1"


def upgrade() -> None:
    """Give the attempts a key of their own."""
    op.add_column("coref_study", sa.Column("version", sa.String(32), nullable=False, server_default=""))
    op.drop_index("ix_coref_attempt_study", "coref_attempt")
    if op.get_bind().dialect.name == "postgresql":
        # in place, so that what others may do with the table stays as it is
        op.execute(
            "ALTER TABLE coref_attempt DROP CONSTRAINT coref_attempt_pkey, ADD COLUMN id SERIAL PRIMARY KEY"
        )
    else:
        _copy_with_id("coref_attempt")
    # two NULLs are different to a unique index: preparation has no length, a verdict no trial
    unit = [sa.text("coalesce(seq_len, -1)"), sa.text("coalesce(trial, -1)")]
    key: list[str | sa.TextClause] = ["namespace", "study", "kind", *unit, "attempt"]
    op.create_index("ux_coref_attempt", "coref_attempt", key, unique=True)


def _copy_with_id(name: str) -> None:
    """Move the rows to a new table: SQLite cannot change a primary key."""
    old = sa.Table(name, sa.MetaData(), autoload_with=op.get_bind())
    columns = [sa.Column(one.name, one.type, nullable=one.nullable) for one in old.columns]
    new = op.create_table(f"{name}_new", sa.Column("id", sa.Integer, primary_key=True), *columns)
    op.get_bind().execute(new.insert().from_select([one.name for one in old.columns], sa.select(old)))
    op.drop_table(name)
    op.rename_table(f"{name}_new", name)
