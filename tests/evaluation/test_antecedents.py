"""Antecedent accuracy of a masked language model over gold mentions."""

from __future__ import annotations

import json
from io import StringIO

import pytest
import torch
from rich.console import Console

from coref_k8s.cli.evaluation_tables import evaluation
from coref_k8s.evaluation.compare import compare
from coref_k8s.evaluation.evaluate import evaluate
from coref_k8s.evaluation.items import ItemSet, build_items
from coref_k8s.text.document import Document
from tests.evaluation.scripted import constant, planted, train_tokenizer

PLACES = ("시장", "항구", "학교", "우체국", "과수원", "도서관", "빵집", "등대", "선착장", "방앗간")


def scene(number: int) -> Document:
    """Two people, each met by name, by role and by pronoun: 24 mentions, 22 of them with an antecedent."""
    text, chains = "", {"a": [], "b": []}

    def say(template: str, **mentions: tuple[str, str]) -> None:
        nonlocal text
        for part in template.split("|"):
            if part in mentions:
                entity, string = mentions[part]
                chains[entity].append((len(text), len(text) + len(string)))
                part = string
            text += part
        text += " "

    for turn in range(6):
        place = PLACES[(number + turn) % len(PLACES)]
        say(f"|x|은 아침에 {place}에서 오래 기다렸다.", x=("a", "김영준"))
        say(f"|y|은 저녁에 {place}으로 걸어갔다.", y=("b", "박서진"))
        say("|x|는 말없이 웃었다.", x=("a", "그") if turn else ("a", "우체부"))
        say("|y|는 고개를 돌렸다.", y=("b", "그녀") if turn else ("b", "간호사"))
    return Document(f"scene-{number:02}", text.strip(), chains)


def made(documents: list[Document], tokenizer, **values) -> ItemSet:
    return build_items(documents, tokenizer, 256, **values)


def knower(tokenizer, items: ItemSet, wrong: frozenset[str] = frozenset()):
    """A model that knows whose mention is masked by what stands around it; of the types in `wrong` it takes the other's."""
    names = {"a": "김영준", "b": "박서진"}
    known = {}
    for item in items.antecedents:
        right = tuple(items.tables[item.document].ids[item.target[1] : item.window[1]])
        left = items.tables[item.document].ids[item.window[0] : item.target[0]]
        other = {"a": "b", "b": "a"}[item.entity]
        known[right, tuple(left[-60:])] = names[other if item.type in wrong else item.entity]

    def logits(ids, mask, positions):
        out = torch.zeros(len(positions), len(tokenizer))
        rows = positions[:, 0].tolist()
        for number, (row, column) in enumerate(positions.tolist()):
            first, count = positions[rows.index(row), 1].item(), rows.count(row)
            line = ids[row, : int(mask[row].sum())].tolist()
            name = known.get((tuple(line[first + count : -1]), tuple(line[1:first][-60:])), "")
            pieces = tokenizer(name, add_special_tokens=False)["input_ids"] if name else []
            if len(pieces) == count:
                out[number, pieces[column - first]] = 20.0
        return out

    return logits


def test_who_knows_the_entity_is_right_whatever_the_type():
    documents = [scene(number) for number in range(12)]
    tokenizer = train_tokenizer([one.text for one in documents], 300)
    items = made(documents, tokenizer, max_items=400)
    assert {item.type for item in items.antecedents} == {"seen", "new", "pronoun"}
    assert items.counts["antecedents_pronoun"] == 12 * 10
    result = evaluate(knower(tokenizer, items), tokenizer, items)
    m = result.metrics
    assert result.counts["antecedent"] == len(items.antecedents) == 12 * 22
    assert m["antecedent"] == m["antecedent_pronoun"] == m["antecedent_seen"] == pytest.approx(1.0)
    assert 0.9 < m["antecedent_ci_low"] < m["antecedent_ci_high"]
    # the people take turns, so neither choice without a model is better than a coin, for pronouns
    assert 0.3 < m["baseline_frequent_antecedent_pronoun"] < 0.7
    assert m["baseline_nearest_antecedent"] < 0.7
    assert m["antecedent_possible"] == pytest.approx(1.0)

    worse = evaluate(knower(tokenizer, items, frozenset({"pronoun"})), tokenizer, items)
    assert worse.metrics["antecedent_pronoun"] == 0.0
    assert worse.metrics["antecedent_seen"] == pytest.approx(1.0)
    assert {one.metric: one for one in compare(result, worse)}["antecedent"].low > 0


