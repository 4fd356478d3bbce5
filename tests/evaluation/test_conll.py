"""Cluster scores against the published test cases of the CoNLL reference scorer and of LEA.

Clusters and expected values: github.com/conll/reference-coreference-scorers (test/TestCases.README), its adaptation
with exact fractions, and Moosavi & Strube's own test cases for LEA. Letters are mentions.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coref_k8s.evaluation import conll


def clusters(text: str) -> list[frozenset[str]]:
    return [frozenset(part) for part in text.split()]


A = "a bc def"
# name, key, response, metric -> (recall, precision)
CASES = [
    ("A1", A, "a bc def", {"muc": (1, 1), "b3": (1, 1), "ceafe": (1, 1), "lea": (1, 1)}),
    ("A2", A, "a de", {"muc": (1 / 3, 1), "b3": (7 / 18, 1), "ceafe": (0.6, 0.9), "lea": (2 / 6, 1)}),
    (
        "A3",
        A,
        "a bcx defy z",
        {
            "muc": (1, 3 / 5),
            "b3": (1, (4 + 7 / 12) / 9),
            "ceafe": ((1 + 4 / 5 + 6 / 7) / 3, (1 + 4 / 5 + 6 / 7) / 4),
            "lea": (1, 4 / 9),
        },
    ),
    (
        "A4",
        A,
        "a bcx dy z",
        {
            "muc": (1 / 3, 1 / 3),
            "b3": (5 / 9, 17 / 42),
            "ceafe": (2.2 / 3, 2.2 / 4),
            "lea": (3 / 6, 2 / 7),
        },
    ),
    (
        "A5",
        A,
        "a bcxB dy z",
        {
            "muc": (1 / 3, 1 / 4),
            "b3": (5 / 9, 2.5 / 8),
            "ceafe": ((1 + 4 / 6 + 2 / 5) / 3, (1 + 4 / 6 + 2 / 5) / 4),
            "lea": (3 / 6, 5 / 24),
        },
    ),
    (
        "A6",
        A,
        "a bcx dy Bz",
        {"muc": (1 / 3, 1 / 4), "b3": (5 / 9, 17 / 48), "ceafe": (2.2 / 3, 2.2 / 4), "lea": (0.5, 0.25)},
    ),
    ("A10 (all alone)", A, "a b c d e f", {"muc": (0, 0), "b3": (3 / 6, 1), "lea": (1 / 6, 1 / 6)}),
    ("A11 (all together)", A, "abcdef", {"muc": (1, 3 / 5), "b3": (1, 14 / 36), "lea": (5 / 6, 4 / 15)}),
    (
        "D1 (Bagga & Baldwin)",
        "12345 67 89ABC",
        "12345 6789ABC",
        {"muc": (1, 9 / 10), "b3": (1, 16 / 21), "lea": (1, (5 + 7 * 11 / 21) / 12)},
    ),
    (
        "E1 (Bagga & Baldwin)",
        "12345 67 89ABC",
        "1234589ABC 67",
        {"muc": (1, 9 / 10), "b3": (1, 7 / 12), "lea": (1, (10 * 20 / 45 + 2) / 12)},
    ),
    ("F1 (Vilain)", "abcd", "ab cd", {"muc": (2 / 3, 1), "lea": (2 / 6, 1)}),
    ("G1 (Vilain)", "ab cd", "abcd", {"muc": (1, 2 / 3), "lea": (1, 2 / 6)}),
    ("K1", "bcdeghj", "abc def ghi", {"muc": (3 / 6, 3 / 6), "lea": (3 / 21, 3 / 9)}),
    ("L1", "abc defg", "ab cd fgh", {"muc": (2 / 5, 2 / 4), "lea": ((1 + 4 / 6) / 7, 3 / 7)}),
    ("M3", "abcdef", "ab cde f", {"lea": (4 / 15, 5 / 6)}),
    ("nothing in common", "ab cd", "ef gh", {"muc": (0, 0), "b3": (0, 0), "ceafe": (0, 0), "lea": (0, 0)}),
]


@pytest.mark.parametrize(("key", "response", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_published_cases(key, response, expected):
    found = conll.score([(clusters(key), clusters(response))])
    for metric, (recall, precision) in expected.items():
        assert found[metric].recall == pytest.approx(recall), metric
        assert found[metric].precision == pytest.approx(precision), metric
        f1 = 2 * recall * precision / (recall + precision) if recall + precision else 0
        assert found[metric].f1 == pytest.approx(f1), metric


def test_documents_are_micro_averaged():
    found = conll.score([(clusters("abc"), clusters("abc")), (clusters("de"), clusters("d e"))])
    assert found["muc"].recall == pytest.approx(2 / 3)
    assert found["b3"].recall == pytest.approx((3 + 2 / 2) / 5)
    assert found["ceafe"].precision == pytest.approx((1 + 2 / 3) / 3)
    assert found["conll"].f1 == pytest.approx(sum(found[m].f1 for m in ("muc", "b3", "ceafe")) / 3)


@pytest.mark.parametrize("pairs", [[], [([], [])], [(clusters("ab"), [])], [([], clusters("ab"))]])
def test_nothing_to_compare_scores_zero(pairs):
    assert all(score.f1 == 0 for score in conll.score(pairs).values())


partitions = st.lists(st.integers(0, 3), min_size=1, max_size=7).map(
    lambda labels: [
        frozenset(i for i, label in enumerate(labels) if label == name) for name in sorted(set(labels))
    ]
)


@given(partitions, partitions)
@settings(max_examples=100, deadline=None)
def test_ceaf_finds_the_best_alignment(key, response):
    small, large = sorted((key, response), key=len)
    best = max(
        sum(2 * len(s & r) / (len(s) + len(r)) for s, r in zip(small, chosen, strict=True))
        for chosen in itertools.permutations(large, len(small))
    )
    counts = conll.ceaf_e(key, response)
    assert counts.recall == pytest.approx(best)
    assert counts[1::2] == (len(key), len(response))


@given(partitions)
def test_a_partition_agrees_with_itself(key):
    found = conll.score([(key, key)])
    assert found["b3"].f1 == found["ceafe"].f1 == pytest.approx(1)
    assert found["lea"].f1 == pytest.approx(1)
    assert found["muc"].f1 == pytest.approx(1) or all(len(cluster) == 1 for cluster in key)


@given(partitions, partitions)
@settings(max_examples=50, deadline=None)
def test_sides_change_places(key, response):
    forth, back = conll.score([(key, response)]), conll.score([(response, key)])
    for metric in conll.METRICS:
        assert forth[metric].recall == pytest.approx(back[metric].precision)
