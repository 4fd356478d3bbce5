"""What the controller remembers of a study between two looks. All of it can be lost: it is found again.

It is there for two things: what was done but cannot be seen yet (a lagging cache), and not to read again what
no longer changes, so a look costs the same after five thousand trials as after five.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from coref_k8s.controller.runner import ObservedJob, Reason, State
from coref_k8s.controller.snapshot import Attempt, FinalsSnapshot, LengthSnapshot, TrialSnapshot, Unit
from coref_k8s.controller.turn import LOOKING, Turn
from coref_k8s.search.finalist_study import FinalistStudy
from coref_k8s.search.finalists import Role, Run, missing_runs, planned_runs, surplus_runs, wanted_runs
from coref_k8s.search.records import ROLE_ATTR, TrialRecord, TrialState, ranked, unusable
from coref_k8s.search.studies import LengthStudy
from coref_k8s.search.verdict import Verdict
from coref_k8s.sizing.correction import Correction
from coref_k8s.store.records import AttemptRecord, Outcome, StudyRecord
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order
from coref_k8s.wording import Message

#: How long a started job counts as existing without being seen. Longer than a cache ever lags while it is
#: alive; starting the job again after that is harmless, counting its place as free would not be.
UNSEEN = timedelta(minutes=5)


@dataclass
class JobMemory:
    """Which jobs were started, seen, told to stop and removed."""

    _unseen: dict[str, tuple[ObservedJob, datetime]] = field(default_factory=dict)
    _live: dict[str, ObservedJob] = field(default_factory=dict)
    _stopping: set[str] = field(default_factory=set)
    _removed: set[str] = field(default_factory=set)

    def started(self, order: Order, now: datetime) -> None:
        """Note a job that was created: it exists from now on, seen or not."""
        job = ObservedJob(
            name=order.name,
            uid=f"unseen/{order.name}",
            study=order.study,
            kind=order.kind,
            seq_len=order.seq_len,
            trial=order.trial,
            attempt=order.attempt,
            state=State.PENDING,
        )
        self._unseen[order.name] = (job, now)

    def stopped(self, job: ObservedJob) -> None:
        """Note a job that was told to stop."""
        self._stopping.add(job.uid)

    def removed(self, job: ObservedJob) -> None:
        """Note a job that was removed, though a lagging cache may still show it."""
        self._removed.add(job.uid)
        self._live.pop(job.uid, None)

    def seen(
        self, listed: Iterable[ObservedJob], now: datetime
    ) -> tuple[tuple[ObservedJob, ...], frozenset[str]]:
        """Return the jobs that exist, and the uids of those told to stop.

        Adds the jobs that were started and are not listed yet, and, as ended, those that were live and are gone
        without our removing them: deleted by hand, or by us with `stop` where stopping means deleting.
        """
        jobs = {job.uid: job for job in listed}
        self._removed &= jobs.keys()
        names = {job.name for uid, job in jobs.items() if uid not in self._removed}
        found = [job for uid, job in jobs.items() if uid not in self._removed]
        for name, (job, since) in list(self._unseen.items()):
            if name in names or now - since > UNSEEN:
                del self._unseen[name]
            else:
                found.append(job)
        for uid, job in self._live.items():
            if uid not in jobs:
                why = Message.of("controller.stopped" if uid in self._stopping else "controller.deleted")
                found.append(
                    replace(job, state=State.FAILED, reason=Reason.DISRUPTED, message=why, finished_at=now)
                )
        stopping = frozenset(job.uid for job in found if job.stopped or job.uid in self._stopping)
        self._stopping = set(stopping)
        self._live |= {job.uid: job for job in jobs.values() if job.live and job.uid not in self._removed}
        for uid in [uid for uid, job in jobs.items() if not job.live]:
            self._live.pop(uid, None)
        return tuple(sorted(found, key=lambda job: job.name)), stopping


@dataclass
class AttemptMemory:
    """How the attempts at each unit ended, and the GPU time of all of them."""

    _known: dict[Unit, dict[int, AttemptRecord]] = field(default_factory=dict)
    gpu_seconds: float = 0.0
    gpu_seconds_by: defaultdict[Outcome, float] = field(default_factory=lambda: defaultdict(float))
    """The same by outcome."""
    failures: Counter[str] = field(default_factory=Counter)
    """Failed attempts by reason; pruned and stopped ones have not failed."""

    def add(self, record: AttemptRecord) -> None:
        """Note an attempt; a repeated one replaces the earlier one."""
        known = self._known.setdefault(Unit(record.kind, record.seq_len, record.trial), {})
        before = known.get(record.attempt)
        if before is not None:
            self._count(before, -1)
        known[record.attempt] = replace(record, log_tail="")  # there may be many thousands
        self._count(record, 1)

    def _count(self, ended: AttemptRecord, sign: int) -> None:
        self.gpu_seconds += sign * ended.gpu_seconds
        self.gpu_seconds_by[ended.outcome] += sign * ended.gpu_seconds
        if ended.outcome in (Outcome.FAILED, Outcome.OUT_OF_MEMORY, Outcome.DISRUPTED):
            self.failures[ended.reason] += sign

    @property
    def of_trials(self) -> bool:
        """Whether an attempt at a trial has ended."""
        return any(unit.kind is Kind.TRIAL for unit in self._known)

    def of(self, units: Iterable[Unit], resumed_at: datetime) -> dict[Unit, tuple[Attempt, ...]]:
        """Return the attempts of these units, in order."""
        return {
            unit: tuple(_attempt(number, ended, resumed_at) for number, ended in sorted(known.items()))
            for unit in units
            if (known := self._known.get(unit))
        }


def _attempt(number: int, ended: AttemptRecord, resumed_at: datetime) -> Attempt:
    forgiven = ended.finished_at is not None and ended.finished_at < resumed_at
    return Attempt(number, ended.outcome, ended.disruptions, ended.message, forgiven)


@dataclass
class RunsMemory:
    """The trials of one length, or its finalists' runs: finished ones counted once, open ones looked at anew."""

    study: LengthStudy | FinalistStudy
    records: list[TrialRecord] = field(default_factory=list)
    """All trials as of the last look."""
    open: dict[int, TrialRecord] = field(default_factory=dict)
    best: TrialRecord | None = None
    counts: Counter[TrialState] = field(default_factory=Counter)
    complete_seconds: float = 0.0
    """What the complete trials took (seconds, summed)."""
    correction: Correction = field(default_factory=Correction)
    """What the ended trials say of the memory estimate."""
    _closed: dict[int, TrialRecord] = field(default_factory=dict)
    _failures: list[datetime] = field(default_factory=list)
    _hopeless_at: dict[int, tuple[int, bool]] = field(default_factory=dict)
    _since_best: int = 0

    def look(self, resumed_at: datetime, turn: Turn) -> LengthSnapshot:
        """Read the trials and return what `plan` needs of them; the pruner is asked about them within the turn."""
        self.records = self.study.trials()
        self.open = {}
        for record in self.records:
            if record.number in self._closed or record.state is TrialState.WAITING:
                continue
            if record.open:
                self.open[record.number] = record
            else:
                self._close(record)
        for record in turn.within(filter(self._has_news, self.open.values()), LOOKING):
            self._hopeless_at[record.number] = max(record.intermediate), self.study.should_prune(record)
        return LengthSnapshot(
            seq_len=self.study.seq_len,
            open=tuple(TrialSnapshot(n, r.state, self._is_hopeless(n)) for n, r in self.open.items()),
            complete=self.counts[TrialState.COMPLETE],
            pruned=self.counts[TrialState.PRUNED],
            failed=self.counts[TrialState.FAILED],
            # whoever resumes a study has removed the cause, and wants its trials done after all
            forgiven=sum(moment < resumed_at for moment in self._failures),
            exhausted=self._exhausted(),
            planned_runs=planned_runs(self.study.spec),
            complete_seconds=self.complete_seconds,
            begun_at=tuple(r.started_at for r in self.open.values() if r.started_at),
        )

    def closed(self, number: int) -> TrialSnapshot | None:
        """Return a trial that has an outcome; None for one that has none or is unknown."""
        record = self._closed.get(number)
        return None if record is None else TrialSnapshot(number, record.state, finished_at=record.finished_at)

    def _close(self, record: TrialRecord) -> None:
        self._closed[record.number] = record
        self.counts[record.state] += 1
        self._hopeless_at.pop(record.number, None)
        self.correction.add(record.attrs)
        if record.state is TrialState.COMPLETE:
            self.complete_seconds += record.seconds or 0.0
        if record.state is TrialState.FAILED and record.finished_at is not None:
            self._failures.append(record.finished_at)
        if record.state is not TrialState.FAILED:
            self._since_best += 1
        best = next(iter(ranked([known for known in (self.best, record) if known is not None])), None)
        if best is not self.best:
            self.best, self._since_best = best, 0

    def _exhausted(self) -> Message | None:
        """Return why further trials are not worth their time; None while they are."""
        return None

    def _has_news(self, record: TrialRecord) -> bool:
        """Whether a trial has reported since the pruner was asked about it."""
        known = self._hopeless_at.get(record.number)
        return bool(record.intermediate) and (known is None or known[0] != max(record.intermediate))

    def _is_hopeless(self, number: int) -> bool:
        """Whether the pruner gives a trial up, as it said of its last report."""
        known = self._hopeless_at.get(number)
        return known is not None and known[1]


