"""A coreference model on whole documents: quick and full evaluations, thresholds, comparison of two models."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from coref_k8s.coref.model import load_model, new_model
from coref_k8s.corpus.people import generate_people
from coref_k8s.corpus.shipped import shipped_tokenizer
from coref_k8s.errors import DataError, OutOfMemoryError, RequestError, UnusableTextError
from coref_k8s.evaluation.average import averaged
from coref_k8s.evaluation.chains import ALONE, LINKED, ChainSet, evaluate_chains
from coref_k8s.evaluation.compare import compare
from coref_k8s.evaluation.composite import by_item
from coref_k8s.evaluation.result import EvaluationResult
from coref_k8s.model.small import create_small_model
from tests.evaluation.together import Group

WEIGHTS = {"conll_f1": 0.5, "mention_f1": 0.5}
DOCUMENTS = [replace(one, group="") for one in generate_people(20, lengths=[120], seed=5)]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("encoder")
    tokenizer = AutoTokenizer.from_pretrained(shipped_tokenizer())
    create_small_model(folder, tokenizer, layers=1, hidden=32, intermediate=64)
    return folder


def untrained(encoder, seed):
    """A model that finds many mentions and links some, for no good reason."""
    torch.manual_seed(seed)
    model = new_model(str(encoder), 96).eval()
    with torch.no_grad():
        model.head.start[-1].bias.fill_(1.0)
        model.head.end[-1].bias.fill_(0.0)
    return model


@pytest.fixture(scope="module")
def model(encoder):
    return untrained(encoder, 0)


@pytest.fixture(scope="module")
def chain_set(model):
    return ChainSet.of(DOCUMENTS, model)


@pytest.fixture(scope="module")
def full(model, chain_set):
    return evaluate_chains(model, chain_set, weights=WEIGHTS, full=True)


def test_a_full_evaluation_holds_everything_beside_the_score(full):
    m = full.metrics
    assert m["score"] == pytest.approx(0.5 * m["conll_f1"] + 0.5 * m["mention_f1"])
    assert 0 < m["mention_f1"] < 1
    assert m["conll_f1"] == pytest.approx((m["muc_f1"] + m["b3_f1"] + m["ceafe_f1"]) / 3)
    for name in ("score", "conll_f1", "lea_f1", "gold_conll_f1", "equal_conll_f1", "gold_equal_conll_f1"):
        assert m[f"{name}_ci_low"] <= m[name] <= m[f"{name}_ci_high"]
    assert "exact_no_singletons_conll_f1" in m
    assert 0.5 < m["representable"] <= 1
    assert full.counts["documents"] == 20
    assert full.counts["mentions"] == sum(len(list(one.mentions())) for one in DOCUMENTS)
    assert full.counts["recall_pronoun"] > 0
    assert full.counts["recall_0_512"] > 0
    assert (full.view, full.seq_len, full.full) == ("exact", 96, True)


def test_a_quick_evaluation_reads_a_few_documents_by_the_models_thresholds(model, chain_set, full):
    quick = evaluate_chains(model, chain_set, weights=WEIGHTS, full=False)
    assert quick.counts["documents"] == 5
    assert quick.item_scores["chains"].ids == full.item_scores["chains"].ids[:5]
    assert set(quick.metrics) < set(full.metrics)
    assert not any("_ci_" in name for name in quick.metrics)
    assert quick.thresholds == {"linked": 0.25, "alone": 0.6}


def test_thresholds_are_found_here_or_given(model, chain_set, full):
    assert full.thresholds["linked"] in LINKED
    assert full.thresholds["alone"] in ALONE
    usual = evaluate_chains(
        model, chain_set, weights=WEIGHTS, full=True, thresholds={"linked": 0.25, "alone": 0.6}
    )
    assert usual.thresholds == {"linked": 0.25, "alone": 0.6}
    assert usual.score <= full.score
    again = evaluate_chains(model, chain_set, weights=WEIGHTS, full=True, thresholds=full.thresholds)
    assert again.metrics == full.metrics


def test_a_model_keeps_its_thresholds(encoder, chain_set, tmp_path):
    model = untrained(encoder, 0)
    model.settle({"linked": 0.35, "alone": 0.8})
    model.save(tmp_path)
    kept = load_model(tmp_path)
    quick = evaluate_chains(kept, chain_set, weights=WEIGHTS, full=False)
    assert quick.thresholds == {"linked": 0.35, "alone": 0.8}
    # a folder of before has none
    record = json.loads((tmp_path / "coref.json").read_text())
    del record["thresholds"]
    (tmp_path / "coref.json").write_text(json.dumps(record))
    assert load_model(tmp_path).config.thresholds.linked == 0.25


def test_a_result_is_a_file_and_back(full, tmp_path):
    file = tmp_path / "result.json"
    file.write_text(full.to_json())
    assert EvaluationResult.read(file) == full
    record = full.to_dict()
    del record["thresholds"], record["view"]
    file.write_text(json.dumps({**record, "tau": 0.5}))
    assert EvaluationResult.read(file).thresholds == {"tau": 0.5}


def test_models_are_compared_by_document(encoder, chain_set, full):
    other = evaluate_chains(untrained(encoder, 1), chain_set, weights=WEIGHTS, full=True)
    found = {one.metric: one for one in compare(full, other)}
    assert {"score", "conll_f1", "lea_f1", "mention_f1"} <= set(found)
    score = found["score"]
    assert score.difference == pytest.approx(full.score - other.score)
    assert score.low < score.difference < score.high
    assert (score.items, score.documents) == (20, 20)
    mean = averaged([full, other])
    assert min(full.score, other.score) < mean.score < max(full.score, other.score)
    assert len(by_item(WEIGHTS, full.item_scores)) == 20


def test_parts_of_a_work_are_one_unit(model):
    parts = [replace(one, group=f"work {number // 5}") for number, one in enumerate(DOCUMENTS)]
    result = evaluate_chains(model, ChainSet.of(parts, model), weights=WEIGHTS, full=True)
    assert compare(result, result)[0].documents == 4


def test_other_questions_are_not_compared(model, chain_set, full):
    without = replace(full, view="exact-no-singletons")
    with pytest.raises(DataError, match="scored in different ways"):
        compare(full, without)
    longer = replace(full, seq_len=192)  # whole documents, whatever the window
    assert compare(full, longer)[0].difference == 0


def test_singletons_count_as_in_the_data_it_was_trained_on(encoder, chain_set):
    model = untrained(encoder, 0)
    model.config = replace(model.config, singletons=False)
    result = evaluate_chains(model, chain_set, weights=WEIGHTS, full=True)
    assert result.view == "exact-no-singletons"
    assert "exact_conll_f1" in result.metrics


def test_it_ends_between_forward_passes_when_told_to(model, chain_set):
    asked = []

    def check():
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_chains(model, chain_set, weights=WEIGHTS, full=True, check=check)


def test_fewer_windows_at_once_where_they_do_not_fit(model, chain_set, full, monkeypatch):
    sizes = []
    encode = model.encode

    def small(windows, most):
        sizes.append(len(windows))
        if len(windows) > most:
            raise torch.OutOfMemoryError("out of memory\nTried to allocate")
        return encode(windows)

    monkeypatch.setattr(model, "encode", lambda windows: small(windows, 1))
    result = evaluate_chains(model, chain_set, weights=WEIGHTS, full=True)
    assert result.score == pytest.approx(full.score, abs=0.02)
    assert max(sizes) == 4
    monkeypatch.setattr(model, "encode", lambda windows: small(windows, 0))
    with pytest.raises(OutOfMemoryError):
        evaluate_chains(model, chain_set, weights=WEIGHTS, full=True)


def test_documents_without_chains_and_other_metrics_are_refused(model, chain_set):
    with pytest.raises(UnusableTextError, match="none of the 2 documents has coreference chains"):
        ChainSet.of([replace(one, clusters={}) for one in DOCUMENTS[:2]], model)
    with pytest.raises(RequestError, match="coref_top5"):
        evaluate_chains(model, chain_set, weights={"coref_top5": 1.0}, full=False)


def test_the_hash_names_texts_and_chains(model, chain_set):
    assert ChainSet.of(DOCUMENTS, model).sha256 == chain_set.sha256
    changed = [*DOCUMENTS[:-1], replace(DOCUMENTS[-1], clusters={})]
    assert ChainSet.of(changed, model).sha256 != chain_set.sha256


def test_two_that_share_the_documents_out_score_as_one(model, chain_set, full):
    for ours in Group(2).run(
        lambda member: evaluate_chains(model, chain_set, weights=WEIGHTS, full=True, together=member)
    ):
        # other windows are computed together, which rounds otherwise
        assert ours.score == pytest.approx(full.score, abs=0.02)
        assert ours.metrics["mention_f1"] == pytest.approx(full.metrics["mention_f1"], abs=0.02)
        assert ours.counts == full.counts
