"""Gold chains on Korean word tokens: mentions carry particles and tags, and give the items that characters give."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from transformers import AutoTokenizer

from coref_k8s.corpus.shipped import shipped_tokenizer
from coref_k8s.corpus.tags import without_tag
from coref_k8s.evaluation.items import ItemSet, build_items
from coref_k8s.text.document import Document
from tests.evaluation.scripted import SEQ_LEN, planted
from tests.evaluation.word_tokens import conll, conllu, jsonlines, novels, read

WRITERS = {
    "a.conll": conll,
    "a.jsonl": jsonlines,
    "a.conllu": conllu,
    "tagged.conllu": lambda document: conllu(document, tagged=True),
}


@pytest.fixture(scope="module")
def four() -> list[Document]:
    return [planted(number) for number in range(4)]


@pytest.fixture(scope="module")
def by_characters(four: list[Document], tokenizer) -> ItemSet:
    return build_items(four, tokenizer, SEQ_LEN, max_items=100)


@pytest.mark.parametrize("name", WRITERS)
def test_word_tokens_give_the_items_that_characters_give(name, four, by_characters, tokenizer, tmp_path):
    path = tmp_path / name
    path.write_text("".join(map(WRITERS[name], four)), encoding="utf-8")
    documents = [replace(one, doc_id=one.doc_id.removesuffix("_0")) for one in read(path)]
    bare = all(
        one.text[slice(*span)] == name
        for one in four
        for name, spans in one.clusters.items()
        for span in spans
    )
    assert bare, "written without particles"
    carried = [
        one.text[start:end] for one in documents for spans in one.clusters.values() for start, end in spans
    ]
    assert all(text.endswith(("은", "을")) for text in carried), "read with them"
    items = build_items(documents, tokenizer, SEQ_LEN, max_items=100)
    assert len(items.coref) >= 0.9 * len(by_characters.coref) > 10
    assert {one.id for one in items.coref} == {one.id for one in by_characters.coref}
    assert {one.string for one in items.firsts} == {one.string for one in by_characters.firsts}


def test_what_is_glued_to_a_mention_is_cut_off_and_nothing_else(tokenizer):
    """Particles, quotes and tags go; phrases, and words that hold a second noun, stay as they are."""
    text = (
        "“구자영”은 조용히 문을 열었다. 늙은 오태림을 오래 기다렸다. 표은결/NNP 는 길을 떠났다. "
        "사람들은 구자영과오태림을 보았다. 그날 밤 구자영이라는 사람은 길을 떠났다."
    )

    def span(words):
        return text.index(words), text.index(words) + len(words)

    given = ["“구자영”은", "늙은 오태림을", "표은결/NNP", "구자영과오태림을", "구자영이라는"]
    document = Document("d", text, {str(number): [span(one)] for number, one in enumerate(given)})
    items = build_items([document], tokenizer, 128)
    named = {
        items.tables[0].strings[run[2]]: entity
        for run, entity in zip(items.tables[0].runs, items.tables[0].entities, strict=True)
        if not entity.startswith("=")
    }
    assert named == {"구자영": "4", "표은결": "2"}
    assert items.counts["gold_mentions"] == 5


def test_a_mention_that_is_a_noun_already_is_left_alone(four, by_characters):
    gold = {item.id.rsplit(":", 1)[1] for item in by_characters.coref}
    assert gold <= {f"{start}-{end}" for one in four for start, end, _ in one.mentions()}


@pytest.mark.parametrize(
    ("token", "bare"),
    [
        ("가메아리/NNP", "가메아리"),
        (unicodedata.normalize("NFD", "가메아리/NNP"), unicodedata.normalize("NFD", "가메아리")),
        ("가메아리/NNP+는/JX", "가메아리는"),
        ("무르익/VV-R+은/ETM", "무르익은"),
        ("낫/VV-I", "낫"),
        ("했/VV+EP", "했"),
        ("개/NNBC", "개"),
        ("“/SSO", "“"),
        ("2001/SN", "2001"),
        ("./SF", "."),
        ("WTC/SL", "WTC"),
        # what only looks like it
        ("TCP/IP", "TCP/IP"),
        ("HW/SW", "HW/SW"),
        ("그/그녀", "그/그녀"),
        ("나/NP+는", "나/NP+는"),
        ("10/25", "10/25"),
        ("//", "//"),
    ],
)
def test_a_token_is_read_without_its_tag(token, bare):
    assert without_tag(token) == bare


def test_tags_are_counted_and_said(four, tmp_path, caplog):
    (tmp_path / "tagged.conllu").write_text(conllu(four[0], tagged=True), encoding="utf-8")
    assert read(tmp_path)[0].text == four[0].text
    assert "tokens carry (가메아리/NNP is read as 가메아리)" in caplog.text


@pytest.mark.skipif(not novels(1), reason="COREF_CORPUS_DIR names no folder with novels.jsonl")
def test_novels_as_words_give_nine_items_in_ten(tmp_path):
    """Three novels; `python -m tests.benchmarks.word_tokens` counts ten."""
    tokenizer = AutoTokenizer.from_pretrained(shipped_tokenizer())
    documents = novels(3)
    (tmp_path / "novels.conll").write_text("".join(map(conll, documents)), encoding="utf-8")
    counts = [
        build_items(some, tokenizer, 512).counts["coref_candidates"] for some in (documents, read(tmp_path))
    ]
    assert counts[1] >= 0.9 * counts[0] > 100
