"""How a database is opened: connection options, a lock around schema creation, masked URLs."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from coref_k8s.errors import StorageError

#: Key of the Postgres advisory lock that guards schema creation; any fixed number of our own.
_LOCK_KEY = 0x636F726566  # "coref"
#: Time to wait for a server to answer a new connection (seconds).
CONNECT_TIMEOUT = 10
#: Time a SQLite writer waits for another one (seconds).
BUSY_TIMEOUT = 60

_SECRET = re.compile(r"(?<=://)([^:/@\s]*):([^@\s]*)@")


def mask(message: str) -> str:
    """Return text with the password of any database URL in it replaced by `***`."""
    return _SECRET.sub(r"\1:***@", message)


def parse(url: str) -> URL:
    """Return a SQLAlchemy URL; raise StorageError when it is no SQLite or Postgres one."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StorageError(
            f"{mask(url)!r} is no database URL; write sqlite:///path or postgresql+psycopg2://…"
        ) from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise StorageError(f"{mask(url)}: only sqlite and postgresql databases are supported; see --storage")
    return parsed


def engine_options(url: str) -> dict[str, Any]:
    """Return the keyword arguments for `create_engine`, the same for Optuna's storage and ours."""
    if parse(url).get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": BUSY_TIMEOUT}}
    # a connection that the server dropped while idle is replaced instead of failing the next statement
    return {
        "pool_pre_ping": True,
        "pool_size": 2,
        "max_overflow": 4,
        "connect_args": {"connect_timeout": CONNECT_TIMEOUT, "application_name": "coref-k8s"},
    }


@contextmanager
def schema_lock(url: str) -> Iterator[None]:
    """Hold a lock over all processes that open this database, while its tables may be created.

    Postgres: a session's advisory lock. SQLite: a lock on a file beside the database, whose folder is
    created when missing. Raises SQLAlchemyError when the server cannot be reached, StorageError when the
    folder cannot be written.
    """
    parsed = parse(url)
    if parsed.get_backend_name() == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            yield
            return
        path = Path(parsed.database).with_suffix(".lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a")
        except OSError as error:
            raise StorageError(
                f"{path.parent}: the database's folder cannot be written ({error.strerror}); choose another"
            ) from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    engine = create_engine(parsed, **engine_options(url))
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK_KEY})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK_KEY})
    finally:
        engine.dispose()
