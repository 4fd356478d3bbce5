"""The version of our tables, and the way there from an older one.

A version is named after the release that brought it, and is a file in `migrations/versions`. Databases from before
versions were counted have the tables of 0.1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import DDL, Column, Connection, Engine, String, column, inspect, select, table, update
from sqlalchemy.exc import DBAPIError

from coref_k8s import __version__
from coref_k8s.errors import StorageError
from coref_k8s.store.engine import exists, read_only, schema_lock
from coref_k8s.store.tables import metadata, study_table

#: The version that this program reads and writes.
HEAD = "0.2.2"
#: The oldest version whose programs can work with these tables. A migration that only adds (columns with a default, a
#: table) leaves it, so that an older program goes on after a rollback; one that takes away or renames sets it to its own.
WORKS_FROM = "0.1"
#: Where both are noted, in `version_num` and `works_from`; Optuna notes its own version in `alembic_version`.
VERSION_TABLE = "coref_schema"
#: What Postgres answers to who may not write: insufficient privilege, read-only transaction.
_MAY_NOT_WRITE = ("42501", "25006")


def version(engine: Engine | Connection, name: str = VERSION_TABLE, noted: str = "version_num") -> str | None:
    """Return the version that a table notes; None where there is none yet."""
    tables = inspect(engine)
    if not tables.has_table(name) or noted not in (one["name"] for one in tables.get_columns(name)):
        return None
    query = select(column(noted, String)).select_from(table(name))
    if isinstance(engine, Connection):
        return engine.scalar(query)
    with engine.connect() as connection:
        return connection.scalar(query)


def bring_up_to_date(engine: Engine, url: str) -> None:
    """Create our tables or change them to this version, one process at a time.

    A database that may only be read stays as it is, and so does one of a newer version that this program can work with.
    Raises StorageError when it cannot, and when a database that may only be read is empty.
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
        if version(connection, noted="works_from") in known:
            return
        raise StorageError("store.newer-schema", theirs=found, ours=__version__)
    if not inspect(connection).has_table(study_table.name):
        metadata.create_all(connection)
        command.stamp(config, "head")
    command.upgrade(config, "head")
    if version(connection, noted="works_from") is None:
        connection.execute(DDL(f"ALTER TABLE {VERSION_TABLE} ADD COLUMN works_from VARCHAR(32)"))
    connection.execute(update(table(VERSION_TABLE, column("works_from"))).values(works_from=WORKS_FROM))
