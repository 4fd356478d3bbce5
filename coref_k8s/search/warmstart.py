"""Carries what one study learnt into another: from shorter lengths to longer, or between studies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from coref_k8s.search.records import TrialRecord, ranked
from coref_k8s.search.space import space_for
from coref_k8s.study import Range, StudySpec

#: Best trials that are carried over.
CARRIED = 3


def warm_start(records: Sequence[TrialRecord], spec: StudySpec, seq_len: int) -> list[dict[str, Any]]:
    """Return the parameters of the best trials, moved into the space of `seq_len`, best first.

    A number keeps its relative place in its range (in the logarithm for log ranges): a learning rate
    at a third of the shorter length's range starts at a third of the longer one's. A choice is kept
    where the longer length offers it.
    """
    target = space_for(spec, seq_len)
    carried = []
    for record in ranked(records)[:CARRIED]:
        source = space_for(spec, record.seq_len)
        moved = {}
        for name, value in record.params.items():
            if name in target and (new := _move(value, source.get(name), target[name])) is not None:
                moved[name] = new
        if moved and moved not in carried:
            carried.append(moved)
    return carried


def _move(value: Any, source: Range | None, target: Range) -> Any:
    if target.choices is not None:
        return value if value in target.choices else None
    if not isinstance(value, int | float):
        return None
    assert target.low is not None
    assert target.high is not None
    if source is None or source.choices is not None or source.low == source.high:
        return min(max(value, target.low), target.high)
    assert source.low is not None
    assert source.high is not None
    if source.log:
        place = math.log(value / source.low) / math.log(source.high / source.low)
    else:
        place = (value - source.low) / (source.high - source.low)
    place = min(max(place, 0.0), 1.0)
    if target.log:
        return float(target.low * (target.high / target.low) ** place)
    return target.low + place * (target.high - target.low)
