"""Jackknife-t intervals over documents."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from coref_k8s.evaluation import intervals, sums
from tests.evaluation import exchangeable


def mean(sums):
    return sums[..., 0] / np.maximum(sums[..., 1], 1)


def paired(a, b, statistic):
    columns = a.shape[1]
    return intervals.estimate(
        np.hstack([a, b]), lambda rows: statistic(rows[..., :columns]) - statistic(rows[..., columns:])
    )


@pytest.mark.parametrize("freedom", [1, 1.3, 2, 2.5, 3, 7.9, 30, 200, 5000])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
def test_quantiles_of_students_t(freedom, confidence):
    expected = stats.t.ppf((1 + confidence) / 2, freedom)
    assert intervals.t_quantile(freedom, confidence) == pytest.approx(expected, rel=1e-8)


def test_of_a_mean_it_is_the_textbook_interval():
    values = np.random.default_rng(0).normal(size=9)
    found = intervals.estimate(np.column_stack([values, np.ones(9)]), mean, sizes=np.ones(9))
    reach = stats.t.ppf(0.975, 8) * values.std(ddof=1) / 3
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((found.value - reach, found.value + reach))


def test_of_a_ratio_documents_are_left_out_one_by_one():
    rows = np.array([[3.0, 4], [1, 5], [6, 6], [0, 2]])
    left = [rows[[j for j in range(4) if j != i]].sum(axis=0) for i in range(4)]
    theta = np.array([one[0] / one[1] for one in left])
    error = math.sqrt(3 / 4 * ((theta - theta.mean()) ** 2).sum())
    assert intervals.estimate(rows, mean).error == pytest.approx(error)


@pytest.mark.parametrize("documents", [0, 1, 2])
def test_below_three_documents_nothing_is_claimed(documents):
    found = intervals.estimate(np.ones((documents, 2)), mean)
    assert (found.low, found.high, found.sign, found.documents) == (None, None, 0, documents)


def test_a_difference_is_paired():
    rng = np.random.default_rng(1)
    hard = rng.uniform(0, 80, size=12)
    a = np.column_stack([hard + 10 + rng.uniform(0, 2, 12), np.full(12, 100)])
    b = np.column_stack([hard, np.full(12, 100)])
    found = paired(a, b, mean)
    assert found.sign == 1
    assert paired(b, a, mean).sign == -1
    alone = intervals.estimate(a, mean)
    assert found.high - found.low < (alone.high - alone.low) / 10
    assert paired(a, a, mean).sign == 0


def test_parts_of_a_work_are_one_unit():
    rows = np.arange(8.0).reshape(4, 2)
    assert sums.by_group(rows, ["x", "y", "x", "z"]).tolist() == [[4, 6], [2, 3], [6, 7]]


def test_columns_add_up_by_document():
    assert sums.by_document(["b", "a", "b"], [[1, 0, 1], [0.5, 2, 0]]).tolist() == [[2, 0.5, 2], [0, 2, 1]]
    assert sums.by_document(["b"], [[1]], ["a", "b"]).tolist() == [[0, 0], [1, 1]]
    assert sums.by_document([], [[]]).shape == (0, 2)


def test_f1_of_sums():
    rows = np.array([[3.0, 1.0, 2.0, 9.0], [0.0, 0.0, 0.0, 4.0]])
    assert sums.f1(rows) == pytest.approx([6 / 9, 0.0])
    both = np.array([[3.0, 1.0, 2.0, 0.0, 5.0, 5.0, 9.0]])
    assert sums.f1_difference(both) == pytest.approx([6 / 9])


def test_documents_without_items_are_none():
    rows = np.array([[3.0, 4], [1, 5], [6, 6], [0, 2]])
    empty = np.vstack([rows, np.zeros((3, 2))])
    assert intervals.estimate(empty, mean) == intervals.estimate(rows, mean)
    assert intervals.estimate(np.zeros((5, 2)), mean).documents == 0


def test_documents_of_unequal_size_are_fewer_than_they_look():
    assert intervals.freedom(np.full(9, 7.0)) == pytest.approx(8)
    assert 3 < intervals.freedom(np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9])) < 8
    assert intervals.freedom(np.array([100.0, 1, 1, 1])) == pytest.approx(1, abs=0.1)


def test_a_share_has_wilsons_interval():
    """Of documents that are one item each the error of a share is p (1 - p) / (n - 1): n - 1 items speak."""
    rows = np.array([[1.0, 1]] * 15 + [[0, 1]] * 5)
    found = intervals.estimate(rows, mean, 0.0, 1.0, sizes=np.ones(20))
    t, n, p = stats.t.ppf(0.975, 19), 19, 0.75
    reach = t * math.sqrt(p * (1 - p) / n + t * t / (4 * n * n)) / (1 + t * t / n)
    middle = (p + t * t / (2 * n)) / (1 + t * t / n)
    assert (found.low, found.high) == pytest.approx((middle - reach, middle + reach))
    # an objective whose weights do not add up to one is the same share of what it can be
    twice = intervals.estimate(rows, lambda rows: 2 * mean(rows), 0.0, 2.0, sizes=np.ones(20))
    assert (twice.low, twice.high) == pytest.approx((2 * found.low, 2 * found.high))


def test_an_interval_stays_where_the_value_can_be():
    rows = np.array([[1.0, 1], [1, 1], [1, 1], [0, 1]])
    assert intervals.estimate(rows, mean).high > 1
    bounded = intervals.estimate(rows, mean, 0.0, 1.0)
    assert 0 < bounded.low < 0.75 < bounded.high < 1
    assert bounded.named("x") == {"x": 0.75, "x_ci_low": bounded.low, "x_ci_high": bounded.high}
    assert intervals.estimate(rows, mean, -1.0, 1.0).high == 1
    assert intervals.estimate(rows[:2], mean).named("x") == {"x": 1.0}


def test_what_always_hits_may_miss():
    """Documents that do not differ say no more than their items do: 0 of 40 is not known to be 0."""
    none = intervals.estimate(np.array([[0.0, 10]] * 4), mean, 0.0, 1.0, sizes=np.full(4, 10))
    t = stats.t.ppf(0.975, 3)
    assert (none.low, none.high) == pytest.approx((0, t * t / (40 + t * t)))
    every = intervals.estimate(np.array([[10.0, 10]] * 4), mean, 0.0, 1.0, sizes=np.full(4, 10))
    assert (every.low, every.high) == pytest.approx((1 - none.high, 1))


def test_settings_are_less_certain_than_models():
    documents = intervals.Estimate(0.05, 30, 0.01, 29.0)
    assert documents.sign == 1
    settings = documents.over_runs([0.5, 0.56], [0.45, 0.51])
    assert settings.error == pytest.approx(math.sqrt(0.01**2 + 2 * 0.0018 / 2))
    assert settings.freedom == pytest.approx(settings.error**4 / (0.01**4 / 29 + 2 * 0.0009**2))
    assert settings.sign == 0
    # one that learns nothing has no runs that differ
    assert documents.over_runs([0.5, 0.56], [0.5]).error < settings.error
    # runs that agree leave documents alone
    assert documents.over_runs([0.5, 0.5], [0.4, 0.4]) == documents
    few = intervals.Estimate(0.05, 2)
    assert few.over_runs([0.5, 0.6], [0.4, 0.5]) is few


def test_a_true_null_is_claimed_in_five_percent():
    rng = np.random.default_rng(2)
    claims = 0
    for _ in range(2000):
        a, b = rng.binomial(40, 0.5, size=(2, 5)).astype(float)
        items = np.full(5, 40.0)
        claims += paired(np.column_stack([a, items]), np.column_stack([b, items]), mean).sign != 0
    assert 0.035 < claims / 2000 < 0.065


@pytest.mark.slow
@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize("documents", [3, 5, 10, 20, 80])
def test_between_exchangeable_models_little_is_claimed(documents, equal):
    """400 simulations: 6 % may show as up to 8.5 %, 93 % as down to 90 %."""
    assert exchangeable.false_claims(documents, equal=equal, repetitions=400) <= 0.085
    for easy in (exchangeable.MIDDLING, exchangeable.HARD):
        assert exchangeable.coverage(documents, equal=equal, repetitions=400, easy=easy) >= 0.90


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("documents", [5, 20, 80])
def test_between_exchangeable_settings_little_is_claimed(documents, seeds):
    assert exchangeable.false_verdicts(documents, seeds, equal=False, repetitions=200) <= 0.09
