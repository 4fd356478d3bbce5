"""Uncertainty: percentile bootstrap over documents.

Items of one document share its topic and names, so documents are resampled, not items (cluster bootstrap,
Efron & Tibshirani 1993, chapter 13). Everything is one matrix product: counts of the resamples
(resamples, documents) times sums per document (documents, columns).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from coref_k8s.evaluation.intervals import Array, Statistic, ratio

RESAMPLES = 2000
SEED = 0
#: With fewer documents the percentile interval is far too narrow, so no difference may be claimed from it.
MIN_DOCUMENTS = 5


class Interval(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


def sums_by_document(
    documents: Sequence[str], columns: Sequence[Sequence[float]], order: Sequence[str] | None = None
) -> Array:
    """Add up columns (each a value per item) by document: (documents, columns + 1), the last counts items.

    Rows are the documents of `order`, by default those that have items, sorted.
    """
    names = {name: row for row, name in enumerate(sorted(set(documents)) if order is None else order)}
    rows = np.array([names[name] for name in documents], dtype=np.intp)
    sums = np.zeros((len(names), len(columns) + 1))
    for column, values in enumerate(columns):
        np.add.at(sums[:, column], rows, np.asarray(values, dtype=float))
    np.add.at(sums[:, -1], rows, 1.0)
    return sums


def resample(sums: Array, resamples: int = RESAMPLES, seed: int = SEED) -> Array:
    """Sums of `resamples` draws of as many documents with replacement: (resamples, columns)."""
    documents = len(sums)
    draws = np.random.default_rng(seed).integers(0, documents, size=(resamples, documents))
    cells = (draws + documents * np.arange(resamples)[:, None]).ravel()
    counts = np.bincount(cells, minlength=resamples * documents).reshape(resamples, documents)
    return counts @ sums


def interval(sums: Array, statistic: Statistic, lowest: float = 0.0, highest: float = 1.0) -> Interval:
    """95 % percentile interval of a statistic; `lowest` to `highest` when fewer than two documents tell."""
    if len(sums) == 0:
        return Interval(0.0, lowest, highest)
    value = float(statistic(sums.sum(axis=0)))
    if len(sums) < 2:
        return Interval(value, lowest, highest)
    low, high = np.percentile(statistic(resample(sums)), [2.5, 97.5])
    return Interval(value, float(low), float(high))


def mean(sums: Array) -> Array:
    """Mean of the first column over the items counted in the last."""
    return ratio(sums[..., 0], sums[..., -1])


def mean_difference(sums: Array) -> Array:
    """Mean of the first column minus that of the second: the paired difference."""
    return ratio(sums[..., 0] - sums[..., 1], sums[..., -1])


def f1(sums: Array) -> Array:
    """F1 from columns true positives, false positives, false negatives; 0 where nothing was to be found."""
    return ratio(2 * sums[..., 0], 2 * sums[..., 0] + sums[..., 1] + sums[..., 2])


def f1_difference(sums: Array) -> Array:
    """F1 of columns 0-2 minus F1 of columns 3-5."""
    return f1(sums[..., 0:3]) - f1(sums[..., 3:6])
