"""How a database is reached: connection options, a lock around schema changes, errors in one sentence.

Of six processes that open an empty database at once, most crash: all of them try to create its tables.
`schema_lock` lets one through at a time, on either database; Optuna's tables and ours are created under it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from coref_k8s.errors import StorageError, reason
from coref_k8s.settings import masked_url
from coref_k8s.wording import Message

#: Key of the Postgres advisory lock that guards schema creation; any fixed number of our own.
_LOCK_KEY = 0x636F726566  # "coref"
#: Time to wait for a server to answer a new connection (seconds).
CONNECT_TIMEOUT = 10
#: Time a SQLite writer waits for another one (seconds).
BUSY_TIMEOUT = 60
#: Masks the password of any database URL in a text.
mask = masked_url
#: What drivers say, and what is then to be looked at (`store.check-…`): the first that fits, else the server.
_CHECKS = {
    "schema-rights": ("permission denied for schema", "permission denied to create"),
    "schema": ("no schema has been selected",),
    "rights": ("readonly", "read-only", "permission denied"),
    "slots": ("connection slots", "too many connections", "too many clients"),
    "disk": ("disk is full", "No space left", "disk I/O error"),
    "file": ("not a database", "malformed"),
    "busy": ("database is locked",),
    "certificate": ("certificate",),
}


def parse(url: str) -> URL:
    """Return a SQLAlchemy URL; raise StorageError when it is no SQLite or Postgres one."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # the latter for a port that is no number
        raise StorageError("store.no-url", url=mask(url)) from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise StorageError("store.unsupported", url=mask(url))
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
            raise StorageError("store.folder", folder=path.parent, why=reason(error)) from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _write_ahead(url)
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


def connect(url: str) -> Engine:
    """Return an engine for our tables, which may not be there yet."""
    engine = create_engine(readable_url(url), **engine_options(url))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _sqlite_connection)
    return engine


def exists(url: str) -> bool:
    """Whether there is a database to look into: looking would create a file that is missing."""
    parsed = parse(url)
    return parsed.get_backend_name() != "sqlite" or os.path.isfile(parsed.database or "")


def read_only(url: str) -> bool:
    """Whether this is a file that this process may read and not write, on a read-only volume for one."""
    parsed = parse(url)
    path = Path(parsed.database or "")
    return (
        parsed.get_backend_name() == "sqlite"
        and exists(url)
        and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))
    )


def readable_url(url: str) -> URL:
    """Return the URL to open a database with: SQLite must be told that it may not write beside a file."""
    parsed = parse(url)
    if not read_only(url):
        return parsed
    # without a journal that is not empty nothing can change in it, and SQLite needs no files beside it
    journal = Path(f"{parsed.database}-wal")
    alone = not journal.exists() or not journal.stat().st_size
    query = {"mode": "ro", "uri": "true"} | ({"immutable": "1"} if alone else {})
    return parsed.set(database=f"file:{quote(str(parsed.database))}", query=query)


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Turn the database library's errors into StorageError, without password and without SQL.

    IntegrityError passes: it is an answer (the row exists), not a failure.
    """
    try:
        yield
    except IntegrityError:
        raise
    except SQLAlchemyError as error:
        raise StorageError(
            "store.no-answer", url=mask(url), detail=(detail := cause_of(error)), check=what_to_check(detail)
        ) from None


def cause_of(error: Exception) -> str:
    """Return the first line of what the driver said, without a password; Optuna and SQLAlchemy wrap it."""
    inner: BaseException | None = error
    while inner is not None:
        cause, inner = inner, getattr(inner, "orig", None) or inner.__cause__
    said = str(cause).strip()
    return mask(said.splitlines()[0]) if said else type(cause).__name__


def what_to_check(detail: str) -> Message:
    """Return what whoever reads the driver's words should look at."""
    what = next((name for name, said in _CHECKS.items() if any(words in detail for words in said)), "server")
    return Message.of(f"store.check-{what}")


def _write_ahead(url: str) -> None:
    # Readers then never wait for a writer. The switch needs the file alone and does not wait when it is
    # busy, so it happens under the schema lock; the file stays in this mode.
    engine = create_engine(parse(url), **engine_options(url))
    try:
        with engine.connect() as connection:
            connection.execute(text("PRAGMA journal_mode=WAL"))
    finally:
        engine.dispose()


def _sqlite_connection(connection: Any, _: Any) -> None:
    # NORMAL loses nothing when a process dies; when the machine does, in WAL, the last commits at most
    connection.execute("PRAGMA synchronous=NORMAL")
