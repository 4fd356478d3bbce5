"""Uncertainty: jackknife-t over documents (Tukey 1958; Efron & Tibshirani 1993, chapter 11).

Items of one document share its topic and names, so a document, or a group of documents that are one work, is the
unit that is left out. Every number is a statistic of sums over documents, so leaving each out once is one
subtraction. Simulated with exchangeable models, this claims a difference falsely in 5 % of cases from five documents
on; the percentile bootstrap does so in 16 % at five and 10 % at ten.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

#: Fewest documents that an interval can be made of.
MIN_DOCUMENTS = 3
CONFIDENCE = 0.95

Array = npt.NDArray[np.float64]
#: Turns sums (..., columns) into a statistic (...).
Statistic = Callable[[Array], Array]


class Estimate(NamedTuple):
    """A value with its 95 % interval over documents; without one below three documents."""

    value: float
    low: float | None
    high: float | None
    documents: int

    @property
    def sign(self) -> int:
        """Of a difference: 1 above 0, -1 below 0, 0 when nothing may be claimed."""
        if self.low is None or self.high is None:
            return 0
        return 1 if self.low > 0 else -1 if self.high < 0 else 0

    def named(self, name: str) -> dict[str, float]:
        """Return the value under a metric's name, and the interval as `<name>_ci_low` and `<name>_ci_high`."""
        if self.low is None or self.high is None:
            return {name: self.value}
        return {name: self.value, f"{name}_ci_low": self.low, f"{name}_ci_high": self.high}


def estimate(sums: Array, statistic: Statistic) -> Estimate:
    """Return a statistic of sums by document (documents, columns) and its interval."""
    value = float(statistic(sums.sum(axis=0))) if len(sums) else 0.0
    error = standard_error(sums, statistic)
    if error is None:
        return Estimate(value, None, None, len(sums))
    reach = t_quantile(len(sums) - 1) * error
    return Estimate(value, value - reach, value + reach, len(sums))


def paired(a: Array, b: Array, statistic: Statistic) -> Estimate:
    """Return the difference `a` minus `b` of a statistic over the same documents, row by row."""
    columns = a.shape[1]
    return estimate(
        np.hstack([a, b]), lambda sums: statistic(sums[..., :columns]) - statistic(sums[..., columns:])
    )


def standard_error(sums: Array, statistic: Statistic) -> float | None:
    """Return the jackknife standard error of a statistic; None below three documents."""
    documents = len(sums)
    if documents < MIN_DOCUMENTS:
        return None
    without = statistic(sums.sum(axis=0) - sums)
    spread = float(((without - without.mean()) ** 2).sum())
    return math.sqrt((documents - 1) / documents * spread)


def by_group(sums: Array, groups: Sequence[Hashable]) -> Array:
    """Add up the rows of each group, in the order of first appearance: (groups, columns)."""
    rows = {group: row for row, group in enumerate(dict.fromkeys(groups))}
    total = np.zeros((len(rows), sums.shape[1]))
    np.add.at(total, [rows[group] for group in groups], sums)
    return total


def ratio(numerator: Array, denominator: Array) -> Array:
    """Divide where there is something to divide by; 0 elsewhere, so no score is ever NaN."""
    zeros = np.zeros_like(np.asarray(numerator, dtype=float))
    return np.divide(numerator, denominator, out=zeros, where=np.asarray(denominator) > 0)


@lru_cache(maxsize=64)
def t_quantile(freedom: float, confidence: float = CONFIDENCE) -> float:
    """Return t such that Student's T of `freedom` >= 1 degrees lies in [-t, t] with this probability.

    With T = sqrt(freedom) tan(angle) the density of the angle is a power of its cosine, which 64 Gauss-Legendre
    points integrate to double precision; this keeps scipy out of what only reads results.
    """
    nodes, weights = np.polynomial.legendre.leggauss(64)
    scale = 2 * math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)

    def inside(angle: float) -> float:
        return float(scale * angle / 2 * (weights * np.cos(angle / 2 * (nodes + 1)) ** (freedom - 1)).sum())

    # an angle of 10 / sqrt(freedom) is beyond any level asked for, and still finely sampled
    low, high = 0.0, min(math.pi / 2, 10 / math.sqrt(freedom))
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if inside(middle) < confidence else (low, middle)
    return math.sqrt(freedom) * math.tan(high)
