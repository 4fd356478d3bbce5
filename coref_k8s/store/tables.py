"""The tables, as `migrations/` makes them. Columns are only ever added, with a default: an older program keeps working."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from coref_k8s import __version__


class UtcDateTime(TypeDecorator[datetime]):
    """Timezone-aware in Python, naive UTC in the database: SQLite has no zones, Postgres sessions have their own."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Drop the zone after converting to UTC."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Put UTC back."""
        return None if value is None else value.replace(tzinfo=UTC)


metadata = MetaData()

study_table = Table(
    "coref_study",
    metadata,
    Column("namespace", String(63), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("spec_json", Text, nullable=False),
    Column("phase", String(16), nullable=False),
    Column("message", Text, nullable=False, default=""),
    Column("cancel_requested", Boolean, nullable=False, default=False),
    Column("prepared", Text),
    Column("statistics_json", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("resumed_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("version", String(32), nullable=False, default=__version__, server_default=""),
    Column("expected_json", Text),
)

attempt_table = Table(
    "coref_attempt",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("namespace", String(63), nullable=False),
    Column("job_name", String(63), nullable=False),
    Column("study", String(63), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("seq_len", Integer),
    Column("trial", Integer),
    Column("attempt", Integer, nullable=False),
    Column("tier", Integer, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reason", String(32), nullable=False, default=""),
    Column("message", Text, nullable=False, default=""),
    Column("exit_code", Integer),
    Column("retries", Integer, nullable=False, default=0),
    Column("disruptions", Integer, nullable=False, default=0),
    Column("gpus", Integer, nullable=False, default=0),
    Column("gpu_seconds", Float, nullable=False, default=0.0),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("node", String(253), nullable=False, default=""),
    Column("log_tail", Text, nullable=False, default=""),
)

#: What an attempt is known by. NULLs would all be different: preparation has no length, a verdict no trial.
attempt_key = {
    name: func.coalesce(attempt_table.c[name], -1)
    if attempt_table.c[name].nullable
    else attempt_table.c[name]
    for name in ("namespace", "study", "kind", "seq_len", "trial", "attempt")
}
Index("ux_coref_attempt", *attempt_key.values(), unique=True)

calibration_table = Table(
    "coref_calibration",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("device", String(253), nullable=False),
    Column("task", String(16), nullable=False),
    Column("measured_at", UtcDateTime, nullable=False),
    Column("key", String(64), nullable=False, unique=True),
    Column("measured_json", Text, nullable=False),
)

#: Who may write in a folder of work: the process with this token, until another begins there. Tokens are never used again.
fence_table = Table(
    "coref_fence",
    metadata,
    Column("token", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("namespace", String(63), nullable=False),
    Column("study", String(63), nullable=False),
    Column("folder", String(255), nullable=False),
    Column("study_uid", String(63), nullable=False),
    Column("trial", Integer),
    Column("attempt", Integer, nullable=False),
    UniqueConstraint("namespace", "folder", name="ux_coref_fence"),
    sqlite_autoincrement=True,
)
