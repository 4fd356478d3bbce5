"""Jackknife-t intervals over documents."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from coref_k8s.evaluation import intervals


def mean(sums):
    return sums[..., 0] / np.maximum(sums[..., 1], 1)


@pytest.mark.parametrize("freedom", [1, 1.3, 2, 2.5, 3, 7.9, 30, 200, 5000])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
def test_quantiles_of_students_t(freedom, confidence):
    expected = stats.t.ppf((1 + confidence) / 2, freedom)
    assert intervals.t_quantile(freedom, confidence) == pytest.approx(expected, rel=1e-8)


def test_of_a_mean_it_is_the_textbook_interval():
    values = np.random.default_rng(0).normal(size=9)
    found = intervals.estimate(np.column_stack([values, np.ones(9)]), mean)
    reach = stats.t.ppf(0.975, 8) * values.std(ddof=1) / 3
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((found.value - reach, found.value + reach))


def test_of_a_ratio_documents_are_left_out_one_by_one():
    sums = np.array([[3.0, 4], [1, 5], [6, 6], [0, 2]])
    left = [sums[[j for j in range(4) if j != i]].sum(axis=0) for i in range(4)]
    theta = np.array([one[0] / one[1] for one in left])
    error = math.sqrt(3 / 4 * ((theta - theta.mean()) ** 2).sum())
    assert intervals.standard_error(sums, mean) == pytest.approx(error)


@pytest.mark.parametrize("documents", [0, 1, 2])
def test_below_three_documents_nothing_is_claimed(documents):
    found = intervals.estimate(np.ones((documents, 2)), mean)
    assert (found.low, found.high, found.sign, found.documents) == (None, None, 0, documents)


def test_a_difference_is_paired():
    rng = np.random.default_rng(1)
    hard = rng.uniform(0, 80, size=12)
    a = np.column_stack([hard + 10 + rng.uniform(0, 2, 12), np.full(12, 100)])
    b = np.column_stack([hard, np.full(12, 100)])
    found = intervals.paired(a, b, mean)
    assert found.sign == 1
    assert intervals.paired(b, a, mean).sign == -1
    alone = intervals.estimate(a, mean)
    assert found.high - found.low < (alone.high - alone.low) / 10
    assert intervals.paired(a, a, mean).sign == 0


def test_parts_of_a_work_are_one_unit():
    sums = np.arange(8.0).reshape(4, 2)
    assert intervals.by_group(sums, ["x", "y", "x", "z"]).tolist() == [[4, 6], [2, 3], [6, 7]]


def test_a_true_null_is_claimed_in_five_percent():
    rng = np.random.default_rng(2)
    claims = 0
    for _ in range(2000):
        a, b = rng.binomial(40, 0.5, size=(2, 5)).astype(float)
        items = np.full(5, 40.0)
        claims += intervals.paired(np.column_stack([a, items]), np.column_stack([b, items]), mean).sign != 0
    assert 0.035 < claims / 2000 < 0.065
