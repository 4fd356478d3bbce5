"""Weighted sampling without replacement (Efraimidis and Spirakis 2006, algorithm A-ES)."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from random import Random


def weighted_order(weights: Sequence[float], seed: int) -> list[int]:
    """Return all indices in the order of a draw without replacement, each by its weight (above 0).

    The first n are a weighted sample of n.
    """
    rng = Random(f"sample:{seed}")
    # log(u)/w instead of u**(1/w): the same order, and no underflow for small weights
    keys = [log(rng.random() or 1e-300) / weight for weight in weights]
    return sorted(range(len(weights)), key=lambda index: -keys[index])
