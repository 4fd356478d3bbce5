"""The rules by which items are made."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from coref_k8s.errors import UnusableTextError
from coref_k8s.evaluation import coref_items
from coref_k8s.evaluation.arms import TRUNCATED, coref_pass, lambada_pass
from coref_k8s.evaluation.closed import MAX_LENGTHS, candidates
from coref_k8s.evaluation.evaluate import check_objective
from coref_k8s.evaluation.items import ItemSet, build_items
from coref_k8s.evaluation.table import prepare
from coref_k8s.evaluation.vocabulary import Vocabulary, normalise
from coref_k8s.text.document import Document
from coref_k8s.text.korean import josa_class
from tests.evaluation.scripted import SEQ_LEN, planted, train_tokenizer

FILLER = "바람이 골목 끝까지 불어와 낡은 간판을 흔들었다. "


@pytest.fixture(scope="module")
def vocabulary(tokenizer) -> Vocabulary:
    return Vocabulary(tokenizer)


def test_every_item_keeps_its_promises(items: ItemSet, tokenizer, vocabulary):
    assert len(items.coref) == 40
    for item in items.coref:
        table = items.tables[item.document]
        (start, end), (first, last) = item.window, item.target
        gold = vocabulary.word(item.string)
        assert table.ids[first:last] == gold
        assert table.ids[slice(*item.antecedent)] == gold
        assert item.distance == first - item.antecedent[1] > 0
        assert start <= item.antecedent[0]
        assert end - start <= SEQ_LEN - 2
        assert end - last <= coref_items.RIGHT_CONTEXT
        between = tokenizer.decode(table.ids[item.antecedent[1] : first])
        after = tokenizer.decode(table.ids[last:end])
        assert item.string not in between
        assert item.string not in after


@pytest.mark.parametrize("gold", [True, False])
def test_first_mentions_are_as_many_as_the_others_and_stand_first(tokenizer, gold):
    documents = [planted(number, gold) for number in range(24)]
    items = build_items(documents, tokenizer, SEQ_LEN, max_items=40)
    assert len(items.firsts) == len(items.pairs) == len(items.coref) == 40
    assert len({first.id for first in items.firsts}) == 40
    for first in items.firsts:
        table = items.tables[first.document]
        place = table.strings.index(first.string)
        assert min(run[0] for run in table.runs if run[2] == place) == first.target[0]
        assert first.entity == (first.string if gold else f"={first.string}")
    if not gold:  # gold entities are few, and introduced early: there is no choice
        rooms = [
            (items.coref[a].target[0] - items.coref[a].window[0], f.target[0] - f.window[0])
            for a, f in zip(items.pairs, items.firsts, strict=True)
        ]
        mean = [sum(room[side] for room in rooms) / len(rooms) for side in (0, 1)]
        assert mean[1] == pytest.approx(mean[0], rel=0.25)


def test_a_study_that_weighs_coref_f1_needs_first_mentions(items: ItemSet):
    check_objective(items, {"coref_f1": 1.0}, "dev")
    check_objective(replace(items, firsts=items.firsts[:1]), {"coref_f1": 1.0}, "dev")
    without = replace(items, firsts=())
    check_objective(without, {"coref_top5": 1.0}, "dev")
    with pytest.raises(
        UnusableTextError, match=r"objective weighs coref_f1, but .* dev documents have 0 first mentions"
    ):
        check_objective(without, {"coref_f1": 0.5, "coref_top5": 0.5}, "dev")


def test_what_no_chain_names_is_no_first_mention(tokenizer, vocabulary):
    """구자영 is named once and 표은결 later by a pronoun's chain: singletons serve, what is not annotated does not."""
    text = (
        "구자영은 조용히 문을 열었다. 도서관 창가에는 먼지 앉은 사전이 줄지어 서 있었다. "
        "그녀는 오래 기다렸다. 사람들은 표은결을 보았다."
    )

    def span(word):
        return text.index(word), text.index(word) + len(word)

    clusters = {"1": [span("구자영")], "2": [span("그녀"), span("표은결")]}
    bench = prepare(Document("d", text, clusters), vocabulary)
    firsts = list(coref_items.first_mentions(bench, 0, 128))
    assert [(one.string, one.entity) for one in firsts] == [("구자영", "1")]
    plain = prepare(Document("d", text), vocabulary)
    assert {"구자영", "도서관", "표은결"} < {one.string for one in coref_items.first_mentions(plain, 0, 128)}