@dataclass
class LengthMemory(RunsMemory):
    """The trials of one length as a search has them."""

    study: LengthStudy
    warnings: list[Message] = field(default_factory=list)
    """What is to be told of the trials that have ended; a controller that starts anew tells it anew."""
    _expected: tuple[int, float] | None = None
    """Trials learnt from, and what one more was expected to add then."""

    def _close(self, record: TrialRecord) -> None:
        super()._close(record)
        if (warning := unusable(record)) is not None:
            self.warnings.append(warning)

    def _exhausted(self) -> Message | None:
        """Return why further trials are not worth their time; None while they are."""
        search = self.study.spec.search
        learnt = self.counts[TrialState.COMPLETE] + self.counts[TrialState.PRUNED]
        if learnt <= search.startup_trials:
            return None
        if search.patience is not None and self._since_best >= search.patience:
            return Message.of("controller.no-better-trial", n=search.patience)
        if search.min_gain is not None and self._gain(learnt) < search.min_gain:
            return Message.of("controller.little-to-gain", gain=search.min_gain)
        return None

    def _gain(self, learnt: int) -> float:
        """Return what one more trial is expected to add, asked for once a trial."""
        if self._expected is None or self._expected[0] != learnt:
            gain = self.study.expected_gain()
            self._expected = (learnt, math.inf if gain is None else gain)
        return self._expected[1]


