"""Times that may be compared on a machine that others use."""

from __future__ import annotations

import time
from collections.abc import Callable


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU time of this process that a piece of work takes (seconds)."""
    began = time.process_time()
    work()
    return time.process_time() - began


def least(
    *measures: Callable[[], float], until: Callable[..., bool], rounds: int = 3, most: int = 20
) -> tuple[float, ...]:
    """Return the least of each measure: all are taken in turn, at least `rounds` times, and until `until` holds of them.

    Others disturb a time and nothing makes it less, so that the least of many runs is nearest to what the work costs. In
    turn, so that a minute in which the machine is slow meets all measures. What costs too much still does after the
    most rounds.
    """
    found: list[tuple[float, ...]] = []
    while len(found) < rounds or (
        len(found) < most and not until(*(min(column) for column in zip(*found, strict=True)))
    ):
        found.append(tuple(measure() for measure in measures))
    return tuple(min(column) for column in zip(*found, strict=True))
