"""Everything `plan` may know, as it was at one moment. No handles, no clocks: values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple

from coref_k8s.controller.runner import ObservedJob
from coref_k8s.controller.study import LengthState, StudyState
from coref_k8s.search.records import TrialState
from coref_k8s.store.records import Outcome
from coref_k8s.study.names import WITHOUT_GPU, Kind
from coref_k8s.wording import NOTHING, Message


class Unit(NamedTuple):
    """A piece of work that one job at a time works on: the preparation, a trial, a finalist's run, a verdict."""

    kind: Kind
    seq_len: int | None = None
    trial: int | None = None

    @property
    def named(self) -> Message:
        """What it is called."""
        return Message.of(f"controller.unit-{self.kind.value}", seq_len=self.seq_len, trial=self.trial)

    def __str__(self) -> str:
        return str(self.named)


#: The unit that every study begins with.
PREPARATION = Unit(Kind.PREPARE)


def unit_of(job: ObservedJob) -> Unit:
    """Return what a job works on."""
    return Unit(job.kind, job.seq_len, job.trial)


@dataclass(frozen=True)
class Attempt:
    """A job of a unit that has ended and is written down."""

    number: int
    outcome: Outcome
    disruptions: int = 0
    message: Message = NOTHING
    forgiven: bool = False
    """Ended before the study was resumed: its failure and its disruptions no longer count."""


@dataclass(frozen=True)
class TrialSnapshot:
    """What is known of one trial."""

    number: int
    state: TrialState
    hopeless: bool = False
    """The pruner gives it up."""
    finished_at: datetime | None = None


@dataclass(frozen=True)
class FinalsSnapshot:
    """The runs of one length's finalists. Finished ones are only counted."""

    missing: int = 0
    """Runs to be begun once the search of the length is over."""
    open: tuple[TrialSnapshot, ...] = ()
    """Hopeless are those whose trial is no finalist any more."""
    complete: int = 0
    candidates: int = 0
    """Complete runs of finalists, without those of the defaults and of the untuned model."""
    failed: int = 0
    judged: bool = False
    """Whether there is a verdict on all complete runs."""

    @property
    def done(self) -> int:
        """Runs with an outcome."""
        return self.complete + self.failed

    @property
    def planned(self) -> int:
        """Runs in all."""
        return self.missing + len(self.open) + self.done


@dataclass(frozen=True, kw_only=True)
class LengthSnapshot(LengthState):
    """The trials of one sequence length. Finished ones are only counted."""

    open: tuple[TrialSnapshot, ...] = ()
    finals: FinalsSnapshot | None = None
    """None where there is nothing to run again: no finalists asked for, or no trial is complete."""

    @property
    def asked(self) -> int:
        """Trials that were begun."""
        return self.done + len(self.open)


@dataclass(frozen=True, kw_only=True)
class Snapshot(StudyState):
    """One study at one moment."""

    now: datetime
    cancel_requested: bool = False
    lengths: tuple[LengthSnapshot, ...] = ()
    """Ascending; empty until preparation is done."""
    jobs: tuple[ObservedJob, ...] = ()
    """Those that exist, and those started that are not seen yet."""
    closed: Mapping[Unit, TrialSnapshot] = field(default_factory=dict)
    """Trials with an outcome whose job still exists."""
    stopping: frozenset[str] = frozenset()
    """Jobs (uid) that were told to stop."""
    outdated: frozenset[str] = frozenset()
    """Jobs (uid) that wait to begin, for pods that are asked for otherwise by now."""
    attempts: Mapping[Unit, tuple[Attempt, ...]] = field(default_factory=dict)
    """Ended attempts of units that are not finished."""
    gpu_seconds: float = 0.0
    """GPU time of ended attempts (seconds x GPUs)."""
    gpus_per_job: int = 0
    interrupted: bool = False
    """The user wants to leave: end the jobs so that they can go on later, decide nothing."""

    @cached_property
    def live(self) -> tuple[ObservedJob, ...]:
        """Jobs that may still do something."""
        return tuple(job for job in self.jobs if job.live)

    def used_gpu_seconds(self) -> float:
        """GPU time of all attempts, running ones until now; those that have just ended are not written yet."""
        return self.gpu_seconds + sum(gpu_seconds(job, self.gpus_per_job, self.now) for job in self.jobs)


def gpu_seconds(job: ObservedJob, gpus_per_job: int, now: datetime) -> float:
    """Return the GPU time of a job: from its start to its end (until now while it runs), times its GPUs."""
    if job.kind in WITHOUT_GPU:
        return 0.0
    began = job.started_at
    ran = max(timedelta(), (job.finished_at or now) - began).total_seconds() if began else 0.0
    return (job.earlier_seconds + ran) * gpus_per_job