def test_the_removed_arm_leaves_no_word_that_holds_the_string():
    """유일복 holds 일복: a token of its own that no run of 일복 is."""
    filler = "바람이 골목 끝까지 불어와 낡은 간판을 흔들었다. " * 2
    text = f"유일복의 집에는 종이 걸렸다. 그 아들 일복은 문을 열었다. {filler}사람들은 일복을 오래 기다렸다."
    tokenizer = train_tokenizer([text], 10)
    tokenizer.add_tokens(["유일복의"])
    vocabulary = Vocabulary(tokenizer)
    spans = [(at, at + 2) for at in range(len(text)) if text.startswith(" 일복", at - 1)]
    bench = prepare(Document("d", text, {"1": spans}), vocabulary)
    (item,) = coref_items.anaphoric(bench, 0, 512)
    assert (item.string, len(item.earlier)) == ("일복", 2)
    assert item.antecedent == item.earlier[1]
    removed = coref_pass(item, bench.table, vocabulary, 512, arm="removed")
    full = coref_pass(item, bench.table, vocabulary, 512)
    assert "일복" in tokenizer.decode(full.ids)
    assert "일복" not in tokenizer.decode(removed.ids)
    assert len(removed.ids) == len(full.ids)


def test_few_items_of_one_document_bucket_or_string():
    def item(document, string, distance, at):
        return coref_items.CorefItem(
            f"{document}:{at}", document, (0, 9000), (at, at + 1), string, string, (0, 1), distance, []
        )

    many = [
        item(d, f"말{s}", distance, 10_000 * s + distance + n)
        for d in range(3)
        for s in range(8)
        for distance in (100, 600, 1200, 2000)
        for n in range(3)
    ]
    kept = coref_items.sample(many, 1000, 0)
    assert max(Counter((i.document, coref_items.bucket(i.distance)) for i in kept).values()) == 5
    assert max(Counter((i.document, i.string) for i in kept).values()) == 2
    buckets = {coref_items.bucket(i.distance) for i in kept}
    assert len(buckets) > 1
    # Buckets take turns, so any beginning is balanced.
    assert {coref_items.bucket(i.distance) for i in kept[: len(buckets)]} == buckets
    assert coref_items.sample(list(reversed(many)), 1000, 0) == kept
    assert coref_items.sample(many, 1000, 1) != kept


@pytest.mark.parametrize(
    ("distance", "number"), [(1, 0), (512, 0), (513, 1), (1024, 1), (1536, 2), (1537, 3), (2048, 3)]
)
def test_bucket_bounds(distance, number):
    assert coref_items.bucket(distance) == number


def test_what_reveals_the_string_in_between_disqualifies_an_item(tokenizer, vocabulary):
    """시장골목 between 시장 and 시장 would be the nearer clue, at a distance that the item would not state."""
    clean = Document("a", "시장에서는 종이 울렸다. " + FILLER + "아이들이 시장을 지났다.")
    spoilt = Document(
        "b", "시장에서는 종이 울렸다. 시장골목에는 비가 왔다. " + FILLER + "아이들이 시장을 지났다."
    )
    found = {}
    for document in (clean, spoilt):
        bench = prepare(document, vocabulary)
        targets = [i for i in coref_items.anaphoric(bench, 0, 512) if i.string == "시장"]
        found[document.doc_id] = len(targets)
    assert found["b"] == 0
    assert found["a"] <= 1


def test_gold_chains_decide_what_is_an_antecedent(vocabulary):
    document = planted(0)

    def targets(clusters):
        bench = prepare(Document("d", document.text, clusters), vocabulary)
        return {bench.tokens.starts[item.target[0]] for item in coref_items.anaphoric(bench, 0, 2048)}

    gold = targets(document.clusters)
    assert len(gold) > 5
    assert gold <= {start for spans in document.clusters.values() for start, _ in sorted(spans)[1:]}
    assert targets({}) > gold  # repeated nouns of the filler too
    # Two people of one name in turns: the nearest earlier occurrence is always the other one.
    turns = {f"{name}{side}": spans[side::2] for name, spans in document.clusters.items() for side in (0, 1)}
    assert targets(turns) == set()


def test_the_removed_arm_holds_the_string_nowhere_and_is_as_long(items: ItemSet, vocabulary, tokenizer):
    for item in items.coref:
        table = items.tables[item.document]
        full = coref_pass(item, table, vocabulary, SEQ_LEN)
        removed = coref_pass(item, table, vocabulary, SEQ_LEN, arm="removed")
        assert len(full.ids) == len(removed.ids) <= SEQ_LEN
        assert full.positions == removed.positions
        assert item.string in tokenizer.decode(full.ids)
        assert item.string not in tokenizer.decode(removed.ids)
        short = coref_pass(item, table, vocabulary, SEQ_LEN, arm="truncated")
        assert short.positions[0] - 1 == min(TRUNCATED, item.target[0] - item.window[0])


