"""What may be claimed about two results."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from coref_k8s.errors import DataError
from coref_k8s.evaluation.compare import compare
from coref_k8s.evaluation.evaluate import evaluate
from coref_k8s.evaluation.items import build_items
from coref_k8s.evaluation.result import EvaluationResult, ItemScores
from tests.evaluation.scripted import NAMES, constant, copier, planted, train_tokenizer


def result(scores: list[float], documents: list[str], name: str = "coref_top5") -> EvaluationResult:
    ids = [f"{document}:{i}" for i, document in enumerate(documents)]
    return EvaluationResult(
        metrics={"score": 0.0},
        counts={},
        buckets=[],
        thresholds={"tau": 0.0},
        warnings=[],
        item_scores={"coref": ItemScores(ids, documents, {name: scores})},
        items_sha256="",
        tokenizer="",
        seq_len=512,
        weights={name: 1.0},
        full=True,
    )


DOCUMENTS = [f"d{i // 4}" for i in range(40)]


def one(a: list[float], b: list[float], documents: list[str] = DOCUMENTS):
    score, found = compare(result(a, documents), result(b, documents))
    assert score.metric == "score"
    assert (score.difference, score.low, score.high) == pytest.approx(
        (found.difference, found.low, found.high)
    )
    assert found.claim == ""  # claims are for the objective alone
    return score


def test_better_worse_and_no_difference():
    good, bad = [1.0] * 40, [0.0, 1.0] * 20
    assert one(good, bad).claim == "better"
    assert (
        one(good, bad)
        .sentence("tuned", "untuned")
        .say()
        .startswith("tuned is better than untuned: score 1.000")
    )
    assert one(bad, good).claim == "worse"
    mixed = one([1.0, 0.0] * 20, [0.0, 1.0] * 20)
    assert mixed.claim == "no difference shown"
    assert "No difference shown between A and B" in str(mixed.sentence("A", "B"))


def test_pairing_shows_what_two_separate_intervals_would_not():
    """Documents differ much, the models little: every document is a bit better."""
    b = [float(i % 4 < (i // 4) % 4) for i in range(40)]
    a = [float(i % 4 < (i // 4) % 4 + 1) for i in range(40)]
    found = one(a, b)
    assert found.claim == "better"
    assert (found.low, found.high) == pytest.approx((0.25, 0.25))


def test_few_documents_claim_nothing():
    found = one([1.0] * 8, [0.0] * 8, ["a"] * 4 + ["b"] * 4)
    assert found.difference == 1
    assert found.low is None
    assert found.claim == "no difference shown"
    assert "too few documents for a claim, 3 would do" in str(found.sentence("A", "B"))


def test_of_other_metrics_figures_are_given_and_nothing_is_claimed():
    _, found = compare(result([1.0] * 40, DOCUMENTS), result([0.0] * 40, DOCUMENTS))
    assert str(found.sentence("A", "B")).startswith("Coref Top5 1.000 against 0.000 (difference +1.000")
    # other objectives: no score in common
    other = replace(result([0.0] * 40, DOCUMENTS), weights={"coref_top5": 0.5})
    assert [one.metric for one in compare(result([1.0] * 40, DOCUMENTS), other)] == ["coref_top5"]


def test_results_that_cannot_be_paired_are_refused():
    a = result([1.0], ["a"])
    with pytest.raises(DataError, match="512 and 1024"):
        compare(a, replace(a, seq_len=1024))
    with pytest.raises(DataError, match="no evaluation item in common"):
        compare(a, result([1.0], ["b"]))


def test_real_results(tokenizer, items):
    good = evaluate(copier(tokenizer, items), tokenizer, items)
    flat = evaluate(constant(tokenizer, NAMES[:5]), tokenizer, items)
    found = {entry.metric: entry for entry in compare(good, flat)}
    assert found["score"].claim == "better"
    assert found["coref_f1"].low > 0
    assert found["coref_top5_gain"].low > 0
    assert found["score"].difference == pytest.approx(good.score - flat.score)
    assert found["coref_f1"].b == pytest.approx(flat.metrics["coref_f1"])
    assert all(entry.difference == 0 == entry.low == entry.high for entry in compare(good, good))


def test_one_model_with_and_without_chains_is_not_compared(tokenizer):
    """The same places are asked, but what is right differs: 0.2 would be said to be a difference of the model."""
    there, here = (
        build_items([planted(n, gold) for n in range(6)], tokenizer, 256, max_items=60)
        for gold in (True, False)
    )
    assert {item.id for item in there.lambada} & {item.id for item in here.lambada}
    a, b = (evaluate(copier(tokenizer, items), tokenizer, items) for items in (there, here))
    with pytest.raises(DataError, match="gold chains differ"):
        compare(a, b)


def test_models_with_different_tokenisers_share_items(tokenizer, documents):
    other = train_tokenizer([document.text for document in documents], 300)
    some = [planted(n) for n in range(6)]
    here, there = (build_items(some, t, 256, max_items=60) for t in (tokenizer, other))
    a = evaluate(copier(tokenizer, here), tokenizer, here)
    b = evaluate(copier(other, there), other, there)
    assert a.items_sha256 != b.items_sha256
    found = {entry.metric: entry for entry in compare(a, b)}
    assert 0 < found["coref_top5"].items <= len(here.coref)
    left = len({item.id for item in here.coref} ^ {item.id for item in there.coref})
    assert found["coref_top5"].left_out == left
    assert ("left out" in str(found["coref_top5"].sentence("A", "B"))) == (left > 0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not an evaluation result"),
        (b'{"a": 1}', "not an evaluation result"),
        (b"[1, 2]", "not an evaluation result"),
        (b'{"metrics": {"sc', "not an evaluation result"),
        (b"\xff\xfe\x00", "not an evaluation result"),
        (b"[" * 100_000, "not an evaluation result"),
        (None, "No such file"),
    ],
)
def test_a_damaged_result_is_one_sentence_with_its_name(tmp_path, content, said):
    path = tmp_path / "saved.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=f"saved.json: .*{said}"):
        EvaluationResult.read(path)


@pytest.mark.parametrize(
    "change",
    [
        {"ids": ["d0:0"]},
        {"ids": None},
        {"documents": ["d0"] * 41},
        {"columns": {"coref_top5": [1.0] * 39}},
        {"columns": {"coref_top5": [1.0] * 39 + [float("nan")]}},
        {"columns": {"coref_top5": ["1.0"] * 40}},
    ],
    ids=str,
)
def test_scores_that_were_cut_or_changed_are_one_sentence(tmp_path, change):
    saved = json.loads(result([1.0] * 40, DOCUMENTS).to_json())
    saved["item_scores"]["coref"] |= change
    (tmp_path / "saved.json").write_text(json.dumps(saved))
    with pytest.raises(DataError, match=r"saved\.json: .*not an evaluation result"):
        EvaluationResult.read(tmp_path / "saved.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_result_is_read_in_the_encodings_that_shells_write(tmp_path, encoding):
    found = result([1.0] * 40, DOCUMENTS)
    (tmp_path / "a.json").write_text(found.to_json(), encoding=encoding)
    assert EvaluationResult.read(tmp_path / "a.json") == found
