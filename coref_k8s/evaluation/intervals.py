"""Uncertainty: jackknife-t over documents, and over runs where settings are compared.

Items of one document share its topic and names, so a document, or a group of documents that are one work, is the unit that
is left out (Tukey 1958; Efron & Tibshirani 1993, chapter 11). Where some documents weigh more than others fewer than n - 1
of them speak: the degrees of freedom are those of Bell & McCaffrey (2002), which are n - 1 for documents of equal size.
A difference has the interval difference +- t * error. A score between 0 and 1 has Wilson's (1927) with that error and t, as
samples in clusters need it (Dean & Pagano 2015): near 0 and 1 the plain one holds the truth in 90 % only.
`tests/benchmarks/intervals.py` simulates how often a difference is claimed between exchangeable models: at most 6 % from
three documents on. A percentile bootstrap does so in 16 % at five documents, and n - 1 degrees in 8 % where sizes differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from coref_k8s.evaluation.sums import Array, Statistic
from coref_k8s.text.document import MIN_DOCUMENTS

CONFIDENCE = 0.95
#: What rounding leaves of a difference of 0.
_NOTHING = 1e-9


class Estimate(NamedTuple):
    """A value with its 95 % interval; without one below three documents."""

    value: float
    documents: int
    error: float | None = None
    """Standard error."""
    freedom: float = 1.0
    """Degrees of freedom of the error."""
    lowest: float = -math.inf
    highest: float = math.inf
    """What the value cannot leave."""
    items: float = math.inf
    """How many items speak at most, as if each were a document of its own."""

    @property
    def low(self) -> float | None:
        """Lower end of the interval."""
        return None if self.error is None else max(self.lowest, self._between(self.error)[0])

    @property
    def high(self) -> float | None:
        """Upper end of the interval."""
        return None if self.error is None else min(self.highest, self._between(self.error)[1])

    @property
    def sign(self) -> int:
        """What may be claimed of a difference; see `sign`."""
        return sign(self.low, self.high)

    def named(self, name: str) -> dict[str, float]:
        """Return the value under a metric's name, and the interval as `<name>_ci_low` and `<name>_ci_high`."""
        if self.low is None or self.high is None:
            return {name: self.value}
        return {name: self.value, f"{name}_ci_low": self.low, f"{name}_ci_high": self.high}

    def over_runs(self, *sides: Sequence[float]) -> Estimate:
        """Return a difference of settings: each side's whole scores, one a run, add what runs differ by.

        A side with a single run is taken to have none that differ. Degrees of freedom are Satterthwaite's.
        """
        if self.error is None:
            return self
        parts = [(self.error**2, self.freedom)]
        parts += [(float(np.var(one, ddof=1)) / len(one), len(one) - 1) for one in sides if len(one) > 1]
        variance = sum(part for part, _ in parts)
        if not variance:
            return self
        freedom = variance**2 / sum(part**2 / known for part, known in parts)
        return self._replace(error=math.sqrt(variance), freedom=freedom)

    def _between(self, error: float) -> tuple[float, float]:
        t = t_quantile(round(self.freedom, 3))
        if self.lowest or math.isinf(self.highest):
            return self.value - t * error, self.value + t * error
        # of as many independent items as a share with this error would have, and never of more than there are
        share, error = self.value / self.highest, error / self.highest
        variance = max(0.0, share * (1 - share))
        n = self.items if error < _NOTHING else min(self.items, variance / error**2)
        middle, reach = n * share + t * t / 2, t * math.sqrt(n * variance + t * t / 4)
        low, high = ((middle + side * reach) / (n + t * t) for side in (-1, 1))
        # rounding must not put a share of 0 or 1 outside
        return self.highest * min(share, low), self.highest * max(share, high)


def sign(low: float | None, high: float | None) -> int:
    """Return 1 for an interval above 0, -1 for one below, 0 when nothing may be claimed."""
    if low is None or high is None:
        return 0
    return 1 if low > _NOTHING else -1 if high < -_NOTHING else 0


def estimate(
    sums: Array,
    statistic: Statistic,
    lowest: float = -math.inf,
    highest: float = math.inf,
    sizes: Array | None = None,
) -> Estimate:
    """Return a statistic of sums by document (documents, columns) and its interval.

    Documents that count nothing are none. `sizes` (documents): the items of each; by default all that it counts.
    """
    kept = sums.any(axis=1)
    sizes = (sums.sum(axis=1) if sizes is None else sizes)[kept]
    sums = sums[kept]
    total, documents = sums.sum(axis=0), len(sums)
    value = float(statistic(total)) if documents else 0.0
    if documents < MIN_DOCUMENTS:
        return Estimate(value, documents, lowest=lowest, highest=highest)
    without = statistic(total - sums)
    spread = float(((without - without.mean()) ** 2).sum())
    error = math.sqrt((documents - 1) / documents * spread)
    return Estimate(value, documents, error, freedom(sizes), lowest, highest, float(sizes.sum()))


def freedom(sizes: Array) -> float:
    """Return the degrees of freedom of a ratio's jackknife error over two or more documents of these sizes.

    They are those of the quadratic form that the error is, if what a document adds varies as its size does.
    """
    share = sizes / sizes.sum()
    weight = 1 / (1 - share) ** 2
    pull = weight * share
    form = (np.diag(weight) - pull - pull[:, None] + (pull * share).sum()) * share
    return max(1.0, float(np.trace(form) ** 2 / (form * form.T).sum()))


@lru_cache(maxsize=1024)
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
