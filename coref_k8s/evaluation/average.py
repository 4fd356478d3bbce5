"""`averaged`: several results of one model trained with different seeds, as one result item by item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from coref_k8s.evaluation.composite import SOURCES, Composite, Scores, available
from coref_k8s.evaluation.result import EvaluationResult, ItemScores


def averaged(results: Sequence[EvaluationResult]) -> EvaluationResult:
    """Return the mean of results on the same items: every item's scores are averaged over them.

    What can be computed from item scores is computed from the averages, with its interval over documents: the
    rates of Coref F1 are those of all results together. Other metrics are plain means. Buckets are left out.
    """
    first = results[0]
    kinds = [kind for kind in first.item_scores if all(kind in one.item_scores for one in results)]
    scores = {kind: _mean([one.item_scores[kind] for one in results]) for kind in kinds}
    metrics = {
        name: float(np.mean([one.metrics[name] for one in results]))
        for name in first.metrics
        if not name.endswith(("_ci_low", "_ci_high")) and all(name in one.metrics for one in results)
    }
    for name in SOURCES:
        if name in metrics and available(name, [scores]):
            metrics |= _with_interval(name, {name: 1.0}, scores)
    if all(available(name, [scores]) for name in first.weights):
        metrics |= _with_interval("score", first.weights, scores)
    return replace(
        first,
        metrics=metrics,
        item_scores=scores,
        buckets=[],
        warnings=list({one.to_text(): one for result in results for one in result.warnings}.values()),
        seconds=sum(one.seconds for one in results),
    )


def _with_interval(name: str, weights: Mapping[str, float], scores: Scores) -> dict[str, float]:
    return Composite(weights, [scores]).estimate().named(name)


def _mean(groups: Sequence[ItemScores]) -> ItemScores:
    """Return the mean of each column over the groups, of the items and columns that all of them have."""
    first = groups[0]
    places = [{name: place for place, name in enumerate(group.ids)} for group in groups]
    shared = [name for name in first.ids if all(name in place for place in places)]
    owner = dict(zip(first.ids, first.documents, strict=True))
    columns = {
        column: np.mean(
            [
                [group.columns[column][place[name]] for name in shared]
                for group, place in zip(groups, places, strict=True)
            ],
            axis=0,
        ).tolist()
        for column in first.columns
        if all(column in group.columns for group in groups)
    }
    return ItemScores(ids=shared, documents=[owner[name] for name in shared], columns=columns)
