"""What trials measured on a study's GPUs, as a factor on the memory estimate."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

#: Trials of one kind of GPU that must have reported before they count.
ENOUGH = 3
#: The factor stays within these: beyond, something else was measured than a training step.
BOUNDS = (0.8, 2.0)


class Correction:
    """Measured peak / estimate, from the attributes that trials of one length left.

    Trials are added one by one as they end: after thousands a new one must not cost a look at all of them.
    """

    def __init__(self) -> None:
        self._ratios: dict[str, list[float]] = defaultdict(list)

    def add(self, facts: Mapping[str, Any]) -> None:
        """Take in a trial.

        Trials store `gpu_name`, `gpu_peak_bytes` and `estimated_bytes`, the last only when they ended with the
        batch they began with.
        """
        if {"gpu_name", "gpu_peak_bytes", "estimated_bytes"} <= facts.keys():
            bisect.insort(self._ratios[facts["gpu_name"]], facts["gpu_peak_bytes"] / facts["estimated_bytes"])

    @property
    def factor(self) -> float:
        """The median of each kind of GPU, and of several kinds the largest: nobody knows where the next pod lands.

        1 without enough trials.
        """
        known = [_median(found) for found in self._ratios.values() if len(found) >= ENOUGH]
        if not known:
            return 1.0
        least, most = BOUNDS
        return min(most, max(least, max(known)))


def _median(ordered: list[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
