"""`StudyView`: everything that is known of a study, for whoever shows it.

The same data make `status`, `results`, `best`, `watch` and the report, whether they were read from the
database here or came as JSON from a controller in a cluster.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter, ValidationError

from coref_k8s import __version__
from coref_k8s.controller.expecting import trial_seconds
from coref_k8s.controller.runner import ObservedJob, Reason, State
from coref_k8s.controller.study import LengthState, StudyState, preparing, remaining
from coref_k8s.errors import DataError
from coref_k8s.search.allotment import allotted
from coref_k8s.search.finalists import planned_runs
from coref_k8s.search.records import REASON_ATTR, TrialRecord, TrialState, ranked
from coref_k8s.search.stored import FINALISTS, stored_trials, stored_verdicts
from coref_k8s.search.verdict import Verdict
from coref_k8s.store.records import AttemptRecord, Outcome, Phase, StudyRecord
from coref_k8s.store.store import Store
from coref_k8s.study.names import Kind
from coref_k8s.study.parameters import needed
from coref_k8s.wording import NOTHING, Message


@dataclass(frozen=True)
class Waiting:
    """Work that was begun and that no process does at the moment."""

    kind: Kind
    seq_len: int | None
    trial: int | None
    reason: Reason | None = None
    """None while it only starts."""
    message: Message = NOTHING
    """What it waits for."""

    @property
    def told(self) -> Message:
        """What it waits for, in the words of its reason where nobody says more."""
        if self.message or self.reason is None:
            return self.message
        return Message.of(f"controller.reason-{self.reason.value.lower()}")


@dataclass(frozen=True, kw_only=True)
class StudyView(StudyState):
    """A study with its trials."""

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
    problem: Message = NOTHING
    """What keeps the study from going on, as the cluster has it; jobs that wait say the same more closely."""

    def with_jobs(self, jobs: Iterable[ObservedJob], capacity: int | None = None) -> StudyView:
        """Return the view with what its jobs say of work that does not run; `capacity` is the runner's."""
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
        return replace(self, waiting=waiting, capacity=capacity)

    @cached_property
    def lengths(self) -> tuple[LengthView, ...]:
        """The study, one sequence length after the other."""
        return tuple(_length(self, seq_len) for seq_len in self.spec.seq_lengths)

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
    def held(self) -> list[Waiting]:
        """What waits for something, and does not only start."""
        return [one for one in self.waiting if one.reason is not None]

    @property
    def stuck(self) -> Message:
        """What keeps the study from going on that no job says."""
        return NOTHING if self.held or self.ended else self.problem

    @property
    def preparing(self) -> Message:
        """How the preparation went before, while it is tried again."""
        before = [one for one in self.attempts if one.kind is Kind.PREPARE and one.message]
        failed = [one.message for one in before if one.finished_at and one.finished_at >= self.counted_from]
        return preparing(failed) if failed and self.phase is Phase.PREPARING else NOTHING

    @property
    def done(self) -> int:
        """Trials with an outcome."""
        return sum(one.done for one in self.lengths)

    @property
    def failures(self) -> list[TrialRecord]:
        """Failed trials, by length and number."""
        return [t for t in self.trials if t.state is TrialState.FAILED]

    @cached_property
    def allotted(self) -> dict[int, int]:
        """Trials that each length gets, as far as its trials tell by now."""
        lengths = self.spec.seq_lengths
        return allotted(self.spec, {n: [t for t in self.trials if t.seq_len == n] for n in lengths})

    @property
    def gpu_seconds(self) -> float:
        """GPU time of all ended attempts (seconds x GPUs)."""
        return sum(one.gpu_seconds for one in self.attempts)

    @property
    def wasted_gpu_seconds(self) -> float:
        """GPU time of attempts that gave no result."""
        return sum(one.gpu_seconds for one in self.attempts if one.outcome is not Outcome.SUCCEEDED)

    def remaining(self, now: datetime) -> timedelta | None:
        """Estimated time to the end, from the mean duration of complete trials of each length; None when unknown."""
        return (
            None
            if self.ended or self.interrupted
            else remaining(self.lengths, self.slots, now, self.expected)
        )

    def to_json(self, *, words: bool = False) -> bytes:
        """Return the view as JSON; with `words` messages are English text, as people and older versions read them."""
        view = self
        if words:
            told = [
                replace(t, attrs={**t.attrs, REASON_ATTR: str(t.reason)}) if t.reason else t
                for t in self.trials
            ]
            view = replace(self, trials=told)
        return _adapter().dump_json(view, by_alias=True, context={"words": words})

    def to_text(self) -> str:
        """Return the view as JSON that keeps numbers which are not finite, such as the score of a diverged trial."""
        return json.dumps(_adapter().dump_python(self, mode="json", by_alias=True), ensure_ascii=False)

    @classmethod
    def from_json(cls, data: bytes | str) -> StudyView:
        """Return the view that `to_json` or `to_text` wrote, of another version as far as it is known here.

        Raises DataError for one that is not.
        """
        try:
            found = json.loads(data)
            # a request that is not all known here is shown, and named
            asked = StudyRecord.of_request(found["name"], found["spec"], found.get("version", ""))
            known = {
                "spec": asked.spec,
                "not_understood": found.get("not_understood") or asked.not_understood,
            }
            return _adapter().validate_python({**found, **known})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place, why = ".".join(map(str, first["loc"])), first["msg"]
        except (ValueError, KeyError, TypeError) as error:
            place, why = "", f"{type(error).__name__}: {error}"
        raise DataError("controller.view-not-read", place=place, why=why, ours=__version__)