def test_the_swapped_arm_puts_a_stand_in_everywhere(items: ItemSet, vocabulary, tokenizer):
    swapped = [item for item in items.coref if item.swap]
    assert len(swapped) > 20
    for item in swapped:
        table = items.tables[item.document]
        ids = coref_pass(item, table, vocabulary, SEQ_LEN, arm="swapped").ids
        text = tokenizer.decode(ids)
        assert item.string not in text
        assert item.swap in text
        assert len(vocabulary.word(item.swap)) == item.target[1] - item.target[0]
        assert josa_class(item.swap) == josa_class(item.string)
        assert item.swap not in table.strings
        chosen = candidates(item, table, vocabulary, "swapped")
        assert chosen.strings[chosen.gold] == item.swap
        assert item.string not in chosen.strings


def test_candidates_are_the_windows_runs_in_at_most_four_lengths(items: ItemSet, vocabulary):
    for item in [*items.coref, *items.firsts]:
        table = items.tables[item.document]
        chosen = candidates(item, table, vocabulary)
        assert chosen.strings[chosen.gold] == item.string
        assert len(set(chosen.strings)) == len(chosen.strings)
        assert len(chosen.lengths()) <= MAX_LENGTHS
        assert chosen.lengths()[0] == item.target[1] - item.target[0]
        antecedent = chosen.entities[chosen.gold]
        assert antecedent == (item.entity if item.antecedent else None)


def test_lambada_targets_end_their_passage_and_stand_before(items: ItemSet, vocabulary, tokenizer):
    assert len(items.lambada) >= 20
    for item in items.lambada:
        table = items.tables[item.document]
        assert item.passage[0] < item.sentence[0] < item.target[0]
        assert item.passage[1] == item.sentence[1]
        assert item.passage[1] - item.passage[0] <= SEQ_LEN - 2
        assert item.string in tokenizer.decode(table.ids[item.passage[0] : item.sentence[0]])
        alone = lambada_pass(item, table, vocabulary, SEQ_LEN, sentence_only=True)
        assert item.string not in tokenizer.decode(alone.ids)


def test_released_items_are_taken_as_they_are(tokenizer, vocabulary):
    text = f"항구의 등대는 안개 속에서 느리게 깜박였다. {FILLER}사람들은 진하람을 오래 기다렸다."
    at = text.rindex("진하람")
    released = Document("ko-1", text, answer=(at, at + 4))  # the answer comes with its particle
    items = build_items([released, planted(0)], tokenizer, 128)
    (item,) = [item for item in items.lambada if item.released]
    assert item.string == "진하람"
    assert vocabulary.join(items.tables[item.document].ids[slice(*item.target)]) == "진하람"
    assert not any(other.document == item.document for other in items.coref)


def test_the_name_of_a_chain_means_nothing(tokenizer):
    counts = {}
    for label in ("answer", "person"):
        documents = [
            Document(one.doc_id, one.text, {label: next(iter(one.clusters.values()))})
            for one in (planted(0), planted(1))
        ]
        items = build_items(documents, tokenizer, 128)
        counts[label] = (len(items.coref), len(items.lambada), len(items.firsts))
    assert counts["answer"] == counts["person"]
    assert counts["answer"][0]


def test_the_constant_list_is_what_it_is_given(tokenizer):
    items = build_items(
        [planted(1)], tokenizer, 128, frequent=["등대", "항구", "고을", "장터", "나루", "여섯째"]
    )
    assert items.frequent == ["등대", "항구", "고을", "장터", "나루"]
    assert build_items([planted(1)], tokenizer, 128).frequent[0] != "등대"


def test_seed_items_have_one_mask(items: ItemSet, tokenizer):
    kinds = Counter(item.kind for item in items.seed_items)
    assert kinds["coref_top5"] == 40
    assert kinds["lbd_top1"] == len(items.lambada)
    for item in items.seed_items:
        assert item.ids.count(tokenizer.mask_token_id) == 1
        assert item.ids[item.mask] == tokenizer.mask_token_id
        assert len(item.ids) <= SEQ_LEN - 2
        assert all(len(word) >= 2 for word in item.gold)


@pytest.mark.parametrize(
    ("piece", "form"), [("##터", "터"), ("▁나루", "나루"), ("나 루", "나루"), ("##", "##"), ("한", "한")]
)
def test_normal_form(piece, form):
    assert normalise(piece) == form


def test_ko_lambada_rows_keep_their_answer():
    from coref_k8s.corpus.extractors import extractor_for, get_extractor

    extract = get_extractor(extractor_for("thunder-research-group/SNU_Ko-LAMBADA", None))
    shown = {"index": 7, "text": "등대가 보였다. 사람들은 등대를 보았다.", "answer": "등대", "candidate": ""}
    for text in (
        shown["text"],
        "등대가 보였다. 사람들은 [MASK]를 보았다.",
        "등대가 보였다. 사람들은 ____를 보았다.",
    ):
        found = extract({**shown, "text": text})
        assert found.text == shown["text"]
        assert found.answer == (14, 16)
        assert not found.clusters
    assert extract({**shown, "answer": "바다"}) is None
