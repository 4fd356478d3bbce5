"""The pruner that compares trials item by item."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from coref_k8s.evaluation.composite import by_item
from coref_k8s.evaluation.result import ItemScores
from coref_k8s.search.reporting import TrialReporter
from coref_k8s.search.storage import open_storage
from coref_k8s.search.studies import LengthStudy
from coref_k8s.search.wilcoxon import clearly_worse, signed_rank
from coref_k8s.study.reading import build_spec


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=60).filter(any))
def test_the_probability_is_scipys(differences: list[int]) -> None:
    found = np.array(differences, dtype=float)
    expected = wilcoxon(found, alternative="less", method="asymptotic", zero_method="wilcox").pvalue
    assert signed_rank(found) == pytest.approx(float(expected), abs=1e-12)


def test_no_difference_has_no_probability() -> None:
    assert math.isnan(signed_rank(np.zeros(5)))


def items(right: int, of: int = 40) -> dict[str, float]:
    return {f"coref/{n}": (n < right) / of for n in range(of)}


def test_worse_is_told_from_unlucky() -> None:
    assert clearly_worse(items(10), items(30))
    assert not clearly_worse(items(30), items(10))
    assert not clearly_worse(items(30), items(30))
    # nine items, all lost: too few to say
    assert not clearly_worse(items(21), items(30))
    # lost and won by turns: a little worse, and that may be luck
    mixed = {name: float(n % 2 == 0) for n, name in enumerate(items(0))}
    other = {name: float(n % 2 == 1 or n < 4) for n, name in enumerate(items(0))}
    assert not clearly_worse(mixed, other)
    # only what both were asked counts
    assert not clearly_worse(items(5, of=9), items(30))


def test_each_items_part_adds_up_to_the_score() -> None:
    scores = {
        "coref": ItemScores(
            ["a", "b"], ["d", "d"], {"coref_top1": [1.0, 0.0], "coref_top1_removed": [0.0, 0.5]}
        ),
        "f1": ItemScores(["a", "c"], ["d", "d"], {"tp": [1.0, 0.0], "fp": [0.0, 1.0], "fn": [0.0, 1.0]}),
    }
    weights = {"coref_top1": 0.5, "coref_top1_gain": 0.2, "coref_f1": 0.3, "mine": 1.0}
    parts = by_item(weights, scores)
    assert parts == {
        "coref/a": pytest.approx(0.25 + 0.1), "coref/b": pytest.approx(-0.05),
        "f1/a": pytest.approx(0.15), "f1/c": 0.0,
    }  # fmt: skip


def test_a_trial_that_is_worse_item_by_item_is_pruned(tmp_path) -> None:
    url = f"sqlite:///{tmp_path}/coref.db"
    space = {"warmup_ratio": {"low": 0.0, "high": 0.1}}
    spec = build_spec(seq_lengths=[512], search={"pruner": "wilcoxon", "sampler": "random", "space": space})
    length = LengthStudy(open_storage(url), spec, "s", 512)
    best, bad, good = length.ask(), length.ask(), length.ask()
    for trial, right in ((bad, 8), (good, 28)):
        TrialReporter(url, trial.trial_id).report(1, right / 40, {}, items(right))
    # nobody to compare with yet
    assert not any(length.should_prune(trial) for trial in length.trials())
    reporter = TrialReporter(url, best.trial_id)
    reporter.report(1, 0.75, {}, items(30))
    reporter.result(0.8, {})
    judged = {trial.number: length.should_prune(trial) for trial in length.trials()}
    assert judged == {best.number: False, bad.number: True, good.number: False}
