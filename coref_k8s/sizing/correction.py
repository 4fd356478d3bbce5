"""What trials measured on a study's GPUs, as a factor on the memory estimate."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

#: Trials of one kind of GPU that must have reported before they count.
ENOUGH = 3
#: The factor stays within these: beyond, something else was measured than a training step.
BOUNDS = (0.8, 2.0)


def correction_of(trials: Iterable[Mapping[str, Any]]) -> float:
    """Return measured peak / estimate, from the attributes that trials of one length left; 1 without enough.

    The median of each kind of GPU, and of several kinds the largest: nobody knows where the next pod
    lands. Trials store `gpu_name`, `gpu_peak_bytes` and `estimated_bytes`, the last only when they ended
    with the batch they began with.
    """
    ratios = defaultdict(list)
    for facts in trials:
        if {"gpu_name", "gpu_peak_bytes", "estimated_bytes"} <= facts.keys():
            ratios[facts["gpu_name"]].append(facts["gpu_peak_bytes"] / facts["estimated_bytes"])
    known = [statistics.median(found) for found in ratios.values() if len(found) >= ENOUGH]
    if not known:
        return 1.0
    least, most = BOUNDS
    return min(most, max(least, max(known)))
