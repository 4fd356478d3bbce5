"""The version of our tables, and the way there from an older one.

A version is named after the release that brought it, and is a file in `migrations/versions`. Databases from before
versions were counted have the tables of 0.1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Engine, String, column, inspect, select, table
from sqlalchemy.exc import DBAPIError

from coref_k8s import __version__
from coref_k8s.errors import StorageError
from coref_k8s.store.engine import exists, read_only, schema_lock
from coref_k8s.store.tables import metadata, study_table

#: The version that this program reads and writes.
HEAD = "0.2"
#: Where it is noted; Optuna notes its own in `alembic_version`.
VERSION_TABLE = "coref_schema"
#: What Postgres answers to who may not write: insufficient privilege, read-only transaction.
_MAY_NOT_WRITE = ("42501", "25006")


def version(engine: Engine | Connection, name: str = VERSION_TABLE) -> str | None:
    """Return the version that a table notes; None where there is none yet."""
    if not inspect(engine).has_table(name):
        return None
    query = select(column("version_num", String)).select_from(table(name))
    if isinstance(engine, Connection):
        return engine.scalar(query)
    with engine.connect() as connection:
        return connection.scalar(query)


def bring_up_to_date(engine: Engine, url: str) -> None:
    """Create our tables or change them to this version, one process at a time.

    A database that may only be read stays as it is. Raises StorageError when it is of a newer version or empty.
    """
    if exists(url) and (version(engine) == HEAD or (read_only(url) and _has_studies(engine))):
        return
    with schema_lock(url):
        try:
            with engine.begin() as connection:
                if engine.dialect.name == "sqlite":
                    # all or nothing: the driver begins no transaction by itself before a table is changed
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                _upgrade(connection)
        except DBAPIError as error:
            may_not = getattr(error.orig, "pgcode", None) in _MAY_NOT_WRITE
            if not may_not or not _has_studies(engine):
                raise


def _has_studies(engine: Engine) -> bool:
    return inspect(engine).has_table(study_table.name)


def readable(engine: Engine) -> list[Column[Any]]:
    """Return the columns of the studies that a database has; one that may only be read may lack the newest."""
    if version(engine) == HEAD:
        return list(study_table.c)
    present = {one["name"] for one in inspect(engine).get_columns(study_table.name)}
    return [one for one in study_table.c if one.name in present]


def _upgrade(connection: Connection) -> None:
    # imported here: only who finds another version needs it
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    found = version(connection)
    if found is not None and found not in known:
        raise StorageError("store.newer-schema", theirs=found, ours=__version__)
    if not inspect(connection).has_table(study_table.name):
        metadata.create_all(connection)
        command.stamp(config, "head")
    command.upgrade(config, "head")