@dataclass(frozen=True, kw_only=True)
class LengthView(LengthState):
    """One sequence length of a study."""

    trials: list[TrialRecord] = field(default_factory=list)
    runs: list[TrialRecord] = field(default_factory=list)
    """Runs of its finalists."""
    verdict: Verdict | None = None
    """What they have shown."""
    idle: frozenset[int | None] = frozenset()
    """Open trials that do not run at the moment, as far as that is known."""

    @cached_property
    def counts(self) -> Counter[TrialState]:
        """Number of trials by state."""
        return Counter(t.state for t in self.trials)

    @property
    def open(self) -> list[TrialRecord]:
        """Trials without an outcome that were asked for."""
        return [t for t in self.trials if t.open]

    @property
    def running(self) -> list[TrialRecord]:
        """Open trials that do not wait, as far as that is known."""
        return [t for t in self.open if t.number not in self.idle]

    @property
    def waiting(self) -> list[TrialRecord]:
        """Open trials that are suspended, have no place yet, or go on when the study is resumed."""
        return [t for t in self.open if t.number in self.idle]

    @cached_property
    def ranked(self) -> list[TrialRecord]:
        """Complete trials, best first."""
        return ranked(self.trials)

    @cached_property
    def ordered(self) -> list[TrialRecord]:
        """All trials: complete ones best first, then the others by number."""
        first = self.ranked
        known = {t.number for t in first}
        return first + [t for t in self.trials if t.number not in known]

    @property
    def score(self) -> float | None:
        """The best score on dev: with a verdict the winner's mean, since the best of many single runs promises too much."""
        return self.verdict.dev if self.verdict else self.best.value if self.best else None

    @property
    def shown(self) -> float | None:
        """The best score on dev where it rests on enough items to be shown to a person."""
        found = self.verdict or self.best
        return None if found is None or "score" in found.not_given else self.score

    @cached_property
    def best(self) -> TrialRecord | None:
        """The winner of the finalists; before a verdict, and without finalists, the best single run."""
        winner = None if self.verdict is None else self.verdict.winner
        return next((t for t in self.ranked if t.number == winner), next(iter(self.ranked), None))


def _length(view: StudyView, seq_len: int) -> LengthView:
    trials = [t for t in view.trials if t.seq_len == seq_len]
    runs = [run for run in view.runs if run.seq_len == seq_len]
    state = Counter(t.state for t in trials)
    waiting = (w.trial for w in view.waiting if (w.kind, w.seq_len) == (Kind.TRIAL, seq_len))
    forgiven = sum(
        t.state is TrialState.FAILED and t.finished_at is not None and t.finished_at < view.counted_from
        for t in trials
    )
    return LengthView(
        seq_len=seq_len,
        # a study that began with another version may have more trials than its request gives it now
        planned=max(view.allotted[seq_len], len(trials) - forgiven),
        complete=state[TrialState.COMPLETE],
        pruned=state[TrialState.PRUNED],
        failed=state[TrialState.FAILED],
        forgiven=forgiven,
        planned_runs=planned_runs(view.spec),
        runs_done=sum(run.state in (TrialState.COMPLETE, TrialState.FAILED) for run in runs),
        complete_seconds=sum(t.seconds or 0.0 for t in trials if t.state is TrialState.COMPLETE),
        begun_at=tuple(t.started_at for t in trials if t.open and t.started_at),
        trials=trials,
        runs=runs,
        verdict=next((v for v in view.verdicts if v.seq_len == seq_len), None),
        idle=frozenset(t.number for t in trials if t.open)
        if view.ended or view.interrupted
        else frozenset(waiting),
    )


def read_view(store: Store, namespace: str, name: str) -> StudyView:
    """Return a study as the database has it. Raises NotFoundError, StorageError."""
    record = store.get_study(namespace, name)
    engine = store.engine
    trials = [
        trial
        for length in record.spec.seq_lengths
        for trial in stored_trials(engine, name, length, namespace, needed=needed(record.spec, length))
    ]
    lengths = record.spec.seq_lengths if record.spec.search.finalists else ()
    return StudyView.like(
        record,
        spec=record.spec,
        not_understood=record.not_understood,
        statistics=record.statistics,
        expected=trial_seconds(record.expected),
        trials=trials,
        attempts=store.attempts(namespace, name),
        runs=[r for n in lengths for r in stored_trials(engine, name, n, namespace, part=FINALISTS)],
        verdicts=stored_verdicts(engine, name, lengths, namespace),
    )


def _adapter() -> TypeAdapter[StudyView]:
    return TypeAdapter(StudyView)
