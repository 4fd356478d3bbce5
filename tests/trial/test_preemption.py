"""Preempted at random moments, as real processes: nothing is lost, and nothing changes."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from typing import Any

import pytest
from optuna.trial import TrialState

from coref_k8s.study.order import Order
from tests.trial.conftest import House

STEPS = 60


@pytest.fixture(scope="module")
def undisturbed(house: House) -> Order:
    """A trial that ran through."""
    order = house.order("undisturbed", spec=house.training(max_steps=STEPS))
    process = house.start(order)
    assert process.wait() == 0, process.log
    return order


def outcome(house: House, order: Order) -> tuple[list[float], bytes, dict[str, float]]:
    """Every loss, the weights, and the scores."""
    folder = house.folder(order)
    metrics = {k: v for k, v in house.result(order)["metrics"].items() if "seconds" not in k}
    return (
        json.loads((folder / "losses.json").read_text()),
        (folder / "model/model.safetensors").read_bytes(),
        metrics,
    )


def disturb(house: House, finished: Order, order: Order, rng: random.Random, number: int) -> int:
    """End a trial's processes with a signal, at random moments, until one ends by itself; return how often.

    The moments lie within the training time of `finished`, a trial like this one.
    """
    seconds = house.result(finished)["measured"]["train_seconds"]
    for count in range(100):
        process = house.start(order)
        process.until('"trial_')  # it begins, or only hands in the result of the one that was killed
        time.sleep(rng.uniform(0, seconds))
        assert process.process.pid
        if process.process.is_alive():
            os.kill(process.process.pid, number)
        code = process.wait()
        if code == 0:
            return count
        assert code == (143 if number == signal.SIGTERM else -number), process.log
        if number == signal.SIGTERM:
            assert 0 <= len(house.checkpoints(order)) <= 2
            assert process.events("trial_end")[0]["outcome"] == "interrupted"
    raise AssertionError("it never ended")


@pytest.mark.parametrize("signals", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_sigterm_at_random_moments(house: House, undisturbed: Order, signals: int) -> None:
    expected, rng, times, trials = outcome(house, undisturbed), random.Random(50), 0, 0
    order = undisturbed
    while times < signals:  # a trial that was quicker than the first signal counts for nothing
        # the machine may have become faster or slower: the last trial says how long one takes now
        finished, order = order, house.order(f"sigterm-{signals}-{trials}", spec=undisturbed.spec)
        times += disturb(house, finished, order, rng, signal.SIGTERM)
        trials += 1
        assert outcome(house, order) == expected
        assert house.trial(order).state is TrialState.COMPLETE


def test_sigkill_at_random_moments(house: House, undisturbed: Order) -> None:
    spec = house.training(max_steps=STEPS, checkpoint_seconds=0.1)
    order = house.order("sigkill", spec=spec)
    disturb(house, undisturbed, order, random.Random(3), signal.SIGKILL)
    assert outcome(house, order) == outcome(house, undisturbed)


def _stopped_with_two_checkpoints() -> None:
    """Patch this process: a checkpoint is due after every step, and the second one is followed by SIGTERM."""
    from coref_k8s.trial.checkpoint import CheckpointClock, CheckpointStore

    save, saved = CheckpointStore.save, []

    def save_and_stop(*arguments: Any) -> int:
        saved.append(save(*arguments))
        if len(saved) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return saved[-1]

    CheckpointStore.save = save_and_stop  # type: ignore[method-assign]
    CheckpointClock.due = lambda _: True  # type: ignore[method-assign]


def test_a_damaged_checkpoint_costs_only_time(house: House, undisturbed: Order) -> None:
    order = house.order("damaged", spec=undisturbed.spec)
    first = house.start(order, before=_stopped_with_two_checkpoints)
    assert first.wait() == 143, first.log
    older, newest = house.checkpoints(order)
    assert older.name < newest.name
    content = bytearray(newest.read_bytes())
    content[len(content) // 3] ^= 255
    newest.write_bytes(content)
    second = house.start(order)
    assert second.wait() == 0, second.log
    assert "is damaged (its checksum does not match)" in second.events("warning")[0]["message"]
    assert second.events("trial_begin")[0]["step"] > 0
    assert outcome(house, order) == outcome(house, undisturbed)
