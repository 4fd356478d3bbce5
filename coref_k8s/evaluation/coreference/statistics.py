"""The numbers of a coreference score as statistics of counts that add up over documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from coref_k8s.evaluation.coreference.metrics import CONLL, METRICS, Clusters, Counts
from coref_k8s.evaluation.sums import Array, Statistic, ratio

#: Counts of a document: recall, recall_of, precision, precision_of of each metric.
COLUMNS = tuple(f"{metric}_{field}" for metric in METRICS for field in Counts._fields)
_SIDES = ("recall", "precision", "f1")


def counts(pairs: Iterable[tuple[Clusters, Clusters]]) -> Array:
    """Return what key and response clusters of each document count: (documents, COLUMNS)."""
    rows = [
        [value for metric in METRICS.values() for value in metric(key, response)] for key, response in pairs
    ]
    return np.array(rows, dtype=float).reshape(-1, len(COLUMNS))


def f1(recall: Array, precision: Array) -> Array:
    """Harmonic mean, 0 where both are 0."""
    return ratio(2 * recall * precision, recall + precision)


def _of(metric: str, side: str) -> Statistic:
    first = COLUMNS.index(f"{metric}_recall")

    def statistic(sums: Array) -> Array:
        recall = ratio(sums[..., first], sums[..., first + 1])
        precision = ratio(sums[..., first + 2], sums[..., first + 3])
        return {"recall": recall, "precision": precision, "f1": f1(recall, precision)}[side]

    return statistic


def _mean(side: str) -> Statistic:
    parts = [_of(metric, side) for metric in CONLL]
    return lambda sums: sum((part(sums) for part in parts), np.zeros(sums.shape[:-1])) / len(parts)


#: Every number by its name: `conll_f1`, `muc_recall`, …; `conll_` is the mean of MUC, B3 and CEAFe.
STATISTICS: Mapping[str, Statistic] = {
    f"{metric}_{side}": _mean(side) if metric == "conll" else _of(metric, side)
    for metric in ("conll", *METRICS)
    for side in _SIDES
}
