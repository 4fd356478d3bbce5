"""Opens the Optuna storage: SQLite on one machine, Postgres in a cluster, through the same code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from coref_k8s.errors import StorageError
from coref_k8s.store.engine import (
    cause_of,
    connect,
    engine_options,
    exists,
    mask,
    readable_url,
    schema_lock,
    what_to_check,
)
from coref_k8s.store.schema import version


@contextmanager
def guarded() -> Iterator[None]:
    """Turn what the database or its driver raises into a StorageError of one sentence."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        detail = cause_of(error)
        raise StorageError("search.no-answer", detail=detail, check=what_to_check(detail)) from error


def open_storage(url: str) -> RDBStorage:
    """Open (and on first use create) the schema; safe when many processes do it at once.

    Raises StorageError, with the password masked, when the database cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    where = readable_url(url).render_as_string(hide_password=False)
    try:
        # Optuna creates its tables without a lock: of six processes opening an empty database five crash. The version is
        # the last that it writes.
        with nullcontext() if _created(url) else schema_lock(url):
            return RDBStorage(where, engine_kwargs=engine_options(url))
    except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:
        detail = cause_of(error)
        raise StorageError(
            "store.cannot-be-opened", url=mask(url), detail=detail, check=what_to_check(detail)
        ) from error


def _created(url: str) -> bool:
    if not exists(url):
        return False
    engine = connect(url)
    try:
        return version(engine, "alembic_version") is not None
    finally:
        engine.dispose()
