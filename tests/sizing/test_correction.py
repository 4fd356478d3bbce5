"""Measured peaks correct the estimate: by kind of GPU, and only when enough trials have reported."""

import statistics
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coref_k8s.sizing.batch import plan_batch
from coref_k8s.sizing.correction import BOUNDS, ENOUGH, Correction
from coref_k8s.study.reading import build_spec


def trial(ratio: float, gpu: str = "A100") -> dict[str, object]:
    return {"gpu_name": gpu, "gpu_peak_bytes": int(ratio * 10**10), "estimated_bytes": 10**10}


def correction_of(trials: Iterable[dict[str, object]]) -> float:
    found = Correction()
    for one in trials:
        found.add(one)
    return found.factor


@given(st.lists(st.floats(0.8, 2.0), min_size=ENOUGH))
def test_trials_one_by_one_come_to_the_median_of_all(ratios: list[float]) -> None:
    trials = [trial(ratio) for ratio in ratios]
    measured = [int(ratio * 10**10) / 10**10 for ratio in ratios]
    assert correction_of(trials) == pytest.approx(max(BOUNDS[0], statistics.median(measured)))


def test_the_median_of_a_gpu_counts_once_enough_trials_have_reported() -> None:
    found = [trial(1.2), trial(1.3), {"host_peak_bytes": 1}, {"gpu_name": "A100", "gpu_peak_bytes": 10**12}]
    assert correction_of(found) == 1.0
    assert correction_of([*found, trial(1.9)]) == pytest.approx(1.3)


def test_of_several_gpus_the_hungriest_counts() -> None:
    found = [*[trial(1.1)] * ENOUGH, *[trial(1.4, "L40S")] * ENOUGH, trial(1.9, "H100")]
    assert correction_of(found) == pytest.approx(1.4)


@pytest.mark.parametrize(("ratio", "expected"), [(0.1, BOUNDS[0]), (30.0, BOUNDS[1])])
def test_a_measurement_of_something_else_is_bounded(ratio: float, expected: float) -> None:
    assert correction_of([trial(ratio)] * ENOUGH) == expected


def test_a_corrected_estimate_takes_a_smaller_batch() -> None:
    spec = build_spec(seq_lengths=[2048], gpu_memory_gb=14, training={"checkpointing": "off"})
    before, after = plan_batch(spec, 2048), plan_batch(spec, 2048, correction=1.5)
    assert after.batch_size < before.batch_size
    assert after.effective_batch == before.effective_batch
