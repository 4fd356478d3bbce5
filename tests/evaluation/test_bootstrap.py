"""The bootstrap by document: shape, reproducibility, coverage and edge cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coref_k8s.evaluation import bootstrap


def test_columns_add_up_by_document():
    sums = bootstrap.sums_by_document(["b", "a", "b"], [[1, 0, 1], [0.5, 2, 0]])
    assert sums.tolist() == [[0, 2, 1], [2, 0.5, 2]]
    assert bootstrap.sums_by_document(["b"], [[1]], ["a", "b"]).tolist() == [[0, 0], [1, 1]]


@given(st.integers(1, 30), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_a_resample_draws_as_many_documents(documents, columns):
    sums = np.ones((documents, columns))
    drawn = bootstrap.resample(sums, 50)
    assert drawn.shape == (50, columns)
    assert (drawn == documents).all()


def test_it_equals_a_plain_loop():
    rng = np.random.default_rng(5)
    sums = rng.random((7, 3))
    draws = np.random.default_rng(bootstrap.SEED).integers(0, 7, size=(40, 7))
    assert np.allclose(bootstrap.resample(sums, 40), [sums[draw].sum(axis=0) for draw in draws])


def test_documents_not_items_are_resampled():
    """Ten items that agree within two documents tell no more than two items."""
    clustered = bootstrap.sums_by_document(["a"] * 10 + ["b"] * 10, [[1.0] * 10 + [0.0] * 10])
    found = bootstrap.interval(clustered, bootstrap.mean)
    assert found == (0.5, 0.0, 1.0)
    single = bootstrap.sums_by_document(list(map(str, range(20))), [[1.0] * 10 + [0.0] * 10])
    low, high = bootstrap.interval(single, bootstrap.mean)[1:]
    assert 0.2 < low < 0.35
    assert 0.65 < high < 0.8


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(11)
    hits = 0
    for _ in range(200):
        truth = rng.normal(0.3, 0.1, size=40)
        sums = np.stack([truth * 5, np.full(40, 5.0)], axis=1)
        low, high = bootstrap.interval(sums, bootstrap.mean)[1:]
        hits += low <= 0.3 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_without_evidence_the_interval_is_everything():
    assert bootstrap.interval(np.zeros((0, 2)), bootstrap.mean) == (0.0, 0.0, 1.0)
    one = bootstrap.sums_by_document(["a", "a"], [[1.0, 0.0]])
    assert bootstrap.interval(one, bootstrap.mean) == (0.5, 0.0, 1.0)
    assert bootstrap.interval(one, bootstrap.mean_difference, lowest=-1.0)[1:] == (-1.0, 1.0)


def test_f1_of_sums():
    sums = np.array([[3.0, 1.0, 2.0, 9.0], [0.0, 0.0, 0.0, 4.0]])
    assert bootstrap.f1(sums) == pytest.approx([6 / 9, 0.0])
    both = np.array([[3.0, 1.0, 2.0, 0.0, 5.0, 5.0, 9.0]])
    assert bootstrap.f1_difference(both) == pytest.approx([6 / 9])
