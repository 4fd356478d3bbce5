"""`StudyView`: everything that is known of a study, for whoever shows it.

The same data make `status`, `results`, `best`, `watch` and the report, whether they were read from the
database here or came as JSON from a controller in a cluster.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from coref_k8s.controller.remaining import Ahead, remaining
from coref_k8s.controller.runner import ObservedJob, Reason, State
from coref_k8s.search.finalists import planned_runs
from coref_k8s.search.records import TrialRecord, TrialState, ranked
from coref_k8s.search.verdict import Verdict
from coref_k8s.store.records import TERMINAL, AttemptRecord, Outcome, Phase
from coref_k8s.store.store import Store
from coref_k8s.study.names import Kind
from coref_k8s.study.spec import StudySpec

if TYPE_CHECKING:
    from optuna.storages import RDBStorage


@dataclass(frozen=True)
class Waiting:
    """Work that was begun and that no process does at the moment."""

    kind: Kind
    seq_len: int | None
    trial: int | None
    reason: Reason | None = None
    """None while it only starts."""
    message: str = ""
    """What it waits for, in words."""


@dataclass(frozen=True)
class StudyView:
    """A study with its trials. Times are UTC."""

    name: str
    namespace: str
    phase: Phase
    message: str
    spec: StudySpec
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    prepared: str | None = None
    """Folder of the prepared data below the data root."""
    statistics: dict[str, Any] = field(default_factory=dict)
    """What preparation counted."""
    trials: list[TrialRecord] = field(default_factory=list)
    """Every trial of every length, by length and number."""
    attempts: list[AttemptRecord] = field(default_factory=list)
    """Every ended attempt."""
    runs: list[TrialRecord] = field(default_factory=list)
    """Every run of finalists of every length, by length and number."""
    verdicts: list[Verdict] = field(default_factory=list)
    """What the finalists have shown, by length."""
    waiting: list[Waiting] = field(default_factory=list)
    """What was begun and does not run at the moment, where that is known (`with_jobs`)."""

    def with_jobs(self, jobs: Iterable[ObservedJob]) -> StudyView:
        """Return the view with what its jobs say of work that does not run."""
        live = {(job.kind, job.seq_len, job.trial): job for job in jobs if job.live}
        begun = [(Kind.TRIAL, t.seq_len, t.number) for t in self.trials if t.open]
        begun += [(Kind.FINALIST, r.seq_len, r.number) for r in self.runs if r.open]
        waiting = []
        for unit in dict.fromkeys([*begun, *live]):
            job = live.get(unit)
            if job is None:
                waiting.append(Waiting(*unit))
            elif job.state is State.PENDING:
                waiting.append(Waiting(*unit, job.reason, job.message))
        return replace(self, waiting=waiting)

    @property
    def ended(self) -> bool:
        """Whether nothing will happen any more unless the study is resumed."""
        return self.phase in TERMINAL

    @cached_property
    def lengths(self) -> tuple[LengthView, ...]:
        """The study, one sequence length after the other."""
        return tuple(
            LengthView(
                length,
                self.spec.trials,
                [t for t in self.trials if t.seq_len == length],
                [r for r in self.runs if r.seq_len == length],
                next((v for v in self.verdicts if v.seq_len == length), None),
                planned_runs(self.spec),
                {w.trial for w in self.waiting if (w.kind, w.seq_len) == (Kind.TRIAL, length)},
                self.ended,
            )
            for length in self.spec.seq_lengths
        )

    def only(self, seq_len: int) -> StudyView:
        """Return the view of one of its lengths."""
        spec = self.spec.model_copy(update={"seq_lengths": (seq_len,)})
        return replace(
            self,
            spec=spec,
            trials=[t for t in self.trials if t.seq_len == seq_len],
            runs=[r for r in self.runs if r.seq_len == seq_len],
            verdicts=[v for v in self.verdicts if v.seq_len == seq_len],
            waiting=[w for w in self.waiting if w.seq_len == seq_len],
        )

    @property
    def done(self) -> int:
        """Trials with an outcome."""
        return sum(one.done for one in self.lengths)

    @property
    def failures(self) -> list[TrialRecord]:
        """Failed trials, by length and number."""
        return [t for t in self.trials if t.state is TrialState.FAILED]

    @property
    def why(self) -> str:
        """Why the study is in its phase, in words; of a failed preparation with the end of its log."""
        last = next((a for a in reversed(self.attempts) if a.kind is Kind.PREPARE), None)
        if self.phase is Phase.FAILED and last is not None and last.outcome is Outcome.FAILED:
            return f"preparation failed: {last.message}"
        return self.message

    @property
    def gpu_seconds(self) -> float:
        """GPU time of all ended attempts (seconds x GPUs)."""
        return sum(one.gpu_seconds for one in self.attempts)

    @property
    def wasted_gpu_seconds(self) -> float:
        """GPU time of attempts that gave no result."""
        return sum(one.gpu_seconds for one in self.attempts if one.outcome is not Outcome.SUCCEEDED)

    def elapsed(self, now: datetime) -> timedelta | None:
        """Time since the study was first taken up; None before."""
        return (self.finished_at or now) - self.started_at if self.started_at else None

    def remaining(self, now: datetime) -> timedelta | None:
        """Estimated time to the end, from the mean duration of complete trials of each length; None when unknown."""
        if self.ended:
            return None
        ahead = [
            Ahead(
                one.seq_len,
                one.planned - one.done + one.planned_runs - one.runs_done,
                one.mean_seconds,
                sum((now - t.started_at).total_seconds() for t in one.open if t.started_at),
            )
            for one in self.lengths
        ]
        return remaining(ahead, self.spec.parallelism)

    def to_json(self) -> bytes:
        """Return the view as JSON."""
        return _adapter().dump_json(self, by_alias=True)

    def to_text(self) -> str:
        """Return the view as JSON that keeps numbers which are not finite, such as the score of a diverged trial."""
        return json.dumps(_adapter().dump_python(self, mode="json", by_alias=True), ensure_ascii=False)

    @classmethod
    def from_json(cls, data: bytes | str) -> StudyView:
        """Return the view that `to_json` wrote."""
        return _adapter().validate_json(data)


@dataclass(frozen=True)
class LengthView:
    """One sequence length of a study."""

    seq_len: int
    planned: int
    """Trials asked for."""
    trials: list[TrialRecord]
    runs: list[TrialRecord] = field(default_factory=list)
    """Runs of its finalists."""
    verdict: Verdict | None = None
    """What they have shown."""
    planned_runs: int = 0
    """Runs of finalists that its search will be followed by; 0 without finalists."""
    _waiting: Collection[int | None] = ()
    _ended: bool = False

    @property
    def runs_done(self) -> int:
        """Runs of finalists with an outcome, as far as they still count."""
        return sum(run.state in (TrialState.COMPLETE, TrialState.FAILED) for run in self.runs)

    @cached_property
    def counts(self) -> Counter[TrialState]:
        """Number of trials by state."""
        return Counter(t.state for t in self.trials)

    @property
    def done(self) -> int:
        """Trials with an outcome."""
        return sum(self.counts[s] for s in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED))

    @property
    def open(self) -> list[TrialRecord]:
        """Trials without an outcome that were asked for."""
        return [t for t in self.trials if t.open]

    @property
    def running(self) -> list[TrialRecord]:
        """Open trials that do not wait, as far as that is known."""
        return [t for t in self.open if t.number not in self._waiting and not self._ended]

    @property
    def waiting(self) -> list[TrialRecord]:
        """Open trials that are suspended, have no place yet, or go on when the study is resumed."""
        return [t for t in self.open if t.number in self._waiting or self._ended]

    @property
    def ranked(self) -> list[TrialRecord]:
        """Complete trials, best first."""
        return ranked(self.trials)

    @property
    def best(self) -> TrialRecord | None:
        """The winner of the finalists; before a verdict, and without finalists, the best single run."""
        winner = None if self.verdict is None else self.verdict.winner
        return next((t for t in self.ranked if t.number == winner), next(iter(self.ranked), None))

    @property
    def mean_seconds(self) -> float | None:
        """Mean duration of complete trials (seconds)."""
        spans = [
            (t.finished_at - t.started_at).total_seconds()
            for t in self.trials
            if t.state is TrialState.COMPLETE and t.started_at and t.finished_at
        ]
        return sum(spans) / len(spans) if spans else None


def read_view(store: Store, namespace: str, name: str, storage: RDBStorage | None = None) -> StudyView:
    """Return a study as the database has it. Raises NotFoundError, StorageError.

    A long-running reader passes its open `storage`.
    """
    # here, so that whoever only receives views does not import Optuna
    from coref_k8s.search.finalist_study import read_runs, read_verdicts
    from coref_k8s.search.storage import open_storage
    from coref_k8s.search.studies import read_trials

    record = store.get_study(namespace, name)
    storage = storage or open_storage(store.url)
    trials = [t for length in record.spec.seq_lengths for t in read_trials(storage, name, length, namespace)]
    lengths = record.spec.seq_lengths if record.spec.search.finalists else ()
    return StudyView(
        name=name,
        namespace=namespace,
        phase=record.phase,
        message=record.message,
        spec=record.spec,
        created_at=record.created_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        prepared=record.prepared,
        statistics=record.statistics,
        trials=trials,
        attempts=store.attempts(namespace, name),
        runs=[run for length in lengths for run in read_runs(storage, name, length, namespace)],
        verdicts=read_verdicts(storage, name, lengths, namespace),
    )


def _adapter() -> TypeAdapter[StudyView]:
    return TypeAdapter(StudyView)