def test_a_kind_is_counted_for_as_many_as_it_stands_for():
    documents = [scene(number) for number in range(12)]
    tokenizer = train_tokenizer([one.text for one in documents], 300)
    items = made(documents, tokenizer, max_items=90)
    asked = [item.type for item in items.antecedents]
    assert len(asked) == 90
    assert asked[:3] == list(dict.fromkeys(asked))[:3]  # any beginning has all types
    assert min(map(asked.count, set(asked))) >= 24
    m = evaluate(knower(tokenizer, items, frozenset({"pronoun"})), tokenizer, items).metrics
    share = items.counts["antecedents_pronoun"] / (12 * 22)
    assert m["antecedent"] == pytest.approx(1 - share)
    assert m["antecedent_seen"] == pytest.approx(1.0)


def test_a_person_reads_them_by_type_and_distance():
    documents = [scene(number) for number in range(12)]
    tokenizer = train_tokenizer([one.text for one in documents], 300)
    result = evaluate(constant(tokenizer, ["김영준"]), tokenizer, made(documents, tokenizer, max_items=100))
    result.counts["antecedent_512_1024"] = 7
    screen = Console(file=StringIO(), width=100)
    screen.print(evaluation(result))
    lines = [" ".join(line.split()) for line in screen.file.getvalue().splitlines()]
    m = result.metrics
    for words, n, name in (
        ("all", 100, "antecedent"),
        ("a pronoun", result.counts["antecedent_pronoun"], "antecedent_pronoun"),
    ):
        ends = f"{m[f'{name}_ci_low']:.3f} … {m[f'{name}_ci_high']:.3f}"
        guesses = (m[f"baseline_{guess}_{name}"] for guess in ("frequent", "nearest"))
        wanted = f"{words} {n} {m[name]:.3f} {ends} {' '.join(f'{guess:.3f}' for guess in guesses)}"
        assert any(wanted in line for line in lines), (wanted, lines)
    assert any("513–1,024 tokens 7 too few items" in line for line in lines)


def test_who_says_always_the_same_is_right_by_chance():
    documents = [scene(number) for number in range(12)]
    tokenizer = train_tokenizer([one.text for one in documents], 300)
    items = made(documents, tokenizer, max_items=400)
    m = evaluate(constant(tokenizer, ["김영준"]), tokenizer, items).metrics
    assert 0.3 < m["antecedent"] < 0.7
    # nothing known at all: every candidate is as good as the others
    blank = evaluate(lambda *_: torch.zeros(len(_[2]), len(tokenizer)), tokenizer, items).metrics
    assert 0.4 < blank["antecedent"] < 0.6


def test_without_chains_nothing_is_asked_and_few_mentions_give_no_number(tokenizer):
    plain = made([planted(n, gold=False) for n in range(4)], tokenizer)
    result = evaluate(constant(tokenizer, ["한서윤"]), tokenizer, plain)
    assert not plain.antecedents
    assert not [name for name in (*result.metrics, *result.counts) if "antecedent" in name]
    few = made([scene(0)], tokenizer)
    result = evaluate(constant(tokenizer, ["한서윤"]), tokenizer, few)
    assert 0 < result.counts["antecedent"] < 30
    assert "antecedent" not in result.metrics


def test_items_survive_their_file_and_one_without_them_is_read(tokenizer, tmp_path):
    items = made([scene(0)], tokenizer)
    path = items.save(tmp_path / "items.json")
    assert ItemSet.load(path) == items
    before = json.loads(path.read_text())
    del before["antecedents"]
    path.write_text(json.dumps(before))
    assert ItemSet.load(path).antecedents == []
