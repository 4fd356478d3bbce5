"""The store behaves the same on SQLite and on Postgres."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from threading import Barrier

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from coref_k8s.errors import NotFoundError, RequestError, StorageError
from coref_k8s.sizing.calibration import Calibration
from coref_k8s.store import AttemptRecord, Outcome, Phase, Store
from coref_k8s.study.names import Kind
from coref_k8s.study.spec import LimitsSpec, Range, SearchSpec, StudySpec
from coref_k8s.wording import NOTHING, Message
from tests.postgres import Server

SPEC = StudySpec(
    seq_lengths=(512, 1024),
    trials=3,
    search=SearchSpec(space_by_length={512: {"learning_rate": Range(low=1e-5, high=1e-4, log=True)}}),
    limits=LimitsSpec(max_duration=10),
)

AGAIN = Message.of("search.no-finalist-any-more", why=Message.verbatim("말"))


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> str:
    return new_database(request.param)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(url: str, clock: Clock) -> Store:
    store = Store(url, clock=clock)
    yield store
    store.close()


def attempt(name: str = "s-512-0-1", **changes: object) -> AttemptRecord:
    values: dict[str, object] = {
        "job_name": name,
        "kind": Kind.TRIAL,
        "seq_len": 512,
        "trial": 0,
        "attempt": 1,
        "tier": 0,
        "outcome": Outcome.FAILED,
        "reason": "Crashed",
        "message": Message.verbatim("exit code 1"),
        "exit_code": 1,
        "gpus": 2,
        "gpu_seconds": 12.5,
        "started_at": datetime(2026, 1, 1, tzinfo=UTC),
        "log_tail": "끝",
    }
    return AttemptRecord(**{**values, **changes})


MEASURED = Calibration(
    device="card", gpu=True, memory=2**35, threads=0, driver="1", versions={}, model="m", task="mentions", precision="bf16",
    asked="auto", shape={}, measured_at=datetime(2026, 11, 30, tzinfo=UTC),
)  # fmt: skip


def test_a_study_comes_back_as_it_was_put_in(store: Store, clock: Clock) -> None:
    store.create_study("team", "s", SPEC)
    study = store.get_study("team", "s")
    assert study.spec == SPEC
    assert (study.phase, study.message, study.cancel_requested) == (Phase.PENDING, NOTHING, False)
    assert study.created_at == study.resumed_at == clock.now
    assert (study.started_at, study.finished_at, study.prepared, study.statistics) == (None, None, None, {})
    assert not study.ended


def test_a_name_is_taken_once_per_namespace(store: Store) -> None:
    store.create_study("a", "s", SPEC)
    store.create_study("b", "s", SPEC)
    with pytest.raises(RequestError, match=r"exists already.*resume s"):
        store.create_study("a", "s", SPEC)
    with pytest.raises(RequestError, match="not a DNS label"):
        store.create_study("a", "No Label", SPEC)
    assert [(s.namespace, s.name) for s in store.list_studies()] == [("a", "s"), ("b", "s")]
    assert [s.namespace for s in store.list_studies("b")] == ["b"]


def test_an_unknown_study_is_named_with_the_closest(store: Store) -> None:
    store.create_study("", "korean-long", SPEC)
    with pytest.raises(NotFoundError, match="did you mean 'korean-long'"):
        store.get_study("", "korean-lang")
    with pytest.raises(NotFoundError, match="coref-k8s list"):
        store.get_study("", "zzz")
    for change in (store.request_cancel, store.resume):
        with pytest.raises(NotFoundError):
            change("", "zzz")


def test_phases_set_start_and_end_and_resume_clears_the_end(store: Store, clock: Clock) -> None:
    begin = clock.now
    store.create_study("", "s", SPEC)
    for minutes, phase in enumerate((Phase.PREPARING, Phase.RUNNING, Phase.FAILED), start=1):
        clock.now = begin + timedelta(minutes=minutes)
        store.set_phase("", "s", phase, Message.of("store.x", n=3))
    study = store.get_study("", "s")
    assert study.started_at == begin + timedelta(minutes=1)
    assert study.finished_at == begin + timedelta(minutes=3)
    assert study.ended
    assert study.message == Message.of("store.x", n=3)
    store.request_cancel("", "s")
    clock.now = begin + timedelta(minutes=9)
    store.resume("", "s")
    study = store.get_study("", "s")
    assert (study.phase, study.cancel_requested, study.finished_at) == (Phase.PENDING, False, None)
    assert study.resumed_at == clock.now
    assert study.started_at == begin + timedelta(minutes=1)


def test_prepared_data_are_noted_relative_to_the_data_root(store: Store) -> None:
    store.create_study("", "s", SPEC)
    store.set_prepared("", "s", "prepared/abc", {"documents": 3})
    study = store.get_study("", "s")
    assert (study.prepared, study.statistics) == ("prepared/abc", {"documents": 3})
    with pytest.raises(RequestError, match="relative to the data root"):
        store.set_prepared("", "s", "/prepared/abc", {})


def test_the_request_can_be_replaced(store: Store) -> None:
    store.create_study("", "s", SPEC)
    more = SPEC.model_copy(update={"trials": 30})
    store.update_spec("", "s", more)
    assert store.get_study("", "s").spec == more


def test_writing_an_attempt_twice_keeps_one(store: Store) -> None:
    store.create_study("", "s", SPEC)
    store.record_attempt("", "s", attempt())
    store.record_attempt("", "s", attempt(message=AGAIN))
    assert store.attempts("", "s", logs=True) == [attempt(message=AGAIN)]
    assert store.attempts("", "s") == [attempt(message=AGAIN, log_tail="")]


def test_attempts_are_found_by_length_and_trial(store: Store) -> None:
    store.create_study("", "s", SPEC)
    store.record_attempt("", "s", attempt("s-512-0-2", attempt=2))
    store.record_attempt("", "s", attempt("s-512-0-1"))
    store.record_attempt("", "s", attempt("s-1024-0-1", seq_len=1024))
    store.record_attempt("", "s", attempt("s-512-1-1", trial=1))
    store.record_attempt("", "s", attempt("s-prepare-1", kind=Kind.PREPARE, seq_len=None, trial=None))
    store.record_attempt("", "other", attempt("other-512-0-1"))
    assert len(store.attempts("", "s")) == 5
    assert [a.job_name for a in store.attempts("", "s", seq_len=512, trial=0)] == ["s-512-0-1", "s-512-0-2"]
    assert [a.job_name for a in store.attempts("", "s", seq_len=1024)] == ["s-1024-0-1"]


def test_the_end_of_a_log_is_cut_at_a_whole_character(store: Store) -> None:
    store.create_study("", "s", SPEC)
    store.record_attempt("", "s", attempt(log_tail="x" * 10 + "한" * 3000 + "\0끝"))
    kept = store.attempts("", "s", logs=True)[0].log_tail
    assert len(kept.encode()) <= 4096
    assert kept.endswith("한끝")
    assert kept.strip("한") == "끝"


def test_times_come_back_in_utc_whatever_zone_they_had(store: Store) -> None:
    seoul = timezone(timedelta(hours=9))
    store.create_study("", "s", SPEC)
    store.record_attempt("", "s", attempt(started_at=datetime(2026, 1, 1, 9, tzinfo=seoul)))
    started = store.attempts("", "s")[0].started_at
    assert started == datetime(2026, 1, 1, 0, tzinfo=UTC)
    assert started.utcoffset() == timedelta(0)


def test_deleting_a_study_takes_its_attempts_along_and_no_others(store: Store) -> None:
    for name in ("s", "t"):
        store.create_study("", name, SPEC)
        store.record_attempt("", name, attempt(f"{name}-512-0-1"))
    store.delete_study("", "s")
    store.delete_study("", "s")
    assert [s.name for s in store.list_studies()] == ["t"]
    assert store.attempts("", "s") == []
    assert len(store.attempts("", "t")) == 1


OPEN = """
import sys, time
from coref_k8s.store import Store
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import NOTHING, Message
url, name, start = sys.argv[1], sys.argv[2], float(sys.argv[3])
time.sleep(max(0.0, start - time.time()))
store = Store(url)
store.create_study("", name, StudySpec())
print(len(store.list_studies()) > 0)
"""


def test_six_processes_may_open_an_empty_database_at_once(url: str) -> None:
    import time

    # all of them have imported everything by then, so they really meet
    start = time.time() + 4
    command = [sys.executable, "-c", OPEN, url]
    processes = [
        subprocess.Popen(
            [*command, f"s{i}", str(start)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for i in range(6)
    ]
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out.strip()) == (0, "True"), err
    assert len(Store(url).list_studies()) == 6


def test_of_two_that_measure_the_same_at_once_one_row_is_kept(url: str) -> None:
    stores, together = [Store(url) for _ in range(4)], Barrier(4)

    def keep(store: Store) -> None:
        for number in range(8):  # of each kind of device all four are first
            together.wait(60)
            store.keep_calibration(replace(MEASURED, device=f"card {number}"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(keep, stores))
    assert sorted(one.device for one in stores[0].calibrations()) == [f"card {number}" for number in range(8)]
    for store in stores:
        store.close()


def test_a_database_that_is_away_is_one_sentence_without_the_password(tmp_path) -> None:
    with pytest.raises(StorageError) as error:
        Store("postgresql+psycopg2://coref:secret-word@127.0.0.1:1/x")
    assert "secret-word" not in str(error.value)
    assert "coref:***@127.0.0.1" in str(error.value)
    assert "\n" not in str(error.value)
    folder = tmp_path / "file"
    folder.write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot be (made|written)"):
        Store(f"sqlite:///{folder}/coref.db")


def test_a_file_that_is_no_database_is_refused(tmp_path) -> None:
    path = tmp_path / "coref.db"
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(StorageError, match="not a database"):
        Store(f"sqlite:///{path}")


@pytest.mark.parametrize(
    ("made", "query", "hint"),
    [
        ("", "", "grant it USAGE and CREATE on the schema"),
        ("", "?options=-csearch_path%3Dnowhere", "the schema that search_path names does not exist"),
        ("ALTER ROLE {role} CONNECTION LIMIT 0", "", "all its connections are in use"),
        ("ALTER ROLE {role} SET default_transaction_read_only = on", "", "it may only be read here"),
    ],
)
def test_what_a_role_may_not_do_is_said_with_what_to_do(
    postgres_server: Server, made: str, query: str, hint: str
) -> None:
    url = make_url(postgres_server.new_database())
    role = f"weak_of_{url.database}"
    owner = create_engine(url, isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
        if made:
            connection.execute(text(made.format(role=role)))
    owner.dispose()
    weak = url.set(username=role).render_as_string(hide_password=False) + query
    with pytest.raises(StorageError, match=re.escape(hint)) as error:
        Store(weak)
    assert "secret-word" not in str(error.value)


def test_a_restarted_database_is_used_again(postgres_server: Server) -> None:
    store = Store(postgres_server.new_database())
    store.create_study("", "s", SPEC)
    postgres_server.stop()
    with pytest.raises(StorageError):
        store.list_studies()
    postgres_server.start()
    assert [s.name for s in store.list_studies()] == ["s"]
    store.close()
