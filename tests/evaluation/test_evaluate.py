"""Whole evaluations with models whose scores are known beforehand."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from coref_k8s.errors import DataError, RequestError
from coref_k8s.evaluation.budget import SHARE, TRAINED, cost, fitting
from coref_k8s.evaluation.compare import compare
from coref_k8s.evaluation.evaluate import evaluate
from coref_k8s.evaluation.extent import Extent
from coref_k8s.evaluation.given import MIN_ITEMS
from coref_k8s.evaluation.items import ItemSet, build_items
from coref_k8s.evaluation.result import EvaluationResult
from tests.evaluation.scripted import NAMES, SEQ_LEN, constant, copier, planted, train_tokenizer
from tests.evaluation.together import Group


@pytest.fixture(scope="module")
def copied(tokenizer, items) -> EvaluationResult:
    return evaluate(copier(tokenizer, items), tokenizer, items)


def test_a_copier_gets_everything_with_its_context_and_nothing_without(copied):
    m = copied.metrics
    assert copied.counts["coref"] == 40
    for name in ("coref_top1", "coref_top5", "coref_closed1", "coref_f1"):
        assert m[name] == 1.0, name
        assert 0.85 < m[f"{name}_ci_low"] < m[f"{name}_ci_high"] == pytest.approx(1.0)
    assert m["coref_top1_removed"] == 0.0
    assert m["coref_closed1_removed"] < 0.2
    assert m["coref_top1_gain"] == 1.0
    assert m["coref_top1_gain_ci_low"] == 1.0
    assert m["coref_f1_gain"] > 0.8
    # One word in forty stands before only within longer tokens, which this model cannot copy.
    assert m["lbd_top1"] >= 0.95
    assert m["lbd_top1_sentence"] == 0.0
    assert m["lbd_top1_gain"] == m["lbd_top1"]
    assert m["score"] == pytest.approx(0.7 + 0.3 * m["lbd_top1"])


def test_parts_of_one_work_count_once_in_every_interval(tokenizer, documents, items, tmp_path):
    parts = [replace(one, group=f"work {number // 4}") for number, one in enumerate(documents)]
    grouped = build_items(parts, tokenizer, SEQ_LEN, max_items=40, seed=0)
    assert grouped.ids == items.ids
    assert items.sha256 == build_items(documents, tokenizer, SEQ_LEN, max_items=40, seed=0).sha256
    assert grouped.sha256 != items.sha256
    assert ItemSet.load(grouped.save(tmp_path / "items.json")) == grouped
    apart, together = (evaluate(copier(tokenizer, one), tokenizer, one) for one in (items, grouped))
    for kind in ("coref", "f1", "lambada"):
        assert len(set(apart.item_scores[kind].documents)) > 6
        assert set(together.item_scores[kind].documents) <= {f"work {number}" for number in range(6)}
    assert {one.documents for one in compare(together, together) if one.items} <= set(range(1, 7))


def test_a_copier_copies_the_stand_in_too(copied, items):
    assert copied.counts["swapped"] == sum(item.swap is not None for item in items.coref) > 10
    assert copied.metrics["swap_top1"] == 1.0


def test_a_constant_list_gains_nothing(tokenizer, items):
    m = evaluate(constant(tokenizer, NAMES[:5]), tokenizer, items).metrics
    for name in ("coref_top1", "coref_top5", "coref_closed1", "coref_closed5", "coref_f1", "lbd_top1"):
        assert m[f"{name}_gain"] == 0.0, name
        assert m[f"{name}_gain_ci_low"] == m[f"{name}_gain_ci_high"] == 0.0
    assert m["coref_top1"] < 0.5


def test_quick_agrees_with_full_where_both_see_the_same_items(tokenizer, items, copied):
    quick = evaluate(copier(tokenizer, items), tokenizer, items, full=False, quick_items=2 * len(items.coref))
    assert not quick.full
    for name in ("score", "coref_top1", "coref_top5", "coref_f1", "lbd_top1"):
        assert quick.metrics[name] == copied.metrics[name]
    assert not any(name.endswith("_ci_low") for name in quick.metrics)


def test_quick_computes_the_arms_that_the_objective_weighs(tokenizer, items):
    quick = evaluate(
        copier(tokenizer, items),
        tokenizer,
        items,
        full=False,
        quick_items=5,
        weights={"coref_top5_gain": 1.0},
    )
    assert quick.counts["coref"] == 5
    assert quick.score == 1.0


def test_results_are_repeatable_and_survive_json(tokenizer, items, copied):
    again = evaluate(copier(tokenizer, items), tokenizer, items)
    assert again.metrics == copied.metrics
    assert EvaluationResult.from_json(copied.to_json()) == copied
    assert copied.items_sha256 == items.sha256
    first = items.coref[0]
    assert f"coref/{items.tables[first.document].asked(first.id)}" in copied.item_ids


def test_batches_do_not_change_results(tokenizer, items, copied):
    small = evaluate(copier(tokenizer, items), tokenizer, items, batch_tokens=300)
    assert all(small.metrics[name] == copied.metrics[name] for name in small.metrics)


def test_processes_that_share_it_out_have_the_result_of_one(tokenizer, items, copied):
    copy = copier(tokenizer, items)
    passes = []

    def asked(member):
        def logits(*batch):
            passes.append(member.rank)
            return copy(*batch)

        return evaluate(logits, tokenizer, items, batch_tokens=300, together=member)

    for found in Group(3).run(asked):
        assert found.metrics == copied.metrics
    counts = [passes.count(rank) for rank in range(3)]
    assert max(counts) - min(counts) <= 1 < min(counts)


def test_tau_of_dev_is_used_on_test(tokenizer, items):
    model = copier(tokenizer, items)
    assert evaluate(model, tokenizer, items, full=False, thresholds={"tau": 1e6}).metrics["coref_f1"] == 0.0
    always = evaluate(model, tokenizer, items, full=False, thresholds={"tau": -1e6})
    assert always.metrics["coref_precision"] == pytest.approx(0.5, abs=0.02)
    assert always.metrics["coref_recall"] == 1.0


def test_without_items_every_number_is_finite_and_a_warning_says_why(tokenizer):
    from coref_k8s.text.document import Document

    empty = build_items([Document("one", "바람이 불었다.")], tokenizer, SEQ_LEN)
    for full in (True, False):
        result = evaluate(constant(tokenizer, NAMES), tokenizer, empty, full=full)
        assert result.score == 0.0
        assert all(math.isfinite(value) for value in result.metrics.values())
        assert any("no items for Coref Top1" in str(warning) for warning in result.warnings)
        assert any("no items for LAMBADA Top1" in str(warning) for warning in result.warnings)
        EvaluationResult.from_json(result.to_json())


def test_no_documents_at_all(tokenizer):
    result = evaluate(constant(tokenizer, NAMES), tokenizer, build_items([], tokenizer, 128))
    assert result.score == 0.0


@pytest.mark.parametrize("seq_len", [64, 128, 512, 2048])
def test_any_length_works(tokenizer, documents, seq_len):
    items = build_items(documents[:3], tokenizer, seq_len, max_items=6)
    longest = 0

    def watch(ids, mask, positions):
        nonlocal longest
        longest = max(longest, ids.shape[1])
        assert (ids[positions[:, 0], positions[:, 1]] == tokenizer.mask_token_id).all()
        return constant(tokenizer, NAMES)(ids, mask, positions)

    result = evaluate(watch, tokenizer, items)
    assert 0 < longest <= seq_len
    assert result.counts["coref"] > 0


def test_buckets_say_when_there_are_too_few_items(copied):
    assert [(b.above, b.up_to) for b in copied.buckets] == [(0, 512)]
    assert copied.buckets[0].n == 40
    assert copied.buckets[0].scores["coref_top5"] == 1.0
    assert copied.metrics["coref_top5_to512"] == 1.0


def test_few_items_in_a_bucket_give_no_number(tokenizer, documents):
    items = build_items(documents, tokenizer, SEQ_LEN, max_items=29)
    result = evaluate(copier(tokenizer, items), tokenizer, items)
    assert result.buckets[0].n == 29
    assert result.buckets[0].scores is None
    assert "coref_top5_to512" not in result.metrics


def test_another_tokeniser_is_refused(tokenizer, documents, items):
    other = train_tokenizer([document.text for document in documents], 150)
    with pytest.raises(DataError, match="another tokeniser"):
        evaluate(constant(other, NAMES), other, items)


def test_an_unknown_weight_is_refused_by_name(tokenizer, items):
    with pytest.raises(RequestError, match="did you mean coref_top5"):
        evaluate(constant(tokenizer, NAMES), tokenizer, items, weights={"coref_top": 1.0})


def test_item_files_come_back_as_they_were(tmp_path, items, documents, tokenizer):
    path = items.save(tmp_path / "items.json")
    loaded = ItemSet.load(path)
    assert loaded == items
    assert loaded.sha256 == items.sha256
    assert build_items(list(reversed(documents)), tokenizer, SEQ_LEN, max_items=40).sha256 == items.sha256
    # a study that began with items of a version before goes on with them, and their hash says so
    for version in (2, 3):
        path.write_text(json.dumps({**json.loads(items.payload), "format": version, "conll": []}))
        earlier = ItemSet.load(path)
        assert earlier.coref == items.coref
        assert earlier.sha256 != items.sha256
    path.write_text("{}")
    with pytest.raises(DataError, match="another version"):
        ItemSet.load(path)
    with pytest.raises(DataError, match="cannot read"):
        ItemSet.load(tmp_path / "missing.json")


def test_string_identity_where_there_are_no_gold_chains(tokenizer):
    plain = build_items([planted(n, gold=False) for n in range(4)], tokenizer, SEQ_LEN, max_items=20)
    assert {item.entity for item in plain.coref} == {f"={item.string}" for item in plain.coref}
    result = evaluate(copier(tokenizer, plain), tokenizer, plain)
    assert result.metrics["coref_top1"] == result.metrics["coref_f1"] == 1.0


def test_a_quick_evaluation_costs_a_fraction(tokenizer, items):
    def passes(**options):
        rows = 0

        def count(ids, mask, positions):
            nonlocal rows
            rows += len(ids)
            return constant(tokenizer, NAMES)(ids, mask, positions)

        evaluate(count, tokenizer, items, **options)
        return rows

    assert passes(full=False, quick_items=8) < passes() / 8


def test_the_cost_that_is_counted_is_what_the_model_sees(tokenizer, items):
    for options in ({}, {"extent": Extent.lean(12)}, {"full": False}):
        seen = 0

        def count(ids, mask, positions):
            nonlocal seen
            seen += int(mask.sum())
            return constant(tokenizer, NAMES)(ids, mask, positions)

        evaluate(count, tokenizer, items, **options)
        extent = options.get("extent", Extent(64, 32) if options else Extent())
        assert cost(items, tokenizer, extent=extent, full=options.get("full", True)) == seen


def test_an_evaluation_is_cut_to_fit_its_training_and_no_further(tokenizer, items):
    whole = cost(items, tokenizer)
    assert fitting(items, tokenizer, 10 * whole) == Extent()
    for trained in (1.5 * whole, 0.9 * whole):
        extent = fitting(items, tokenizer, trained)
        assert MIN_ITEMS <= extent.items <= len(items.coref)
        if extent.items > MIN_ITEMS:
            # what an item costs is known from a sample
            assert cost(items, tokenizer, extent=extent) <= 1.2 * SHARE * TRAINED * trained
    least = fitting(items, tokenizer, 1)
    assert least.items == MIN_ITEMS
    result = evaluate(copier(tokenizer, items), tokenizer, items, extent=least)
    assert result.counts["coref"] == MIN_ITEMS
    assert result.counts["closed"] == result.counts["f1"] // 2 == least.closed == 15
    assert result.counts["swapped"] <= least.swapped
    assert (
        result.metrics["coref_top1"] == result.metrics["coref_closed1"] == result.metrics["coref_f1"] == 1.0
    )
    assert cost(items, tokenizer, extent=least) < 0.5 * whole


def test_every_founding_number_stands_beside_three_that_need_no_model(copied):
    for kind in ("coref_top5", "coref_f1", "lbd_top1"):
        for prefix in ("seed", "baseline_seed", "baseline_seed_frequent", "baseline_seed_nearest"):
            assert 0 <= copied.metrics[f"{prefix}_{kind}"] <= 1
    # the nouns around the mask are near-certain to hold one that stands there again
    assert copied.metrics["baseline_seed_frequent_coref_top5"] > 0


def test_buckets_have_intervals(copied):
    m, scores = copied.metrics, copied.buckets[0].scores
    for name in ("coref_top1", "coref_top5", "coref_top1_gain", "coref_top5_gain"):
        assert m[f"{name}_to512_ci_low"] <= m[f"{name}_to512"] <= m[f"{name}_to512_ci_high"]
        assert scores[f"{name}_ci_low"] == m[f"{name}_to512_ci_low"]
