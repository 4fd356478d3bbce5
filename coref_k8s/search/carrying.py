"""Carries what one study learnt into another: from shorter lengths to longer, or between studies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from coref_k8s.search.prior import PriorTrial
from coref_k8s.search.records import CARRIED, TrialRecord, TrialState, ranked
from coref_k8s.search.space import space_for
from coref_k8s.sizing.batch import effective_batch
from coref_k8s.study.parameters import PARAMETERS
from coref_k8s.study.ranges import Range
from coref_k8s.study.spec import StudySpec


def warm_start(
    records: Sequence[TrialRecord], spec: StudySpec, seq_len: int, *, source: StudySpec | None = None
) -> list[dict[str, Any]]:
    """Return the parameters of the best trials, moved into the space of `seq_len`, best first.

    From another length, a number keeps its relative place in its range (in the logarithm for log ranges): a
    learning rate at a third of the shorter length's range starts at a third of the longer one's. From the same
    length of another study (whose request is `source`) it keeps its value, within the range. Accumulation
    keeps the sequences per optimiser step; another choice is kept where it is offered. A study of another task gives what
    both tasks tune.
    """
    target = space_for(spec, seq_len)
    carried = []
    for record in ranked(records)[:CARRIED]:
        moved = move_params(record, spec, seq_len, target, source or spec)
        if moved and moved not in carried:
            carried.append(moved)
    return carried


def prior_of(
    records: Sequence[TrialRecord], spec: StudySpec, seq_len: int, *, source: StudySpec | None = None
) -> list[PriorTrial]:
    """Return the finished trials that have a score, moved into the space of `seq_len`: a sampler's prior.

    `source` is the request of the study that they are of, where it is another one. Scores of another task say nothing here.
    """
    if source is not None and source.task != spec.task:
        return []
    target = space_for(spec, seq_len)
    return [
        PriorTrial(moved, record, elsewhere=source is not None)
        for record in records
        if record.state in (TrialState.COMPLETE, TrialState.PRUNED)
        and (record.value is not None or record.intermediate)
        and (moved := move_params(record, spec, seq_len, target, source or spec))
    ]


def move_params(
    record: TrialRecord, spec: StudySpec, seq_len: int, target: dict[str, Range], source: StudySpec
) -> dict[str, Any]:
    """Return a trial's parameters as `seq_len` would have them; those that it has no use for are left out."""
    ranges = {} if record.seq_len == seq_len else space_for(source, record.seq_len)
    moved = {}
    for name, value in record.params.items():
        if name not in target:
            continue
        if PARAMETERS[name].carried == "batch":
            wanted = effective_batch(source, record.seq_len, int(value))
            new = _nearest_batch(wanted, spec, seq_len, target[name])
        else:
            new = PARAMETERS[name].carry(value, ranges.get(name), target[name])
        if new is not None:
            moved[name] = new
    return moved


def _nearest_batch(wanted: int, spec: StudySpec, seq_len: int, target: Range) -> Any:
    """Return the accumulation whose sequences per optimiser step are nearest to those wanted."""

    def distance(choice: Any) -> float:
        return abs(math.log(effective_batch(spec, seq_len, int(choice)) / wanted))

    return min(target.choices or (), key=distance)
