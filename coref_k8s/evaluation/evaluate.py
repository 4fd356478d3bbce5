"""`evaluate`: score a masked language model on an item set, with controls, intervals and baselines.

All forward passes of all arms and metrics are gathered first and then run together, batched by length;
passes that several metrics need are computed once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from coref_k8s.errors import DataError, UnusableTextError
from coref_k8s.evaluation import registry
from coref_k8s.evaluation.composite import Composite, available
from coref_k8s.evaluation.extent import WHOLE, Extent, quick_extent
from coref_k8s.evaluation.given import kind_of, said_of_few, too_few
from coref_k8s.evaluation.items import MIN_FIRSTS, ItemSet
from coref_k8s.evaluation.passes import LogitsFn, run
from coref_k8s.evaluation.result import EvaluationResult
from coref_k8s.evaluation.score_antecedents import AntecedentPart
from coref_k8s.evaluation.score_coref import CorefPart
from coref_k8s.evaluation.score_lambada import LambadaPart, SeedPart
from coref_k8s.evaluation.scorecard import Scorecard
from coref_k8s.evaluation.sharing import Together
from coref_k8s.evaluation.vocabulary import Vocabulary
from coref_k8s.study.tasks import ARM_METRICS, METRICS, SHOWN, WEIGHTS
from coref_k8s.wording import Message

#: Items of a kind in a quick evaluation.
QUICK_ITEMS = 64


def evaluate(
    logits_fn: LogitsFn,
    tokenizer: Any,
    items: ItemSet,
    *,
    weights: Mapping[str, float] = WEIGHTS["mentions"],
    full: bool = True,
    batch_tokens: int = 16_384,
    thresholds: Mapping[str, float] | None = None,
    model: Any = None,
    quick_items: int = QUICK_ITEMS,
    extent: Extent = WHOLE,
    progress: Callable[[int, int], None] | None = None,
    together: Together | None = None,
) -> EvaluationResult:
    """Score a model.

    `logits_fn(input_ids, attention_mask, positions)`: see passes.LogitsFn. `full=False` is the quick
    evaluation between training steps: full arm only, the first `quick_items` items of a kind (half as many
    pairs for Coref F1, which costs several passes an item), no intervals, the same names. `extent` is what a
    full one asks. `thresholds`: those of the dev result when test items are scored; found on these items when None.
    `model` is given to custom metrics. Processes that are `together` share the passes out, and each returns the
    whole result. `batch_tokens` bounds a forward pass (tokens with padding).

    Raises DataError when the items were made with another tokeniser, RequestError for an unknown weight.
    """
    registry.check_weights(weights)
    vocabulary = Vocabulary(tokenizer)
    if vocabulary.sha256 != items.tokenizer:
        raise DataError("evaluation.other-tokeniser")
    begun = time.monotonic()
    card = Scorecard(intervals=full)
    extent = extent if full else quick_extent(quick_items)
    coref, lambada, seed, linked = asked_by(items, vocabulary, full=full, extent=extent, weights=weights)
    asked = [part.ask() if part else [] for part in (coref, lambada, seed, linked)]
    passes = [one for some in asked for one in some]
    every = iter(run(logits_fn, passes, vocabulary, batch_tokens, progress, together))
    answers = [list(islice(every, len(some))) for some in asked]
    coref.score(answers[0], card, thresholds["tau"] if thresholds else None)
    lambada.score(answers[1], card)
    if seed:
        seed.score(answers[2], card)
    if linked:
        linked.score(answers[3], card)
    custom, warnings = registry.computed(weights, model, tokenizer, items, full=full)
    card.metrics |= custom
    card.warnings += warnings
    if full:
        card.warnings += [*items.remarks(), *_too_few(card.counts, weights)]
    card.metrics["score"] = sum(weight * card.metrics[name] for name, weight in weights.items())
    if full and all(available(name, [card.item_scores]) for name in weights):
        card.metrics |= Composite(weights, [card.item_scores]).estimate().named("score")
    return EvaluationResult(
        metrics=card.metrics,
        counts=card.counts,
        buckets=card.buckets,
        thresholds={"tau": card.tau},
        warnings=card.warnings,
        item_scores=card.item_scores,
        items_sha256=items.sha256,
        tokenizer=vocabulary.sha256,
        seq_len=items.seq_len,
        weights=dict(weights),
        full=full,
        seconds=time.monotonic() - begun,
    )


def _too_few(counts: Mapping[str, int], weights: Mapping[str, float]) -> list[Message]:
    """Say which headlines are not given, and that there is no score without them."""
    found = too_few(dict.fromkeys((*SHOWN["mentions"], *weights)), counts)
    code = "evaluation.too-few-for-score" if too_few(weights, counts) else "evaluation.too-few-items"
    return [said_of_few(code, found)] if found else []


def check_objective(items: ItemSet, weights: Mapping[str, float], split: str) -> None:
    """Raise UnusableTextError when a study would maximise what is nothing: see `check_askable`, and Coref F1 without first mentions.

    Leaving Coref F1 out of the weighted sum would be another objective than the one asked for. A few first mentions are
    enough to steer by, as a few items are, though not for a number that is shown.
    """
    check_askable(items, weights)
    named = next((name for name in weights if kind_of(name) == "f1"), None)
    if named and items.coref and not items.firsts:
        raise UnusableTextError(
            "evaluation.objective-without-firsts", name=named, split=split, seq_len=items.seq_len,
            n=len(items.firsts), least=MIN_FIRSTS,
        )  # fmt: skip


def check_askable(items: ItemSet, weights: Mapping[str, float]) -> None:
    """Raise UnusableTextError when no metric of the objective has an item: every model would score 0."""
    built_in = [name for name in weights if name in METRICS["mentions"]]
    if built_in and not any(items.lambada if name.startswith("lbd") else items.coref for name in built_in):
        raise UnusableTextError(
            "evaluation.nothing-to-ask", seq_len=items.seq_len, documents=len(items.tables)
        )


def asked_by(
    items: ItemSet, vocabulary: Vocabulary, *, full: bool, extent: Extent, weights: Mapping[str, float]
) -> tuple[CorefPart, LambadaPart, SeedPart | None, AntecedentPart | None]:
    """Return the parts that ask the items of an evaluation."""
    # An objective on a gain needs the arms in quick evaluations too.
    arms = full or any(name in ARM_METRICS for name in weights)
    coref = CorefPart(items, vocabulary, arms=arms, extent=extent)
    lambada = LambadaPart(items, vocabulary, arms=arms, limit=extent.items)
    if not full:
        return coref, lambada, None, None
    linked = AntecedentPart(items, vocabulary, extent.antecedents)
    return coref, lambada, SeedPart(items, vocabulary, extent.seed), linked
