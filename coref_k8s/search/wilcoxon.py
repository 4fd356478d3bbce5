"""The Wilcoxon signed-rank test on the items of an evaluation: is a trial worse than the best one, item by item?

Two trials are asked the same items at the same step, so their scores are paired, and far fewer items tell
than two means would. Optuna's pruner of this name pairs steps, of which a trial has four, and needs SciPy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

#: Trials are given up when so small a share of equally good ones would look so bad.
THRESHOLD = 0.1
#: Fewest items that differ: below, the normal approximation is not to be trusted.
FEWEST = 10


def items_attr(step: int) -> str:
    """Return the name of the trial attribute with each item's part of the score at an evaluation."""
    return f"items/{step}"


def clearly_worse(mine: Mapping[str, float], best: Mapping[str, float]) -> bool:
    """Whether the items that both were asked show that the first is worse than the second."""
    shared = [name for name in mine if name in best]
    differences = np.array([mine[name] - best[name] for name in shared])
    if np.count_nonzero(differences) < FEWEST or differences.sum() >= 0:
        return False
    return signed_rank(differences) < THRESHOLD


def signed_rank(differences: np.ndarray) -> float:
    """Return the probability of a rank sum of positive differences as low as this, were the median 0.

    One-sided, by the normal approximation with its correction for ties; differences of 0 are left out (Wilcoxon 1945;
    Hollander, Wolfe and Chicken, Nonparametric Statistical Methods (2014), section 3.1). What
    `scipy.stats.wilcoxon(alternative="less", method="asymptotic")` returns. NaN where all are 0.
    """
    found = differences[differences != 0]
    n = len(found)
    _, at, counts = np.unique(np.abs(found), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[at]
    variance = n * (n + 1) * (2 * n + 1) / 24 - float((counts**3 - counts).sum()) / 48
    if variance == 0:
        return math.nan
    z = (float(ranks[found > 0].sum()) - n * (n + 1) / 4) / math.sqrt(variance)
    return 0.5 * math.erfc(-z / math.sqrt(2))
