"""Two real processes at one trial, on a real Postgres: one writes, the other ends itself and says why."""

from __future__ import annotations

import dataclasses
import functools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState

from coref_k8s.store import Store
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order
from tests.postgres import Server, postgres_url, running_server
from tests.trial.conftest import LENGTH, RESOURCES, House, Process

__all__ = ["postgres_url"]

SENTENCE = "error: a newer start of this work has taken over; this process writes nothing more and ends"


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[Server]:
    """A server of this file's own, since it is stopped."""
    with running_server() as server:
        yield server


@pytest.fixture
def at_postgres(house: House, postgres_url: str, request: pytest.FixtureRequest) -> House:
    """The data folder with its study in a Postgres."""
    Store(postgres_url).create_study("", "s", house.spec)
    return dataclasses.replace(house, storage=postgres_url, processes=house.processes)


def at_work(house: House, order: Order) -> Process:
    """Return a process that has reported, and has left a checkpoint."""
    process = house.start(order)
    process.until('"section": "eval_stream"')
    end = time.monotonic() + 60
    while not house.checkpoints(order):
        assert time.monotonic() < end, process.log
        time.sleep(0.02)
    return process


def give(process: Process, number: int) -> None:
    os.kill(process.process.pid or 0, number)


@pytest.mark.parametrize("kind", [Kind.TRIAL, Kind.FINALIST])
def test_a_pod_that_comes_back_to_life_changes_nothing(at_postgres: House, kind: Kind) -> None:
    spec = at_postgres.training(max_steps=90, evaluations=3, checkpoint_seconds=0.1)
    order = at_postgres.order(f"back-{kind}", spec=spec).model_copy(update={"kind": kind})
    old = at_work(at_postgres, order)
    give(old, signal.SIGSTOP)  # its node is cut off
    folder = at_postgres.folder(order)
    new = at_postgres.start(order)
    assert new.wait() == 0, new.log
    assert new.events("trial_begin")[0]["step"] > 0, "it goes on from the other's checkpoint"
    left = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    trial = at_postgres.trial(order)
    give(old, signal.SIGCONT)
    assert old.wait() == 143, old.log
    assert SENTENCE in old.log
    assert "Traceback" not in old.log
    warning = old.events("warning")[-1]
    assert (warning["code"], warning["exit_code"]) == ("store.superseded", 143)
    assert {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()} == left
    assert at_postgres.trial(order) == trial
    assert trial.state is TrialState.COMPLETE
    assert trial.value == at_postgres.result(order)["score"]


def test_while_both_run_the_older_one_ends_at_its_next_word(at_postgres: House) -> None:
    spec = at_postgres.training(max_steps=1500, evaluations=60, checkpoint_seconds=0.1)
    order = at_postgres.order("both", spec=spec)
    old = at_work(at_postgres, order)
    new = at_postgres.start(order.model_copy(update={"attempt": 2}))
    new.until('"section": "trial_begin"')
    assert old.wait() == 143, old.log
    assert SENTENCE in old.log
    assert new.process.is_alive()
    begun_late = at_postgres.start(order)  # of the first attempt's Job, which is gone
    assert begun_late.wait() == 143, begun_late.log
    assert "attempt 2 of this work has begun already, so attempt 1 is over" in begun_late.log
    new.process.terminate()
    assert new.wait() == 143, new.log
    assert new.events("trial_end")[0]["outcome"] == "interrupted", new.log


def _hold_up(gate: Path) -> None:
    """Patch this process: it has prepared everything, and waits for a file before it says so."""
    from coref_k8s.trial import prepare_job

    real = prepare_job.prepare_data

    def slowly(*arguments: object, **named: object) -> object:
        found = real(*arguments, **named)  # type: ignore[arg-type]
        gate.with_suffix(".reached").touch()
        while not gate.exists():
            time.sleep(0.05)
        return found

    prepare_job.prepare_data = slowly  # type: ignore[assignment]


def test_of_two_preparations_the_newer_one_tells_the_study(at_postgres: House, tmp_path: Path) -> None:
    order = Order(
        kind=Kind.PREPARE, study="s", spec=at_postgres.spec, resources=RESOURCES, workdir="studies/s/prepare"
    )
    gate = tmp_path / "go"
    old = at_postgres.start(order, before=functools.partial(_hold_up, gate))
    while not gate.with_suffix(".reached").exists():
        assert old.process.is_alive(), old.log
        time.sleep(0.05)
    result = at_postgres.folder(order) / "result.json"
    result.unlink(missing_ok=True)
    gate.touch()
    new = at_postgres.start(order.model_copy(update={"attempt": 2}), before=functools.partial(_hold_up, gate))
    codes = {old.wait(), new.wait()}
    assert codes <= {0, 143}
    assert new.process.exitcode == 0, new.log
    assert Store(at_postgres.storage).get_study("", "s").prepared == at_postgres.prepared


def test_a_result_waits_for_the_database_and_a_checkpoint_does_not(
    at_postgres: House, postgres_server: Server
) -> None:
    """Nobody who cannot ask gives a result its name; a drained node may take trials and database at once."""
    order = at_postgres.order(f"away-{LENGTH}", spec=at_postgres.training(max_steps=60, evaluations=2))
    process = at_postgres.start(order)
    process.until('"section": "eval_stream"')
    postgres_server.stop()
    try:
        process.until('"step": 60')
        process.until("did not answer")
        assert process.process.is_alive()
        process.process.terminate()
        assert process.wait() == 143, process.log
        assert not (at_postgres.folder(order) / "result.json").exists()
        assert at_postgres.checkpoints(order)
        early = at_postgres.start(order)  # one that begins meanwhile waits, too
        early.until("did not answer")
    finally:
        postgres_server.start()
    assert early.wait() == 0, early.log
    assert at_postgres.trial(order).value == at_postgres.result(order)["score"]
