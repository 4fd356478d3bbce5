"""Opens the Optuna storage: SQLite on one machine, Postgres in a cluster, through the same code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from coref_k8s.errors import StorageError
from coref_k8s.store.engine import engine_options, mask, schema_lock, what_to_check

#: Part of a length's trials that are its finalists' runs.
FINALISTS = "finalists"


def optuna_study_name(namespace: str, study: str, seq_len: int, part: str = "") -> str:
    """Return the name of one length's Optuna study: `[namespace/]study/length[/part]`."""
    parts = [namespace, study, str(seq_len), part]
    return "/".join(name for name in parts if name)


@contextmanager
def guarded() -> Iterator[None]:
    """Turn what the database or its driver raises into a StorageError of one sentence."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ or error
        raise StorageError(f"the database does not answer: {mask(str(cause).splitlines()[0])}") from error


def open_storage(url: str) -> RDBStorage:
    """Open (and on first use create) the schema; safe when many processes do it at once.

    Raises StorageError, with the password masked, when the database cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        # Optuna creates its tables without a lock: of six processes opening an empty database five crash
        with schema_lock(url):
            return RDBStorage(url, engine_kwargs=engine_options(url))
    except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:
        reason = mask(str(error.__cause__ or error).splitlines()[0])
        raise StorageError(
            f"{mask(url)}: the database cannot be opened ({reason}); {what_to_check(reason)}"
        ) from error
