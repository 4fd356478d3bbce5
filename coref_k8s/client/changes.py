"""What has happened between two looks at a study, as the events that its bus would have had.

Trials in a cluster write their events to the logs of their pods. Whoever follows from outside sees the study itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from coref_k8s.controller.view import StudyView
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.store.records import Phase
from coref_k8s.study.names import Kind
from coref_k8s.study.spec import StudySpec
from coref_k8s.telemetry.bus import Section, said

#: Beside the sections of a bus: a study has come into another phase.
STUDY_PHASE = "study_phase"


def changes(before: StudyView | None, after: StudyView, now: datetime) -> Iterator[dict[str, Any]]:
    """Yield events of trials, of finalists' runs and of the study; steps and losses are not among them."""
    who = {"ts": now.isoformat(), "study": after.name}
    evaluations = planned_evaluations(after.spec)
    if after.phase is not (before.phase if before else Phase.PENDING) and not after.ended:
        yield {**who, "section": STUDY_PHASE, "phase": after.phase.value, **said(after.message)}
    for kind, records, earlier in (
        (Kind.TRIAL, after.trials, before.trials if before else []),
        (Kind.FINALIST, after.runs, before.runs if before else []),
    ):
        known = {(one.seq_len, one.number): one for one in earlier}
        held = {*_held(before, kind), *_held(after, kind)}
        for record in records:
            key = record.seq_len, record.number
            about = {**who, "kind": kind.value, "seq_len": record.seq_len, "trial": record.number}
            yield from _of_trial(about, known.get(key), record, key in held, evaluations)
    if after.ended and not (before and before.ended):
        yield {**who, "section": Section.STUDY_END.value, "phase": after.phase.value, **said(after.message)}


def planned_evaluations(spec: StudySpec) -> int | None:
    """Return how often a trial is scored; None for an ensemble, which scores what it tries."""
    return None if spec.purpose.kind == "ensemble" else spec.training.evaluations


def _held(view: StudyView | None, kind: Kind) -> Iterator[tuple[int | None, int | None]]:
    """Yield what was begun and waits for something, not only for its start."""
    for one in view.held if view else ():
        if one.kind is kind:
            yield one.seq_len, one.trial


def _of_trial(
    about: dict[str, Any], before: TrialRecord | None, after: TrialRecord, held: bool, evaluations: int | None
) -> Iterator[dict[str, Any]]:
    new = before is None or before.state is TrialState.WAITING
    if new and not held and after.state is not TrialState.WAITING:
        began = {"ts": after.started_at.isoformat()} if after.started_at else {}
        yield {**about, **began, "section": Section.TRIAL_BEGIN.value}
    if after.open and (fresh := after.intermediate.keys() - (before.intermediate.keys() if before else ())):
        last = max(fresh)
        score = {"evaluation": last, "evaluations": evaluations, "score": after.intermediate[last]}
        yield {**about, "section": Section.EVAL_STREAM.value, **score}
    if not after.open and after.state is not TrialState.WAITING and (before is None or before.open or new):
        outcome = {"outcome": after.state.value, "score": after.value, **said(after.reason)}
        outcome |= {"not_given": list(after.not_given)} if after.not_given else {}
        yield {**about, "section": Section.TRIAL_END.value, **outcome}