class FinalsMemory:
    """The finalists of one length: what was begun, what is still to be, and the verdict."""

    def __init__(self, study: FinalistStudy) -> None:
        self.study = study
        self.runs = RunsMemory(study)
        self.verdict: Verdict | None = None
        self._trials: Sequence[TrialRecord] = ()

    def look(
        self, trials: Sequence[TrialRecord], resumed_at: datetime, turn: Turn, *, over: bool
    ) -> FinalsSnapshot:
        """Read the runs and return what `plan` needs of them; while the search is not over, none is surplus."""
        self._trials = trials
        view = self.runs.look(resumed_at, turn)
        wanted = self._wanted()
        surplus = surplus_runs(wanted, self.runs.records) if over else set()
        missing = len(missing_runs(wanted, self.runs.records))
        if not self._judged():
            self.verdict = self.study.verdict()
        return FinalsSnapshot(
            missing=missing,
            open=tuple(replace(run, hopeless=run.number in surplus) for run in view.open),
            complete=view.complete,
            candidates=sum(
                run.state is TrialState.COMPLETE and run.attrs[ROLE_ATTR] == Role.TRIAL
                for run in self.runs.records
            ),
            failed=view.failed,
            judged=self._judged(),
        )

    def next_run(self) -> Run | None:
        """Return the run to begin next; None when all were begun."""
        return next(iter(missing_runs(self._wanted(), self.study.trials())), None)

    def closed(self) -> TrialSnapshot | None:
        """Return the verdict as the outcome of the job that made it; None while it does not cover all runs."""
        if self.verdict is None or not self._judged():
            return None
        return TrialSnapshot(0, TrialState.COMPLETE, finished_at=self.verdict.made_at)

    def _judged(self) -> bool:
        done = tuple(run.number for run in self.runs.records if run.state is TrialState.COMPLETE)
        return self.verdict is not None and self.verdict.runs == done

    def _wanted(self) -> list[Run]:
        spec = self.study.spec
        return wanted_runs(spec, self.study.seq_len, self._trials)


class StudyMemory:
    """All that is remembered of one study: `Observer` fills it, `Applier` notes in it what it has done."""

    def __init__(self, namespace: str, name: str) -> None:
        self.namespace, self.name = namespace, name
        self.study: StudyRecord
        """As it was last read."""
        self.jobs = JobMemory()
        self.attempts = AttemptMemory()
        self.lengths: dict[int, LengthMemory] = {}
        self.finals: dict[int, FinalsMemory] = {}
        """Of the lengths whose finalists were looked at."""

    def of(self, unit: Unit) -> RunsMemory | None:
        """Return the memory that holds a trial or a finalist's run; None when its length is not open."""
        if unit.kind is Kind.FINALIST:
            finals = self.finals.get(unit.seq_len or 0)
            return None if finals is None else finals.runs
        return self.lengths.get(unit.seq_len or 0) if unit.kind is Kind.TRIAL else None

    def closed(self, unit: Unit) -> TrialSnapshot | None:
        """Return what a unit has to show, once it has something."""
        if unit.kind is Kind.VERDICT:
            finals = self.finals.get(unit.seq_len or 0)
            return None if finals is None else finals.closed()
        memory = self.of(unit)
        return None if memory is None or unit.trial is None else memory.closed(unit.trial)

    def open_units(self) -> list[Unit]:
        """Return everything that has no outcome yet, and every comparison of finalists."""
        units = [Unit(Kind.TRIAL, n, number) for n, known in self.lengths.items() for number in known.open]
        for n, finals in self.finals.items():
            units += [Unit(Kind.FINALIST, n, number) for number in finals.runs.open]
            units.append(Unit(Kind.VERDICT, n))
        return units
