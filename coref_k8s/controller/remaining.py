"""How much longer a study takes, estimated from the trials that are done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Ahead:
    """What is ahead of one sequence length."""

    seq_len: int
    left: int
    """Trials without an outcome, running ones included."""
    mean_seconds: float | None
    """Mean duration of its complete trials (seconds); None before there is one."""
    spent: float = 0.0
    """What its running trials have taken so far (seconds, summed)."""


def remaining(lengths: Sequence[Ahead], parallelism: int) -> timedelta | None:
    """Return the time until every trial is done; None before any trial is complete.

    A length without a complete trial is taken to cost its share of tokens more than the nearest known one.
    """
    known = {one.seq_len: one.mean_seconds for one in lengths if one.mean_seconds}
    if not known:
        return None
    seconds = 0.0
    for one in lengths:
        mean = known.get(one.seq_len)
        if mean is None:
            near = min(known, key=lambda length: abs(length - one.seq_len))
            mean = known[near] * one.seq_len / near
        seconds += max(0.0, one.left * mean - one.spent)
    return timedelta(seconds=seconds / parallelism)
