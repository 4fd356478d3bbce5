"""Of all who began the same work the newest alone writes, whatever happens to the others, on SQLite and on Postgres."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

from coref_k8s.errors import SupersededError
from coref_k8s.search.reporting import TrialReporter
from coref_k8s.search.storage import open_storage
from coref_k8s.store import Store, fence
from coref_k8s.store.engine import connect
from coref_k8s.store.fence import Fence
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order, Resources
from coref_k8s.study.spec import StudySpec

NOTHING = Resources(gpus=0, gpu_memory_mb=0, cpu_millis=1, memory_bytes=1, ephemeral_bytes=1, shm_bytes=1)
_SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> str:
    return new_database(request.param)


def order(**changes: object) -> Order:
    values: dict[str, object] = {
        "kind": Kind.TRIAL, "study": "s", "study_uid": "1", "namespace": "lab", "spec": StudySpec(), "seq_len": 512,
        "trial": 0, "resources": NOTHING, "workdir": "studies/s/512/0",
    }  # fmt: skip
    return Order(**{**values, **changes})


def trial_of(url: str) -> int:
    """Return the id of a trial that has begun."""
    storage = open_storage(url)
    study = storage.create_new_study([2], "lab/s/512")  # to be maximised
    return int(storage.create_new_trial(study))


def test_the_newest_alone_writes(url: str) -> None:
    trial = trial_of(url)
    old = Fence.take(url, order())
    reporter = TrialReporter(url, trial, old)
    reporter.report(1, 0.1, {})
    new = Fence.take(url, order())  # another pod of the same Job
    assert new.token > old.token
    for write in (
        lambda: reporter.report(2, 0.2, {}),
        lambda: reporter.note(batch=4),
        lambda: reporter.result(0.9, {}),
        lambda: reporter.is_closed(),
        lambda: old.held().__enter__(),
    ):
        with pytest.raises(SupersededError, match="newer start of this work has taken over"):
            write()
    TrialReporter(url, trial, new).result(0.5, {})
    with new.held():
        pass
    found = open_storage(url).get_trial(trial)
    assert (found.intermediate_values, found.values, found.state) == ({1: 0.1}, [0.5], TrialState.COMPLETE)


def test_a_pod_that_begins_after_its_attempt_is_over_takes_nothing(url: str) -> None:
    second = Fence.take(url, order(attempt=2))
    with pytest.raises(
        SupersededError, match="attempt 2 of this work has begun already, so attempt 1 is over"
    ):
        Fence.take(url, order(attempt=1))
    # the one thing of a final training, tried again after its first trial has failed
    with pytest.raises(SupersededError):
        Fence.take(url, order(attempt=1, trial=0))
    third = Fence.take(url, order(attempt=1, trial=1))
    assert third.token > second.token
    with pytest.raises(SupersededError), second.held():
        pass


def test_a_study_that_was_deleted_is_written_on_no_more_and_its_successor_begins_anew(url: str) -> None:
    store = Store(url)
    store.create_study("lab", "s", StudySpec())
    old = Fence.take(url, order(attempt=3))
    others = Fence.take(url, order(study="other", workdir="studies/other/512/0"))
    store.delete_study("lab", "s")
    with pytest.raises(SupersededError), old.held():
        pass
    new = Fence.take(url, order(study_uid="2"))
    assert new.token > max(old.token, others.token)
    with pytest.raises(SupersededError), old.held():
        pass
    with others.held():
        pass


def test_a_study_of_the_same_name_takes_over_what_an_earlier_one_has_left(url: str) -> None:
    old = Fence.take(url, order(attempt=3))
    new = Fence.take(url, order(study_uid="2", attempt=1))
    with pytest.raises(SupersededError), old.held():
        pass
    with new.held():
        pass


def test_any_other_work_is_nobody_else_s(url: str) -> None:
    found = [
        Fence.take(url, order()),
        Fence.take(url, order(trial=1, workdir="studies/s/512/1")),
        Fence.take(url, order(namespace="other")),
        Fence.take(url, order(kind=Kind.PREPARE, trial=None, seq_len=None, workdir="studies/s/prepare")),
    ]
    for one in found:
        with one.held():
            pass


def test_of_many_who_begin_at_once_one_writes(url: str) -> None:
    Store(url).close()
    with _SPAWN.Pool(4) as pool:
        tokens = pool.starmap(_take, [(url, order()) for _ in range(12)])
    assert len(set(tokens)) == 12
    held = []
    for token in tokens:
        try:
            with Fence(connect(url), url, token).held():
                held.append(token)
        except SupersededError:
            pass
    assert held == [max(tokens)]


def _take(url: str, order: Order) -> int:
    return Fence.take(url, order).token


def test_a_process_that_froze_in_the_middle_of_a_report_writes_nothing_of_it(
    postgres_url: str, tmp_path: Path
) -> None:
    """Two real processes: the first is stopped inside its transaction, and goes on when the second has long begun."""
    trial = trial_of(postgres_url)
    inside = tmp_path / "inside"
    frozen = _SPAWN.Process(target=_freeze, args=(postgres_url, trial, str(inside), str(tmp_path / "end")))
    frozen.start()
    while not inside.exists():
        time.sleep(0.05)
    os.kill(frozen.pid or 0, signal.SIGSTOP)
    began = time.monotonic()
    new = Fence.take(postgres_url, order())
    # it waited for the transaction, and the server has ended that
    assert 0.5 < time.monotonic() - began < 10
    TrialReporter(postgres_url, trial, new).report(1, 0.5, {})
    os.kill(frozen.pid or 0, signal.SIGCONT)
    frozen.join(60)
    assert (tmp_path / "end").read_text() == "SupersededError"
    assert open_storage(postgres_url).get_trial(trial).intermediate_values == {1: 0.5}


def _freeze(url: str, trial: int, inside: str, end: str) -> None:
    """Report as a trial does, with time to be stopped between looking for the token and writing."""
    fence.IDLE_SECONDS = 2.0
    mine = Fence.take(url, order())
    reporter = TrialReporter(url, trial, mine, sleep=lambda _: None)
    reporter.is_closed()
    from sqlalchemy import event

    storage = reporter._open()

    def slowly(*_: object) -> None:
        if not Path(inside).exists():
            Path(inside).touch()
            time.sleep(1)

    event.listen(storage.engine, "begin", slowly)
    reporter.report(1, 0.1, {})
    try:
        reporter.flush()
    except Exception as error:
        Path(end).write_text(type(error).__name__)
