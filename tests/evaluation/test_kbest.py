"""Exact k-best listing against brute force, and mid-ranks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coref_k8s.evaluation.closed import mid_rank
from coref_k8s.evaluation.kbest import DEPTH, best_strings, best_vectors

# Quarters add up exactly, so equal totals are equal floats.
scores = st.integers(-40, 0).map(lambda n: n / 4)
rows = st.lists(
    st.lists(scores, min_size=1, max_size=5).map(lambda row: sorted(row, reverse=True)),
    min_size=1,
    max_size=4,
)


@given(rows)
@settings(max_examples=150, deadline=None)
def test_vectors_come_as_brute_force_sorts_them(table):
    listed = list(best_vectors(table))
    every = list(itertools.product(*(range(len(row)) for row in table)))
    assert sorted(ranks for _, ranks in listed) == every
    totals = [total for total, _ in listed]
    assert totals == sorted((sum(r[i] for r, i in zip(table, v, strict=True)) for v in every), reverse=True)
    assert totals == sorted(totals, reverse=True)


@given(rows, st.integers(1, 6), st.lists(st.sampled_from("가나다가"), min_size=20, max_size=20))
@settings(max_examples=150, deadline=None)
def test_strings_are_those_with_the_best_vectors(table, count, letters):
    ids = [[5 * j + i for i in range(len(row))] for j, row in enumerate(table)]

    def join(tokens):
        return "".join(letters[token] for token in tokens)

    best: dict[str, float] = {}
    for vector in itertools.product(*(range(len(row)) for row in table)):
        word = join([ids[j][i] for j, i in enumerate(vector)])
        total = sum(row[i] for row, i in zip(table, vector, strict=True))
        best[word] = max(best.get(word, -1e9), total)
    found = best_strings(table, ids, join, count)
    assert len(found) == len(set(found))
    if len(list(itertools.product(*map(range, map(len, table))))) <= DEPTH:
        assert len(found) == min(count, len(best))
    assert [best[word] for word in found] == sorted(best.values(), reverse=True)[: len(found)]


def test_one_string_that_reads_in_two_ways_counts_once():
    join = {(0, 2): "나루터", (1, 3): "나루터", (0, 3): "나루", (1, 2): "나"}
    found = best_strings(
        [[-0.1, -0.2], [-0.1, -0.2]], [[0, 1], [2, 3]], lambda ids: join[tuple(ids)], count=3
    )
    assert found == ["나루터", "나루", "나"]


def test_no_position_lists_nothing():
    assert list(best_vectors([])) == []
    assert best_strings([[]], [[]], str, 5) == []


@pytest.mark.parametrize(
    ("values", "rank"),
    [([3, 2, 1], 1), ([3, 5, 1], 2), ([3, 3, 1], 1.5), ([3, 3, 3], 2), ([3, 5, 3, 3], 3), ([3], 1)],
)
def test_ties_take_half_of_the_tied_places(values, rank):
    assert mid_rank(np.array(values, np.float32), 0) == rank


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.data())
def test_mid_rank_is_the_mean_rank_over_all_orders_of_equals(values, data):
    gold = data.draw(st.integers(0, len(values) - 1))
    array = np.array(values, np.float32)
    above = sum(v > values[gold] for v in values)
    equal = sum(v == values[gold] for v in values)
    assert mid_rank(array, gold) == np.mean([above + place for place in range(1, equal + 1)])
