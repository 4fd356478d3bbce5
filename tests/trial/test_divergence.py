"""When training counts as lost."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coref_k8s.trial.divergence import DivergenceWatch


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_reported_at_once(bad: float) -> None:
    watch = DivergenceWatch(warmup=100)
    assert str(watch.feed([3.0, bad, 3.0])) == f"diverged: the loss is {bad} at step 2"


def test_a_collapse_after_warmup_is_divergence() -> None:
    watch = DivergenceWatch(warmup=10)
    assert watch.feed([2.0] * 50) is None
    reason = watch.feed([9.0] * 60)
    assert reason
    assert str(reason).startswith("diverged: the smoothed loss rose to")
    assert watch.feed([2.0]) == reason, "it stays"


def test_warmup_is_borne() -> None:
    assert DivergenceWatch(warmup=200).feed([2.0] * 50 + [9.0] * 100) is None


@pytest.mark.parametrize(
    "losses",
    [
        [8.2 - 0.01 * step for step in range(400)],  # learning slowly
        [0.05 if step % 7 else 1.2 for step in range(400)],  # tiny loss, noisy
        [2.0] * 100 + [30.0] + [2.0] * 100,  # one bad batch
    ],
)
def test_noise_is_not_divergence(losses: list[float]) -> None:
    assert DivergenceWatch(warmup=0).feed(losses) is None


@given(losses=st.lists(st.floats(0, 20), max_size=80), cut=st.integers(0, 80))
def test_a_watch_goes_on_from_its_state(losses: list[float], cut: int) -> None:
    whole, first = DivergenceWatch(warmup=5), DivergenceWatch(warmup=5)
    whole.feed(losses)
    first.feed(losses[:cut])
    second = DivergenceWatch.of(json.loads(json.dumps(first.state())))
    second.feed(losses[cut:])
    assert second.state() == whole.state()
