"""`Applier`: carries out what `plan` asks for, in order, and notes what cannot be seen yet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, assert_never

from coref_k8s.controller.actions import (
    Action,
    Fail,
    NewFinalist,
    NewTrial,
    OfferDefaults,
    Prune,
    Record,
    Remove,
    SetPhase,
    Start,
    Stop,
    WarmStart,
)
from coref_k8s.controller.observe import Observer
from coref_k8s.controller.orders import make_order
from coref_k8s.controller.runner import Reason, Runner
from coref_k8s.controller.snapshot import Unit, gpu_seconds
from coref_k8s.errors import CorefError, NotFoundError, RequestError, StorageError
from coref_k8s.search.finalists import ROLE_ATTR, SEED_ATTR, Role
from coref_k8s.search.other import OtherStudy, other_study
from coref_k8s.search.prior import PRIOR_UNTIL, PriorTrial
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.search.space import default_params
from coref_k8s.search.studies import LengthStudy
from coref_k8s.search.warmstart import prior_of, warm_start
from coref_k8s.store import TERMINAL, AttemptRecord, Outcome, Store
from coref_k8s.study.names import WITHOUT_GPU, Kind, job_name
from coref_k8s.study.order import Order
from coref_k8s.telemetry.bus import Bus, Section, last_words
from coref_k8s.wording import Message

#: Lines of a failed job's log that are kept (the store cuts them to 4 KiB).
TAIL_LINES = 60
#: How an attempt ends that is worth reading its log.
_TELLING = (Outcome.FAILED, Outcome.OUT_OF_MEMORY)

MakeOrder = Callable[..., Order]


class FencedError(CorefError):
    """Raised when this controller is not the leader any more: it must write nothing."""


class Applier:
    """Carries out the plan of one study."""

    def __init__(
        self,
        observer: Observer,
        *,
        runner: Runner,
        store: Store,
        bus: Bus,
        clock: Callable[[], datetime],
        may_write: Callable[[], bool] = lambda: True,
        order: MakeOrder = make_order,
    ) -> None:
        self._seen = observer
        self._runner = runner
        self._store = store
        self._bus = bus
        self._clock = clock
        self._may_write = may_write
        self._order = order
        self._gpus_per_job = 0
        self._last_lines: dict[Unit, str] = {}
        self._other_study: OtherStudy | None = None
        self._moved: dict[tuple[int, int], dict[int, PriorTrial | None]] = {}
        self._elsewhere: dict[int, list[PriorTrial]] = {}

    def apply(self, actions: list[Action], *, gpus_per_job: int) -> None:
        """Carry out the actions. What fails holds up the rest of its own unit only, and the end of the study.

        Raises the first failure when all that could be done is done; StorageError and FencedError at once.
        """
        self._gpus_per_job = gpus_per_job
        self._last_lines.clear()
        failed: set[Unit] = set()
        first: CorefError | None = None
        for action in actions:
            if not self._may_write():
                raise FencedError("another controller is the leader now; this one writes nothing more")
            ends = isinstance(action, SetPhase) and action.phase in TERMINAL
            if action.unit in failed or (ends and failed):
                continue
            try:
                self._do(action)
            except (StorageError, FencedError):
                raise
            except CorefError as error:
                failed.add(action.unit)
                first = first or error
        if first is not None:
            raise first

    def _do(self, action: Action) -> None:
        match action:
            case Record():
                self._record(action)
            case Remove(job):
                self._runner.remove(job)
                self._seen.jobs.removed(job)
            case Stop(job, why):
                self._runner.stop(job, why)
                self._seen.jobs.stopped(job)
            case Start(unit, attempt, tier):
                self._start(unit, attempt, tier, self._trial(unit))
            case Fail(unit, reason):
                self._fail(unit, reason)
            case Prune(unit):
                self._prune(unit)
            case WarmStart(seq_len, source):
                self._warm_start(seq_len, source)
            case OfferDefaults(seq_len):
                study = self._seen.lengths[seq_len].study
                study.enqueue(default_params(self._seen.study.spec, seq_len))
            case NewTrial(seq_len):
                trial = self._seen.lengths[seq_len].study.ask(refresh=False, prior=self._prior(seq_len))
                self._start(Unit(Kind.TRIAL, seq_len, trial.number), 1, 0, trial)
            case NewFinalist(seq_len):
                finals = self._seen.finals[seq_len]
                if (run := finals.next_run()) is not None:
                    record = finals.study.add(run)
                    self._start(Unit(Kind.FINALIST, seq_len, record.number), 1, 0, record)
            case SetPhase():
                self._set_phase(action)
            case _:
                assert_never(action)

    def _record(self, action: Record) -> None:
        job, message, log = action.job, action.message, ""
        if action.outcome in _TELLING:
            log = self._log(job.name)
            message = self._with_last_line(action, log)
        now = self._clock()
        record = AttemptRecord(
            job_name=job.name,
            kind=job.kind,
            seq_len=job.seq_len,
            trial=job.trial,
            attempt=job.attempt,
            tier=action.tier,
            outcome=action.outcome,
            reason=action.reason,
            message=Message.verbatim(message),
            exit_code=job.exit_code,
            retries=job.retries,
            disruptions=job.disruptions,
            gpus=0 if job.kind in WITHOUT_GPU else self._gpus_per_job,
            gpu_seconds=gpu_seconds(job, self._gpus_per_job, now),
            started_at=job.started_at,
            finished_at=min(job.finished_at or now, now),
            node=job.node,
            log_tail=log,
        )
        self._write(record)

    def _write(self, record: AttemptRecord) -> None:
        self._store.record_attempt(self._seen.namespace, self._seen.name, record)
        self._seen.attempts.add(record)

    def _with_last_line(self, action: Record, log: str) -> str:
        """Return the reason with the last line of the log, which mostly is the exception."""
        line = last_words(log)[:300]
        if not line:
            return action.message
        self._last_lines[action.unit] = line
        # a pod's status may have told it already
        return action.message if line in action.message else f"{action.message}: {line}"

    def _log(self, job: str) -> str:
        try:
            return "\n".join(self._runner.logs(job, tail=TAIL_LINES))
        except CorefError:
            return ""  # the pod is gone, and its log with it

    def _start(self, unit: Unit, attempt: int, tier: int, trial: TrialRecord | None) -> None:
        study = self._seen.study
        try:
            order = self._order(
                study.spec,
                study.namespace,
                study.name,
                unit,
                attempt=attempt,
                tier=tier,
                trial_id=None if trial is None else trial.trial_id,
                params=None if trial is None else trial.params,
                prepared=study.prepared or "",
                correction=self._correction(unit),
                **_as_a_finalist(unit, trial),
            )
            self._runner.start(order)
        except RequestError as error:
            # It cannot be started, now or later: an attempt that failed, and the plan goes on from there.
            self._refused(unit, attempt, tier, str(error))
            return
        self._seen.jobs.started(order, self._clock())

    def _correction(self, unit: Unit) -> float:
        """What the trials of the unit's length measured, as a factor on the memory estimate."""
        length = self._seen.lengths.get(unit.seq_len) if unit.seq_len is not None else None
        return length.correction.factor if length is not None else 1.0

    def _refused(self, unit: Unit, attempt: int, tier: int, message: str) -> None:
        name = job_name(self._seen.name, unit.kind, unit.seq_len, unit.trial, attempt)
        now = self._clock()
        record = AttemptRecord(
            job_name=name,
            kind=unit.kind,
            seq_len=unit.seq_len,
            trial=unit.trial,
            attempt=attempt,
            tier=tier,
            outcome=Outcome.FAILED,
            reason=Reason.INVALID.value,
            message=Message.verbatim(message),
            finished_at=now,
        )
        self._write(record)

    def _trial(self, unit: Unit) -> TrialRecord | None:
        if unit.trial is None:
            return None
        memory = self._seen.memory(unit)
        trial = None if memory is None else memory.open.get(unit.trial)
        if memory is None or trial is None:
            raise NotFoundError(f"{unit} is not open any more")
        return memory.study.whole(trial)

    def _fail(self, unit: Unit, reason: str) -> None:
        assert unit.trial is not None
        line = self._last_lines.get(unit)
        words = f"{reason}: {line}" if line else reason
        self._study(unit).fail(unit.trial, Message.verbatim(words))
        self._tell_end(unit, state="failed", reason=words)

    def _prune(self, unit: Unit) -> None:
        assert unit.trial is not None
        self._study(unit).prune(unit.trial)
        self._tell_end(unit, state="pruned")

    def _study(self, unit: Unit) -> LengthStudy:
        memory = self._seen.memory(unit)
        assert memory is not None
        return memory.study

    def _tell_end(self, unit: Unit, **facts: str) -> None:
        self._bus.emit(
            Section.TRIAL_END, study=self._seen.name, kind=unit.kind.value, seq_len=unit.seq_len,
            trial=unit.trial, **facts,
        )  # fmt: skip

    def _warm_start(self, seq_len: int, source: int | None) -> None:
        spec, study = self._seen.study.spec, self._seen.lengths[seq_len].study
        if source is not None:
            carried = warm_start(self._seen.lengths[source].records, spec, seq_len)
        else:
            carried = warm_start(self._offered(seq_len), spec, seq_len, source=self._other().spec)
        for params in carried:
            study.enqueue(params)

    def _prior(self, seq_len: int) -> list[PriorTrial]:
        """Return what other lengths have learnt so far, and what the study has that this one starts from."""
        spec = self._seen.study.spec
        prior: list[PriorTrial] = []
        if len(self._seen.lengths[seq_len].records) >= PRIOR_UNTIL:
            return prior
        if spec.search.warm_start:
            for other, memory in self._seen.lengths.items():
                if other != seq_len:
                    prior += self._moved_from(other, memory.records, seq_len)
        if spec.search.warm_start_from is not None:
            if seq_len not in self._elsewhere:
                offered = self._offered(seq_len)
                self._elsewhere[seq_len] = prior_of(offered, spec, seq_len, source=self._other().spec)
            prior += self._elsewhere[seq_len]
        return prior

    def _moved_from(self, other: int, records: list[TrialRecord], seq_len: int) -> list[PriorTrial]:
        """Return the trials of another length as a prior; each is moved once, since an ended one does not change."""
        moved, spec = self._moved.setdefault((other, seq_len), {}), self._seen.study.spec
        for record in records:
            if record.number not in moved and record.state in (TrialState.COMPLETE, TrialState.PRUNED):
                moved[record.number] = next(iter(prior_of([record], spec, seq_len)), None)
        return [one for number in sorted(moved) if (one := moved[number]) is not None]

    def _offered(self, seq_len: int) -> list[TrialRecord]:
        spec = self._seen.study.spec
        first = not spec.search.warm_start or seq_len == spec.seq_lengths[0]
        return self._other().offers(seq_len, first=first)

    def _other(self) -> OtherStudy:
        """Return the study that this one starts from, as it was when it was first needed."""
        if self._other_study is None:
            name = self._seen.study.spec.search.warm_start_from
            assert name is not None
            storage = next(iter(self._seen.lengths.values())).study.storage
            self._other_study = other_study(self._store, storage, self._seen.namespace, name)
        return self._other_study

    def _set_phase(self, action: SetPhase) -> None:
        seen = self._seen
        began = seen.study.started_at is None
        self._store.set_phase(seen.namespace, seen.name, action.phase, Message.verbatim(action.message))
        if began:
            self._bus.emit(
                Section.STUDY_BEGIN, study=seen.name, seq_lengths=seen.study.spec.seq_lengths,
                trials=seen.study.spec.trials, model=seen.study.spec.model,
            )  # fmt: skip
        if action.phase in TERMINAL:
            self._bus.emit(
                Section.STUDY_END, study=seen.name, phase=action.phase.value, message=action.message
            )


def _as_a_finalist(unit: Unit, run: TrialRecord | None) -> dict[str, Any]:
    """Return what the order of a finalist's run says beyond that of a trial."""
    if unit.kind is not Kind.FINALIST or run is None:
        return {}
    return {"seed": int(run.attrs[SEED_ATTR]), "untuned": run.attrs[ROLE_ATTR] == Role.UNTUNED}
