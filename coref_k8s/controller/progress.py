"""A study as a person wants to see it: counts, bests, what runs. For the live view and the resource's status."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coref_k8s.controller.finals import run_unit
from coref_k8s.controller.memory import LengthMemory, StudyMemory
from coref_k8s.controller.runner import ObservedJob, State
from coref_k8s.controller.snapshot import PREPARATION, LengthSnapshot, Snapshot, Unit, unit_of
from coref_k8s.controller.study import LengthState, StudyState, preparing, remaining
from coref_k8s.search.records import TrialRecord
from coref_k8s.search.verdict import Verdict
from coref_k8s.store.records import Outcome, Phase
from coref_k8s.study.names import Kind
from coref_k8s.wording import NOTHING, Message


@dataclass(frozen=True, kw_only=True)
class LengthProgress(LengthState):
    """One sequence length."""

    running: int = 0
    """Open trials whose job runs."""
    waiting: int = 0
    """Other open trials: suspended, without a place or an image yet, or to go on when the study is resumed."""
    best: TrialRecord | None = None
    runs: Mapping[str, int] = field(default_factory=dict)
    """The finalists' runs by state: complete, failed, running, waiting; none before the search is over."""
    verdict: Verdict | None = None
    confirmed: TrialRecord | None = None
    """The trial that the verdict names."""

    @property
    def winner(self) -> TrialRecord | None:
        """The trial that the finalists have confirmed, or else the best single run."""
        return self.confirmed or self.best


@dataclass(frozen=True)
class RunningJob:
    """One live job and, for a trial, its last report."""

    job: ObservedJob
    step: int | None = None
    """Evaluations reported so far."""
    value: float | None = None
    """Score of the last one."""


@dataclass(frozen=True, kw_only=True)
class Progress(StudyState):
    """One study at one moment."""

    now: datetime
    lengths: tuple[LengthProgress, ...] = ()
    running: tuple[RunningJob, ...] = ()
    gpu_seconds: float = 0.0
    ended_gpu_seconds: Mapping[Outcome, float] = field(default_factory=lambda: defaultdict(float))
    """GPU time of ended attempts by outcome (seconds x GPUs)."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Failed attempts by reason."""
    remaining: timedelta | None = None
    """Estimated time to the end; None when unknown."""
    preparing: Message = NOTHING
    """That the data are being prepared, and how that went before; nothing in any other phase."""
    problem: Message = NOTHING
    """What keeps the controller from going on right now, such as a database that is away."""


def progress_of(snapshot: Snapshot, memory: StudyMemory) -> Progress:
    """Return the progress that a snapshot shows."""
    busy = {unit_of(job) for job in snapshot.live if job.state is State.RUNNING}
    lengths = []
    for view in snapshot.lengths:
        running = sum(Unit(Kind.TRIAL, view.seq_len, trial.number) in busy for trial in view.open)
        judged = memory.finals.get(view.seq_len)
        verdict = None if judged is None else judged.verdict
        lengths.append(
            LengthProgress.like(
                view,
                running=running,
                waiting=len(view.open) - running,
                best=memory.lengths[view.seq_len].best,
                runs=_runs(view, busy),
                verdict=verdict,
                confirmed=_winner(memory.lengths[view.seq_len], verdict),
            )
        )
    return Progress.like(
        snapshot,
        lengths=tuple(lengths),
        running=tuple(_running(job, memory) for job in snapshot.live),
        gpu_seconds=snapshot.used_gpu_seconds(),
        ended_gpu_seconds=memory.attempts.gpu_seconds_by.copy(),
        failures=dict(memory.attempts.failures),
        preparing=_preparing(snapshot),
        remaining=remaining(snapshot.lengths, snapshot.slots, snapshot.now, snapshot.expected),
    )


def _preparing(snapshot: Snapshot) -> Message:
    if snapshot.phase is not Phase.PREPARING:
        return NOTHING
    before = snapshot.attempts.get(PREPARATION, ())
    return preparing([one.message for one in before if not one.forgiven and one.message])


def _runs(view: LengthSnapshot, busy: set[Unit]) -> dict[str, int]:
    finals = view.finals
    if finals is None:
        return {}
    running = sum(run_unit(view, run) in busy for run in finals.open)
    waiting = finals.planned - finals.done - running
    return {"complete": finals.complete, "failed": finals.failed, "running": running, "waiting": waiting}


def _winner(memory: LengthMemory, verdict: Verdict | None) -> TrialRecord | None:
    known = len(memory.records)
    return memory.records[verdict.winner] if verdict is not None and verdict.winner < known else None


def _running(job: ObservedJob, memory: StudyMemory) -> RunningJob:
    known = memory.of(unit_of(job))
    record = known.open.get(job.trial) if known is not None and job.trial is not None else None
    if record is None or not record.intermediate:
        return RunningJob(job)
    step = max(record.intermediate)
    return RunningJob(job, step, record.intermediate[step])
