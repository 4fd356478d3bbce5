"""Databases of other versions: older ones are brought up to date, newer ones and unreadable studies are told of."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from coref_k8s.errors import RequestError, StorageError
from coref_k8s.search.records import TrialState
from coref_k8s.search.storage import open_storage
from coref_k8s.search.trials import delete_trials, read_trials
from coref_k8s.store import AttemptRecord, Outcome, Phase, Store
from coref_k8s.store.schema import HEAD, version
from coref_k8s.store.tables import metadata
from coref_k8s.study.names import Kind
from coref_k8s.study.spec import LimitsSpec, StudySpec

#: What the code of 0.1 (539aeae) wrote: studies `a` (ended, with a finalist) and `a-finalist` (not begun).
OLD = Path(__file__).parent / "databases"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> str:
    return new_database(request.param)


@pytest.fixture
def old(url: str) -> str:
    load(url)
    return url


def load(url: str) -> None:
    parsed = make_url(url)
    script = (OLD / f"0.1.{parsed.get_backend_name()}.sql").read_text(encoding="utf-8")
    if parsed.get_backend_name() == "sqlite":
        with sqlite3.connect(str(parsed.database)) as file:
            file.executescript(script)
        file.close()
        return
    with psycopg2.connect(url.replace("+psycopg2", "")) as server, server.cursor() as cursor:
        cursor.execute(script)
    server.close()


def execute(url: str, *statements: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def noted(url: str) -> str | None:
    engine = create_engine(url)
    try:
        return version(engine)
    finally:
        engine.dispose()


def check_contents(url: str) -> None:
    store = Store(url)
    a, other = store.list_studies("lab")
    assert (a.name, a.phase, str(a.message)) == (
        "a", Phase.SUCCEEDED, "stopped after 60 s, as limits.maxDuration says",
    )  # fmt: skip
    assert (a.spec.seq_lengths, a.prepared, a.version) == ((512,), "prepared/abc", "")
    assert (other.name, other.phase, other.problem, other.not_understood) == (
        "a-finalist",
        Phase.PENDING,
        *[other.problem] * 2,
    )
    attempts = store.attempts("lab", "a", logs=True)
    assert sorted((one.job_name, one.kind.value, one.outcome.value) for one in attempts) == [
        ("a-512-0-1", "trial", "succeeded"),
        ("a-512-1-1", "trial", "failed"),
        ("a-finalist-512-0-1", "finalist", "succeeded"),
        ("a-prepare-1", "prepare", "succeeded"),
        ("a-verdict-512-1", "verdict", "succeeded"),
    ]
    assert [one.log_tail for one in attempts if one.outcome is Outcome.FAILED] == ["끝"]
    store.close()
    best, failed = read_trials(open_storage(url), "a", 512, "lab")
    assert (best.value, best.metrics["coref_f1"], failed.state) == (0.5, 0.4, TrialState.FAILED)
    assert str(failed.reason) == "Crashed (exit code 1)"


def check_may_only_be_read(url: str) -> None:
    check_contents(url)
    store = Store(url)
    for write in (
        lambda: store.update_spec("lab", "a", StudySpec()),
        lambda: store.set_phase("lab", "a", Phase.FAILED),
        lambda: store.create_study("lab", "b", StudySpec()),
    ):
        with pytest.raises(StorageError, match="may only be read here"):
            write()
    with pytest.raises(StorageError, match="may only be read here"):
        delete_trials(open_storage(url), "a", "lab")
    store.close()


def test_a_database_of_0_1_is_brought_up_to_date(old: str) -> None:
    check_contents(old)
    assert noted(old) == HEAD
    check_contents(old)


def test_the_finalist_of_one_study_and_the_trial_of_another_are_two_attempts(old: str) -> None:
    store = Store(old)
    trial = AttemptRecord(
        "a-finalist-512-0-1", Kind.TRIAL, 512, 0, attempt=1, tier=0, outcome=Outcome.FAILED, gpu_seconds=5
    )
    store.record_attempt("lab", "a-finalist", trial)
    store.record_attempt("lab", "a-finalist", trial)
    assert sum(one.gpu_seconds for one in store.attempts("lab", "a")) == 180
    assert store.attempts("lab", "a-finalist") == [trial]
    store.close()


def test_a_program_of_0_1_goes_on_after_a_rollback(old: str) -> None:
    Store(old).close()
    # what it writes, in its own words
    execute(
        old,
        "INSERT INTO coref_study (namespace, name, spec_json, phase, message, cancel_requested, created_at) "
        "VALUES ('lab', 'late', '{}', 'Pending', '', false, '2026-01-03')",
        "DELETE FROM coref_attempt WHERE namespace = 'lab' AND job_name = 'late-prepare-1'",
        "INSERT INTO coref_attempt (namespace, job_name, study, kind, attempt, tier, outcome, reason, message, "
        "retries, disruptions, gpus, gpu_seconds, node, log_tail) "
        "VALUES ('lab', 'late-prepare-1', 'late', 'prepare', 1, 0, 'failed', '', 'words', 0, 0, 0, 0, '', '')",
    )
    store = Store(old)
    assert store.get_study("lab", "late").spec == StudySpec()
    assert [str(one.message) for one in store.attempts("lab", "late")] == ["words"]
    store.close()


@pytest.mark.filterwarnings("ignore:.*expression-based index")  # which SQLite does not tell of
def test_migrations_make_the_tables_that_the_code_knows(old: str) -> None:
    Store(old).close()
    engine = create_engine(old)
    with engine.connect() as connection:
        ours = {"include_name": lambda name, kind, _: kind != "table" or name in metadata.tables}
        context = MigrationContext.configure(connection, opts=ours)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_a_migration_happens_wholly_or_not_at_all(old: str) -> None:
    execute(old, "CREATE INDEX ux_coref_attempt ON coref_study (phase)")  # in the way of the last step
    with pytest.raises(StorageError, match="ux_coref_attempt"):
        Store(old)
    assert noted(old) is None
    execute(old, "DROP INDEX ux_coref_attempt")
    check_contents(old)


OPEN = """
import sys, time
from coref_k8s.store import Store
import alembic.command, alembic.script
time.sleep(max(0.0, float(sys.argv[2]) - time.time()))
print(len(Store(sys.argv[1]).list_studies()))
"""


def test_six_processes_may_open_an_old_database_at_once(old: str) -> None:
    start = time.time() + 4
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, old, str(start)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out.strip()) == (0, "2"), err
    check_contents(old)


def test_a_newer_database_is_answered_in_one_sentence(url: str) -> None:
    Store(url).close()
    execute(url, "UPDATE coref_schema SET version_num = '0.9', works_from = '0.8'")
    with pytest.raises(
        StorageError, match=r"written by coref-k8s 0\.9 or newer, this is \d.*; upgrade"
    ) as error:
        Store(url)
    assert "0.9" in error.value.message.say("ko")


def test_a_database_to_which_a_newer_version_only_added_is_used_after_a_rollback(url: str) -> None:
    Store(url).close()
    execute(
        url,
        "ALTER TABLE coref_study ADD COLUMN colour VARCHAR(16) NOT NULL DEFAULT 'red'",
        f"UPDATE coref_schema SET version_num = '0.9', works_from = '{HEAD}'",
    )
    store = Store(url)
    store.create_study("lab", "s", StudySpec())
    assert [(one.name, one.phase) for one in store.list_studies()] == [("s", Phase.PENDING)]
    assert noted(url) == "0.9"
    store.close()


def test_one_unreadable_study_hides_no_other(old: str) -> None:
    newer = json.dumps({"seqLengths": [512], "trials": 3, "search": {"foresight": 2}, "colour": "red"})
    Store(old).close()
    execute(
        old,
        "UPDATE coref_study SET spec_json = 'null', version = '0.9' WHERE name = 'a'",
        "UPDATE coref_study SET phase = 'Paused' WHERE name = 'a-finalist'",
        "INSERT INTO coref_study (namespace, name, spec_json, phase, message, cancel_requested, created_at, version) "
        f"VALUES ('lab', 'new', '{newer}', 'Pending', '', false, '2026-01-03', '0.9')",
    )
    store = Store(old)
    broken, paused, new = store.list_studies()
    assert "written by coref-k8s 0.9, this is" in str(broken.problem)
    with pytest.raises(StorageError, match=r"'a' cannot be read.*coref-k8s delete a"):
        _ = broken.spec
    assert (paused.phase, bool(paused.problem)) == (Phase.UNKNOWN, False)
    assert "phase that this version does not know" in str(paused.not_understood)
    assert (new.spec.trials, bool(new.problem)) == (3, False)
    assert "search.foresight and colour" in str(new.not_understood) or "colour and search.foresight" in str(
        new.not_understood
    )
    store.update_spec("lab", "new", new.spec.model_copy(update={"trials": 4}))
    again = store.get_study("lab", "new")
    assert (again.spec.trials, again.unknown) == (4, new.unknown)
    delete_trials(open_storage(old), "a", "lab")
    store.delete_study("lab", "a")
    assert [one.name for one in store.list_studies()] == ["a-finalist", "new"]
    store.close()


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_what_cannot_be_read_back_is_not_stored(url: str, number: float) -> None:
    store = Store(url)
    limits = LimitsSpec.model_construct(**{**dict(LimitsSpec()), "max_duration": number})
    with pytest.raises(RequestError, match="finite numbers"):
        store.create_study("", "s", StudySpec.model_construct(**{**dict(StudySpec()), "limits": limits}))
    assert store.list_studies() == []
    store.close()


READ = """
import os, sys
import alembic.command, alembic.script, alembic.runtime.migration, alembic.ddl, optuna, sqlalchemy.dialects.sqlite
sys.path.insert(0, sys.argv[2])
from tests.store.test_versions import check_may_only_be_read
from coref_k8s.wording import codes
list(codes())  # all is read that this user could not read
os.setgid(65534); os.setuid(65534)
check_may_only_be_read(sys.argv[1])
"""


@pytest.mark.parametrize("state", ["old", "new", "open"])
def test_a_finished_study_is_read_where_nothing_may_be_written(state: str) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # others cannot look into tmp_path
        read_what_may_not_be_written(Path(folder), state)


def read_what_may_not_be_written(folder: Path, state: str) -> None:
    path = folder / "coref.db"
    url = f"sqlite:///{path}"
    load(url)
    writer = Store(url) if state == "open" else None
    if state == "new":
        check_contents(url)
    before = path.read_bytes()
    path.chmod(0o444)
    folder.chmod(0o555)
    check_read_only(url)
    assert path.read_bytes() == before
    if writer is not None:
        writer.close()


def check_read_only(url: str) -> None:
    """Read it in a process that may not write: root may write everything."""
    if os.geteuid():
        check_may_only_be_read(url)
        return
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", READ, url, root], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("migrated", [False, True])
def test_a_finished_study_is_read_by_a_role_that_may_not_write(postgres_url: str, migrated: bool) -> None:
    load(postgres_url)
    role = f"reader_{make_url(postgres_url).database}"
    execute(
        postgres_url, f"CREATE ROLE {role} LOGIN", f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
    )
    if migrated:
        Store(postgres_url).close()
        execute(postgres_url, f"GRANT SELECT ON coref_schema TO {role}")
    check_may_only_be_read(make_url(postgres_url).set(username=role).render_as_string(hide_password=False))
    assert noted(postgres_url) == (HEAD if migrated else None)
