"""A study as a person wants to see it: counts, bests, what runs. For the live view and the resource's status."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coref_k8s.controller.finals import run_unit
from coref_k8s.controller.observe import Observer
from coref_k8s.controller.remaining import Ahead, remaining
from coref_k8s.controller.runner import ObservedJob, State
from coref_k8s.controller.snapshot import LengthView, Snapshot, Unit, unit_of
from coref_k8s.controller.state import LengthMemory
from coref_k8s.search.finalists import planned_runs
from coref_k8s.search.records import TrialRecord
from coref_k8s.search.verdict import Verdict
from coref_k8s.store.records import Outcome, Phase
from coref_k8s.study.names import Kind


@dataclass(frozen=True)
class FinalsProgress:
    """The runs of one length's finalists."""

    planned: int
    complete: int
    failed: int
    running: int

    @property
    def waiting(self) -> int:
        """Runs that are still to be begun or to go on."""
        return self.planned - self.complete - self.failed - self.running


@dataclass(frozen=True)
class LengthProgress:
    """One sequence length."""

    seq_len: int
    trials: int
    """Trials that the request asks for."""
    complete: int
    pruned: int
    failed: int
    running: int
    """Open trials whose job runs."""
    waiting: int
    """Other open trials: suspended, without a place or an image yet, or to go on when the study is resumed."""
    best: TrialRecord | None
    finals: FinalsProgress | None = None
    """The finalists' runs; None before the search is over, and without finalists."""
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


@dataclass(frozen=True)
class Progress:
    """One study at one moment."""

    namespace: str
    name: str
    phase: Phase
    message: str
    now: datetime
    started_at: datetime | None
    prepared: bool = False
    """Whether its data are prepared here."""
    lengths: tuple[LengthProgress, ...] = ()
    running: tuple[RunningJob, ...] = ()
    gpu_seconds: float = 0.0
    ended_gpu_seconds: Mapping[Outcome, float] = field(default_factory=lambda: defaultdict(float))
    """GPU time of ended attempts by outcome (seconds x GPUs)."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Failed attempts by reason."""
    remaining: timedelta | None = None
    """Estimated time to the end; None when unknown."""
    problem: str = field(default="")
    """What keeps the controller from going on right now, such as a database that is away."""


def progress_of(snapshot: Snapshot, observer: Observer) -> Progress:
    """Return the progress that a snapshot shows."""
    busy = {unit_of(job) for job in snapshot.live if job.state is State.RUNNING}
    lengths = []
    for view in snapshot.lengths:
        running = sum(Unit(Kind.TRIAL, view.seq_len, trial.number) in busy for trial in view.open)
        verdict = _verdict(view, observer)
        lengths.append(
            LengthProgress(
                seq_len=view.seq_len,
                trials=snapshot.spec.trials,
                complete=view.complete,
                pruned=view.pruned,
                failed=view.failed,
                running=running,
                waiting=len(view.open) - running,
                best=observer.lengths[view.seq_len].best,
                finals=_finals(view, busy),
                verdict=verdict,
                confirmed=_winner(observer.lengths[view.seq_len], verdict),
            )
        )
    return Progress(
        namespace=observer.namespace,
        name=snapshot.name,
        phase=snapshot.phase,
        message=snapshot.message,
        now=snapshot.now,
        started_at=observer.study.started_at,
        prepared=snapshot.prepared,
        lengths=tuple(lengths),
        running=tuple(_running(job, observer) for job in snapshot.live),
        gpu_seconds=snapshot.used_gpu_seconds(),
        ended_gpu_seconds=observer.attempts.gpu_seconds_by.copy(),
        failures=dict(observer.attempts.failures),
        remaining=remaining(
            [_ahead(snapshot, view, observer.lengths[view.seq_len]) for view in snapshot.lengths],
            snapshot.slots,
        ),
    )


def _finals(view: LengthView, busy: set[Unit]) -> FinalsProgress | None:
    finals = view.finals
    if finals is None:
        return None
    running = sum(run_unit(view, run) in busy for run in finals.open)
    planned = finals.missing + len(finals.open) + finals.complete + finals.failed
    return FinalsProgress(planned, finals.complete, finals.failed, running)


def _verdict(view: LengthView, observer: Observer) -> Verdict | None:
    finals = observer.finals.get(view.seq_len)
    return None if finals is None else finals.verdict


def _winner(memory: LengthMemory, verdict: Verdict | None) -> TrialRecord | None:
    known = verdict is not None and verdict.winner < len(memory.records)
    return memory.records[verdict.winner] if verdict is not None and known else None


def _ahead(snapshot: Snapshot, view: LengthView, memory: LengthMemory) -> Ahead:
    spent = sum((snapshot.now - t.started_at).total_seconds() for t in memory.open.values() if t.started_at)
    left = max(0, snapshot.spec.trials - view.closed)
    if view.finals is not None:
        left += view.finals.missing + len(view.finals.open)
    else:
        left += planned_runs(snapshot.spec)
    return Ahead(view.seq_len, left, memory.mean_seconds, spent)


def _running(job: ObservedJob, observer: Observer) -> RunningJob:
    memory = observer.memory(unit_of(job))
    record = memory.open.get(job.trial) if memory is not None and job.trial is not None else None
    if record is None or not record.intermediate:
        return RunningJob(job)
    step = max(record.intermediate)
    return RunningJob(job, step, record.intermediate[step])
