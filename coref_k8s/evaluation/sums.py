"""Sums over documents, and the numbers that are made of them.

Every number is a statistic of sums: what it is without one document is one subtraction away.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
#: Turns sums (..., columns) into a statistic (...).
Statistic = Callable[[Array], Array]


def by_group(rows: Array, groups: Sequence[Hashable], order: Sequence[Hashable] | None = None) -> Array:
    """Add up the rows of each group, in the order given or that of first appearance: (groups, columns)."""
    places = {group: place for place, group in enumerate(dict.fromkeys(groups) if order is None else order)}
    total = np.zeros((len(places), rows.shape[1]))
    np.add.at(total, np.array([places[group] for group in groups], dtype=np.intp), rows)
    return total


def by_document(
    documents: Sequence[str], columns: Sequence[Sequence[float]], order: Sequence[str] | None = None
) -> Array:
    """Add up columns (each a value per item) by document: (documents, columns + 1), the last counts items."""
    rows = np.array([*columns, [1.0] * len(documents)], dtype=float).T
    return by_group(rows, documents, order)


def ratio(numerator: Array, denominator: Array) -> Array:
    """Divide where there is something to divide by; 0 elsewhere, so no score is ever NaN."""
    zeros = np.zeros_like(np.asarray(numerator, dtype=float))
    return np.divide(numerator, denominator, out=zeros, where=np.asarray(denominator) > 0)


def mean(sums: Array) -> Array:
    """Mean of the first column over the items counted in the last."""
    return ratio(sums[..., 0], sums[..., -1])


def mean_difference(sums: Array) -> Array:
    """Mean of the first column minus that of the second: the paired difference."""
    return ratio(sums[..., 0] - sums[..., 1], sums[..., -1])


def share(sums: Array) -> Array:
    """First column over the second: of items that count for more than one each."""
    return ratio(sums[..., 0], sums[..., 1])


def f1(sums: Array) -> Array:
    """F1 from columns true positives, false positives, false negatives; 0 where nothing was to be found."""
    return ratio(2 * sums[..., 0], 2 * sums[..., 0] + sums[..., 1] + sums[..., 2])


def f1_difference(sums: Array) -> Array:
    """F1 of columns 0-2 minus F1 of columns 3-5."""
    return f1(sums[..., 0:3]) - f1(sums[..., 3:6])
