"""Coreference scores against the published test cases of the official scorers.

Clusters and expected values: github.com/conll/reference-coreference-scorers (test/TestCases.README), its adaptation
with exact fractions, Moosavi & Strube's own test cases for LEA, and github.com/ufal/corefud-scorer for heads. A letter
is a mention.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coref_k8s.evaluation.coreference import Key, score_documents
from coref_k8s.evaluation.coreference.matching import Headed, by_head
from coref_k8s.evaluation.coreference.metrics import ceaf_e
from coref_k8s.text.document import Document
from coref_k8s.text.words import Words


def chains(text: str) -> list[list[tuple[int, int]]]:
    """`a bc` is a singleton and a pair; each letter has a span of its own."""
    return [[(ord(letter), ord(letter) + 1) for letter in part] for part in text.split()]


def document(key: str, name: str = "d") -> Document:
    return Document(name, "가" * 200, {str(n): chain for n, chain in enumerate(chains(key))})


def scored(*pairs: tuple[str, str], singletons: bool = True) -> dict[str, float]:
    keys = [document(key, str(n)) for n, (key, _) in enumerate(pairs)]
    found = score_documents(keys, [chains(r) for _, r in pairs], singletons=singletons, full=False)
    return {name: one.value for name, one in found.scores.items()}


A = "a bc def"
A4 = {"muc": (1 / 3, 1 / 3), "b3": (5 / 9, 17 / 42), "ceafe": (2.2 / 3, 2.2 / 4), "lea": (3 / 6, 2 / 7)}
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
        A4,
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
    ("A7 (b twice in an entity)", A, "a bcxb dy z", A4),
    ("A8 (b in two entities)", A, "a bcx dy bz", A4),
    ("A9 (b ten times)", A, "a bcx dy bbbbbbbbbbz", A4),
    ("A12 (all alone)", A, "a x y c d e z", {"muc": (0, 0), "b3": (13 / 36, 4 / 7), "lea": (1 / 6, 1 / 7)}),
    (
        "A13 (all together)",
        A,
        "axycdez",
        {"muc": (1 / 3, 1 / 6), "b3": (17 / 36, 6 / 49), "lea": (1 / 6, 1 / 21)},
    ),
    ("B1", "ab cde", "bcx de", {"lea": (1 / 5, 2 / 5)}),
    ("C1", "ab cde fg", "bcx de fg", {"lea": (3 / 7, 4 / 7)}),
    ("H1 (Vilain)", "abcd", "abcd", {"muc": (1, 1), "lea": (1, 1)}),
    ("J1 (Vilain)", "abc", "ac", {"muc": (1 / 2, 1), "lea": (1 / 3, 1)}),
    ("M1", "abcdef", "abcdef", {"muc": (1, 1), "b3": (1, 1), "ceafe": (1, 1), "lea": (1, 1)}),
    ("M2", "abcdef", "a b c d e f", {"muc": (0, 0), "lea": (0, 0)}),
    ("M4", "abcdef", "abcxyz", {"lea": (1 / 5, 1 / 5)}),
    ("M5", "abcdef", "a b c x y z", {"muc": (0, 0), "lea": (0, 0)}),
    ("M6", "abcdef", "ab cxy z", {"lea": (1 / 15, 1 / 3)}),
    ("N1", "a b c d e f", "a b c d e f", {"muc": (0, 0), "b3": (1, 1), "ceafe": (1, 1), "lea": (1, 1)}),
    ("N2", "a b c d e f", "abcdef", {"muc": (0, 0), "lea": (0, 0)}),
    ("N3", "a b c d e f", "ab cde f", {"lea": (1 / 6, 1 / 6)}),
    ("N4", "a b c d e f", "a b c x y z", {"muc": (0, 0), "lea": (1 / 2, 1 / 2)}),
    ("N5", "a b c d e f", "abcxyz", {"lea": (0, 0)}),
    ("N6", "a b c d e f", "ab cxy z", {"lea": (0, 0)}),
    ("O1 (Cai & Strube)", "abc", "abd ij", {"b3": (4 / 9, 4 / 15)}),
]


@pytest.mark.parametrize(("key", "response", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_published_cases(key, response, expected):
    found = scored((key, response))
    for metric, (recall, precision) in expected.items():
        assert found[f"{metric}_recall"] == pytest.approx(recall), metric
        assert found[f"{metric}_precision"] == pytest.approx(precision), metric
        f1 = 2 * recall * precision / (recall + precision) if recall + precision else 0
        assert found[f"{metric}_f1"] == pytest.approx(f1), metric


def test_documents_are_micro_averaged():
    found = scored(("abc", "abc"), ("de", "d e"))
    assert found["muc_recall"] == pytest.approx(2 / 3)
    assert found["b3_recall"] == pytest.approx((3 + 2 / 2) / 5)
    assert found["ceafe_precision"] == pytest.approx((1 + 2 / 3) / 3)
    assert found["mention_f1"] == 1
    assert found["conll_f1"] == pytest.approx(sum(found[f"{m}_f1"] for m in ("muc", "b3", "ceafe")) / 3)


def test_singletons_count_or_not():
    assert scored(("a bc d", "a bc e"))["mention_recall"] == pytest.approx(3 / 4)
    without = scored(("a bc d", "a bc e"), singletons=False)
    assert without["mention_recall"] == without["conll_f1"] == without["lea_f1"] == 1


@pytest.mark.parametrize("pairs", [[], [("", "")], [("ab", "")], [("", "ab")]])
def test_nothing_to_compare_scores_zero(pairs):
    assert not any(scored(*pairs).values())


partitions = st.lists(st.sampled_from("0123"), min_size=1, max_size=7).map(
    lambda labels: " ".join(
        "".join(chr(ord("a") + i) for i, label in enumerate(labels) if label == name)
        for name in sorted(set(labels))
    )
)


@given(partitions, partitions)
@settings(max_examples=100, deadline=None)
def test_ceaf_finds_the_best_alignment(key, response):
    key, response = (list(map(frozenset, side.split())) for side in (key, response))
    small, large = sorted((key, response), key=len)
    best = max(
        sum(2 * len(s & r) / (len(s) + len(r)) for s, r in zip(small, chosen, strict=True))
        for chosen in itertools.permutations(large, len(small))
    )
    counts = ceaf_e(key, response)
    assert counts.recall == pytest.approx(best)
    assert counts[1::2] == (len(key), len(response))


@given(partitions)
@settings(deadline=None)
def test_a_partition_agrees_with_itself(key):
    found = scored((key, key))
    assert found["b3_f1"] == found["ceafe_f1"] == pytest.approx(1)
    assert found["lea_f1"] == pytest.approx(1)
    assert found["muc_f1"] == pytest.approx(1) or all(len(chain) == 1 for chain in key.split())


@given(partitions, partitions)
@settings(max_examples=50, deadline=None)
def test_sides_change_places(key, response):
    forth, back = scored((key, response)), scored((response, key))
    for metric in ("muc", "b3", "ceafe", "lea", "mention", "conll"):
        assert forth[f"{metric}_recall"] == pytest.approx(back[f"{metric}_precision"])


# --- heads: the CorefUD scorer's own cases; a mention is first-last*head


def mention(text: str) -> Headed:
    span, _, head = text.partition("*")
    first, _, last = span.partition("-")
    return Headed(frozenset(range(int(first), int(last or first) + 1)), int(head))


HEAD_KEY = "2-13*10 48*48|2-5*3 30-32*30 63-64*63 67*67"
REST = "30-32*30 63-64*63 67*67"


@pytest.mark.parametrize(
    ("response", "right"),
    [
        pytest.param(HEAD_KEY, 6, id="1: equal"),
        pytest.param(f"10*10 48*48|3*3 {REST}", 6, id="2: only the heads"),
        pytest.param("2-11*10 48*48|3-9*3 29-32*30 63-64*63 67*67", 6, id="3: crossing"),
        pytest.param(f"9-11*9 48*48|4-5*4 {REST}", 4, id="4: other heads"),
        pytest.param(f"9-11*10 48*48|3-5*4 {REST}", 5, id="a head of two is wrong"),
    ],
)
def test_mentions_match_by_head(response, right):
    key, answer = (
        [[mention(one) for one in chain.split()] for chain in side.split("|")]
        for side in (HEAD_KEY, response)
    )
    pairs = by_head(key, answer)
    assert len(pairs) == right
    place = {one: number for number, chain in enumerate(key) for one in chain}
    for number, chain in enumerate(answer):
        assert all(place[pairs[one]] == number for one in chain if one in pairs)


def test_of_mentions_with_one_head_the_best_covered_pair():
    key = [[mention("1-4*2"), mention("2-3*2")]]
    pairs = by_head(key, [[mention("1-3*2")], [mention("2*2")]])
    assert pairs == {mention("1-3*2"): mention("1-4*2"), mention("2*2"): mention("2-3*2")}


def treebank(clusters: dict[str, list[tuple[int, int]]]) -> Document:
    """소람은 마을 끝 집에 살았다: the head of `마을 끝 집에` is its last word."""
    text = "소람은 마을 끝 집에 살았다 . 그 집은 낡았다 ."
    spans, start = [], 0
    for word in text.split():
        spans.append((start, start + len(word)))
        start += len(word) + 1
    return Document("t", text, clusters, words=Words(spans, [4, 2, 3, 4, -1, 4, 7, 8, -1, 8]))


def test_the_head_of_a_span_is_the_word_that_depends_on_none_inside():
    words = treebank({}).words
    assert words is not None
    assert words.head((4, 11)) == 3  # 마을 끝 집에
    assert words.head((4, 8)) == 2  # 마을 끝
    assert words.head((0, 8)) == 0  # 소람은 마을 끝: two candidates, the first
    assert words.head((3, 4)) is None  # a blank
    assert Words(words.spans, words.parents, {(4, 11): 1}).head((4, 11)) == 1  # as the data say


def test_a_treebank_is_scored_by_heads_with_exact_spans_beside():
    key = treebank({"1": [(4, 11), (20, 24)]})
    found = score_documents([key], [[[(9, 11), (22, 24)], [(0, 3)]]], singletons=False)
    assert found.headline == "head-no-singletons"
    assert found.scores["conll_f1"].value == found.scores["mention_f1"].value == 1
    assert set(found.views) == {"head", "head-no-singletons", "exact", "exact-no-singletons"}
    assert found.views["head"]["mention_precision"].value == pytest.approx(2 / 3)
    assert found.views["exact"]["mention_f1"].value == 0
    assert found.types["seen"].n + found.types["new"].n == 1
    assert sum(part.found for part in found.types.values()) == 1


def test_singletons_are_dropped_before_mentions_are_matched():
    # (4, 11) and (9, 11) have one head
    key = treebank({"1": [(4, 11), (20, 24)], "2": [(9, 11)]})
    response = [[[(9, 11), (20, 24)]]]
    both, without = (
        score_documents([key], response, singletons=one, full=False).scores for one in (True, False)
    )
    assert both["muc_f1"].value == 0  # (9, 11) is the singleton of the key
    assert without["muc_f1"].value == 1


# --- what a result shows beside the scores

TEXT = (
    "누리가 강가에 앉아 있었다. 소람이 누리를 불렀다. 그녀는 손을 흔들었다. 나루터의 주인이 소람에게 물었다. "
    "그 노인은 누리를 알았다."
)


def spans(*strings: tuple[str, int]) -> list[tuple[int, int]]:
    """The n-th occurrence of each string in TEXT."""
    found = []
    for string, number in strings:
        start = -1
        for _ in range(number):
            start = TEXT.index(string, start + 1)
        found.append((start, start + len(string)))
    return found


NURI = spans(("누리", 1), ("누리", 2), ("그녀", 1), ("누리", 3))
SORAM = spans(("소람", 1), ("소람", 2))
OWNER = spans(("나루터의 주인", 1), ("그 노인", 1))


def story(name: str = "story") -> Document:
    return Document(name, TEXT, {"1": NURI, "2": SORAM, "3": OWNER})


def characters(text: str) -> list[tuple[int, int]]:
    return [(place, place + 1) for place in range(len(text))]


def test_recall_by_type_and_distance():
    response = [NURI[:2], [NURI[2], NURI[3]], SORAM, OWNER[1:]]
    found = score_documents([story()], [response], tokens=[characters(TEXT)])
    assert {name: (one.found, one.n) for name, one in found.types.items()} == {
        "seen": (3, 3),
        "new": (0, 1),
        "pronoun": (0, 1),
    }
    assert {name: (one.found, one.n) for name, one in found.distances.items()} == {
        "0-512": (3, 5),
        "512-1024": (0, 0),
        "1024-2048": (0, 0),
        "2048-": (0, 0),
    }
    assert found.metrics()["recall_seen"] == 1
    assert "recall_512_1024" not in found.metrics()


def test_distance_is_counted_from_the_nearest_antecedent():
    text = "누리가 왔다. " + "바람이 분다. " * 300 + "누리가 갔다. " + "비가 온다. " * 80 + "누리는 없다."
    places = [text.index("누리"), text.rindex("누리가"), text.rindex("누리")]
    gold = Document("far", text, {"1": [(place, place + 2) for place in places]})
    found = score_documents([gold], [[[(p, p + 2) for p in places[1:]]]], tokens=[characters(text)])
    assert [(one.found, one.n) for one in found.distances.values()] == [(0, 0), (1, 1), (0, 0), (0, 1)]


def test_an_equal_string_needs_no_model():
    found = score_documents([story()], [[NURI, SORAM, OWNER]], linked=[[NURI, SORAM, OWNER]])
    assert found.scores["conll_f1"].value == found.gold["conll_f1"].value == 1
    equal = found.baselines["gold_equal"]
    assert equal["muc_recall"].value == pytest.approx(3 / 5)
    assert equal["mention_f1"].value == 1
    assert found.baselines["gold_alone"]["muc_f1"].value == 0
    # from raw text other noun runs are mentions, too, and pronouns are not linked
    assert 0 < found.baselines["equal"]["conll_f1"].value < equal["conll_f1"].value
    assert found.baselines["alone"]["mention_f1"].value > 0
    named = found.metrics()
    assert named["gold_conll_f1"] == 1
    assert named["gold_equal_conll_f1"] == equal["conll_f1"].value
    assert named["exact_no_singletons_conll_f1"] == 1


def test_an_interval_needs_three_documents():
    two = score_documents([story("a"), story("b")], [[NURI], [SORAM]])
    assert two.scores["conll_f1"].low is None
    assert "conll_f1_ci_low" not in two.metrics()
    three = score_documents([story("a"), story("b"), story("c")], [[NURI], [SORAM], [NURI, OWNER]])
    one = three.scores["conll_f1"]
    assert one.low < one.value < one.high
    # parts of one work are one unit
    parts = score_documents(
        [story("a"), story("b"), story("c")], [[NURI], [SORAM], [NURI]], groups=["a", "a", "c"]
    )
    assert parts.scores["conll_f1"].documents == 2
    own = [replace(story(name), group=name[0]) for name in ("a1", "a2", "c1")]
    assert Key(own).score([[NURI]] * 3, full=False).scores["conll_f1"].documents == 2


def test_every_document_needs_a_response():
    with pytest.raises(ValueError, match="1 responses to 2 documents"):
        Key([story("a"), story("b")]).score([[NURI]])
