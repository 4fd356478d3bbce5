"""Coref F1: what counts as found, and the threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coref_k8s.evaluation.closed import Candidates
from coref_k8s.evaluation.linking import Link, best_tau, counts, link, scores

FOUR = Candidates(["갑", "을", "병", "정"], [(1,), (2,), (3,), (4,)], ["A", "B", None, "A"], 0)


def test_the_best_antecedent_is_linked_by_entity():
    found = link(FOUR, np.array([-1, -2, 5, -9], np.float32), "A", True)
    assert found.right  # the third scores best, but stands only right of the target
    assert found.margin == pytest.approx(-1 - (-1 - 2 - 9) / 3)
    # Another string of the same entity is right as well.
    assert link(FOUR, np.array([-3, -2, 5, -1], np.float32), "A", True).right
    assert not link(FOUR, np.array([-3, -1, 5, -2], np.float32), "A", True).right
    assert not link(FOUR, np.array([-1, -2, 5, -9], np.float32), "A", False).right


def test_without_antecedents_nothing_is_linked():
    none = Candidates(["갑"], [(1,)], [None], 0)
    found = link(none, np.array([0.0], np.float32), "A", True)
    assert counts([found], -1e9) == [(0, 0, 1)]
    assert best_tau([found]) == 0.0


def test_what_counts():
    links = [Link(2, True, True), Link(2, False, True), Link(0, True, True), Link(2, False, False)]
    assert counts([*links, Link(0, False, False)], 1.0) == [
        (1, 0, 0),
        (0, 1, 1),
        (0, 0, 1),
        (0, 1, 0),
        (0, 0, 0),
    ]
    assert scores(1, 2, 2) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert scores(0, 0, 0) == (0, 0, 0)


@given(
    st.lists(
        st.builds(
            lambda margin, right, anaphoric: Link(margin / 4, right and anaphoric, anaphoric),
            st.integers(-8, 8),
            st.booleans(),
            st.booleans(),
        ),
        min_size=1,
        max_size=25,
    )
)
@settings(max_examples=200, deadline=None)
def test_no_threshold_is_better(links):
    def f1(tau):
        return scores(*(sum(column) for column in zip(*counts(links, tau), strict=True)))[2]

    best = f1(best_tau(links))
    assert best == pytest.approx(max(f1(tau / 8) for tau in range(-17, 18)))
