"""`Applier`: carries out what `plan` asks for, in order, and notes what cannot be seen yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from itertools import chain, groupby
from typing import Any, assert_never

from coref_k8s.controller import actions as do
from coref_k8s.controller.actions import Action
from coref_k8s.controller.carry import Carrier
from coref_k8s.controller.expecting import expected_of, threads_of
from coref_k8s.controller.memory import StudyMemory
from coref_k8s.controller.orders import make_order
from coref_k8s.controller.runner import Reason, Runner
from coref_k8s.controller.snapshot import PREPARATION, Unit, gpu_seconds
from coref_k8s.controller.turn import Turn
from coref_k8s.errors import CorefError, NotFoundError, RequestError, StorageError
from coref_k8s.search.finalist_study import OUTDONE
from coref_k8s.search.finalists import Role
from coref_k8s.search.records import ROLE_ATTR, SEED_ATTR, TrialRecord
from coref_k8s.search.space import default_params
from coref_k8s.search.trials import Trials
from coref_k8s.sizing.calibration import Calibration, fitting
from coref_k8s.sizing.shape import shape_of
from coref_k8s.store import TERMINAL, AttemptRecord, Outcome, Phase, Store
from coref_k8s.study.names import WITHOUT_GPU, Kind, job_name
from coref_k8s.study.order import Order
from coref_k8s.study.spec import StudySpec
from coref_k8s.telemetry.bus import Bus, Section, as_printed, last_words, said
from coref_k8s.wording import NOTHING, Message

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
        memory: StudyMemory,
        *,
        runner: Runner,
        store: Store,
        bus: Bus,
        clock: Callable[[], datetime],
        may_write: Callable[[], bool] = lambda: True,
        order: MakeOrder = make_order,
        on_done: Callable[[Action, Phase], None] = lambda _action, _before: None,
    ) -> None:
        self._memory = memory
        self._carrier = Carrier(memory, store)
        self._runner = runner
        self._store = store
        self._bus = bus
        self._clock = clock
        self._may_write = may_write
        self._order = order
        self._on_done = on_done
        self._gpus_per_job = 0
        self._last_words: dict[Unit, Message] = {}
        self._calibration: tuple[StudySpec, Calibration | None] | None = None
        self._noted = False

    def apply(
        self, actions: list[Action], turn: Turn, *, gpus_per_job: int
    ) -> tuple[list[Action], Exception | None]:
        """Carry out the actions within the turn; return those done, and the first failure.

        It holds up the rest of its own unit only, and the study's end. Thousands of starts must not keep a cancellation waiting:
        what there is no time for is planned again, after a look at what was asked for meanwhile.
        Raises StorageError and FencedError at once: nothing else could be written.
        """
        self._gpus_per_job = gpus_per_job
        self._last_words.clear()
        failed: set[Unit] = set()
        done: list[Action] = []
        first: Exception | None = None
        whole = (list(those) for _, those in groupby(actions, _belongs_to))
        for action in chain.from_iterable(turn.within(whole)):
            if not self._may_write():
                raise FencedError("controller.fenced")
            ends = isinstance(action, do.SetPhase) and action.phase in TERMINAL
            if action.unit in failed or (ends and failed):
                continue
            try:
                self._do(action)
            except (StorageError, FencedError):
                raise
            except Exception as error:  # libraries have errors of their own, and other units are to go on
                failed.add(action.unit)
                first = first or error
            else:
                done.append(action)
                self._on_done(action, self._memory.study.phase)
        return done, first

    def _do(self, action: Action) -> None:
        match action:
            case do.Record():
                self._record(action)
            case do.Remove(job):
                self._runner.remove(job)
                self._memory.jobs.removed(job)
            case do.Stop(job, why):
                self._runner.stop(job, str(why))
                self._memory.jobs.stopped(job)
            case do.Start(unit, attempt, tier):
                self._start(unit, attempt, tier, self._trial(unit))
            case do.Fail(unit, reason):
                self._fail(unit, reason)
            case do.Prune(unit):
                self._prune(unit)
            case do.WarmStart(seq_len, source):
                self._carrier.offer(seq_len, source)
            case do.OfferDefaults(seq_len):
                study = self._memory.lengths[seq_len].study
                study.enqueue(default_params(self._memory.study.spec, seq_len))
            case do.NewTrial(seq_len, random):
                length = self._memory.lengths[seq_len]
                while length.warnings:
                    self._tell(Section.WARNING, seq_len=seq_len, **said(length.warnings.pop(0)))
                prior = () if random else self._carrier.prior(seq_len)
                trial = length.study.ask(refresh=False, prior=prior, random=random)
                self._start(Unit(Kind.TRIAL, seq_len, trial.number), 1, 0, trial)
            case do.NewFinalist(seq_len):
                finals = self._memory.finals[seq_len]
                if (run := finals.next_run()) is not None:
                    record = finals.study.add(run)
                    self._start(Unit(Kind.FINALIST, seq_len, record.number), 1, 0, record)
            case do.SetPhase():
                self._set_phase(action)
            case _:
                assert_never(action)

    def _record(self, action: do.Record) -> None:
        job, message, log = action.job, action.message, ""
        if action.outcome in _TELLING:
            log = self._log(job.name)
            message = self._with_last_words(action, log)
        now = self._clock()
        record = AttemptRecord(
            job_name=job.name,
            kind=job.kind,
            seq_len=job.seq_len,
            trial=job.trial,
            attempt=job.attempt,
            tier=action.tier,
            outcome=action.outcome,
            reason=action.reason.value if action.reason else "",
            message=message,
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
        self._store.record_attempt(self._memory.namespace, self._memory.name, record)
        self._memory.attempts.add(record)

    def _with_last_words(self, action: do.Record, log: str) -> Message:
        """Return the reason with what was said last, which mostly is the exception."""
        words = last_words(log) or Message.verbatim(action.job.said)
        if words:
            self._last_words[action.unit] = words
        return _with_words(action.message, words)

    def _log(self, job: str) -> str:
        try:
            return "\n".join(map(as_printed, self._runner.logs(job, tail=TAIL_LINES)))
        except CorefError:
            return ""  # the pod is gone, and its log with it

    def _start(self, unit: Unit, attempt: int, tier: int, trial: TrialRecord | None) -> None:
        study = self._memory.study
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
                calibration=self._calibrated(study.spec),
                study_uid=study.uid,
                **_as_a_finalist(unit, trial),
            )
            self._runner.start(order)
        except RequestError as error:
            # It cannot be started, now or later: an attempt that failed, and the plan goes on from there.
            self._refused(unit, attempt, tier, error.message)
            return
        self._memory.jobs.started(order, self._clock())

    def _correction(self, unit: Unit) -> float:
        """What the trials of the unit's length measured, as a factor on the memory estimate."""
        length = self._memory.lengths.get(unit.seq_len) if unit.seq_len is not None else None
        return length.correction.factor if length is not None else 1.0

    def _calibrated(self, spec: StudySpec) -> Calibration | None:
        """Return what was measured of such trials before this study's first."""
        if self._calibration is None or self._calibration[0] != spec:
            known = self._store.calibrations()
            self._calibration = spec, fitting(known, spec, shape_of(spec.model)) if known else None
        return self._calibration[1]

    def note_expected(self, capacity: int | None, slots: int) -> None:
        """Note what the study is expected to take, once its data are prepared and nothing is noted."""
        study = self._memory.study
        if study.prepared is None or study.expected or self._noted or study.ended or not self._may_write():
            return
        self._noted, spec = True, study.spec
        if spec.purpose.kind == "ensemble":
            return
        try:
            threads = threads_of(spec, capacity, slots)
            measured = fitting(self._store.calibrations(), spec, shape_of(spec.model), threads=threads)
            found = expected_of(study, measured, threads)
        except CorefError:
            return  # a model that cannot be seen from here, or that holds no batch: trials will tell
        self._store.set_expected(study.namespace, study.name, found)

    def _refused(self, unit: Unit, attempt: int, tier: int, message: Message) -> None:
        name = job_name(self._memory.name, unit.kind, unit.seq_len, unit.trial, attempt)
        record = AttemptRecord(name, *unit, attempt, tier, Outcome.FAILED, Reason.INVALID.value, message)
        self._write(replace(record, finished_at=self._clock()))

    def _trial(self, unit: Unit) -> TrialRecord | None:
        if unit.trial is None:
            return None
        memory = self._memory.of(unit)
        trial = None if memory is None else memory.open.get(unit.trial)
        if memory is None or trial is None:
            raise NotFoundError("controller.not-open", unit=unit.named)
        return trial

    def _fail(self, unit: Unit, reason: Message) -> None:
        assert unit.trial is not None
        reason = _with_words(reason, self._last_words.get(unit, NOTHING))
        self._study(unit).fail(unit.trial, reason)
        self._tell_end(unit, state="failed", reason=str(reason), **said(reason))

    def _prune(self, unit: Unit) -> None:
        assert unit.trial is not None
        self._study(unit).prune(unit.trial)
        self._tell_end(unit, state="pruned", **(said(OUTDONE) if unit.kind is Kind.FINALIST else {}))

    def _study(self, unit: Unit) -> Trials:
        memory = self._memory.of(unit)
        assert memory is not None
        return memory.study

    def _tell_end(self, unit: Unit, **facts: Any) -> None:
        self._tell(
            Section.TRIAL_END, kind=unit.kind.value, seq_len=unit.seq_len,
            trial=unit.trial, **facts,
        )  # fmt: skip

    def _tell(self, section: Section, **facts: Any) -> None:
        self._bus.emit(section, study=self._memory.name, study_uid=self._memory.study.uid, **facts)

    def _set_phase(self, action: do.SetPhase) -> None:
        study, message = self._memory.study, action.message
        if message.code == "controller.preparation-failed":
            # what a preparation said last is known only now when it has ended in this very round
            why = _with_words(message.values["why"], self._last_words.get(PREPARATION, NOTHING))
            message = Message.of(message.code, why=why)
        self._store.set_phase(study.namespace, study.name, action.phase, message)
        if study.started_at is None:
            self._tell(
                Section.STUDY_BEGIN, seq_lengths=study.spec.seq_lengths,
                trials=study.spec.trials, model=study.spec.model,
            )  # fmt: skip
        if action.phase in TERMINAL:
            self._tell(Section.STUDY_END, phase=action.phase.value, **said(message))


def _belongs_to(action: Action) -> object:
    """Tell apart what may be done in different turns: a job that was written down is removed in the same one."""
    return action.job.uid if isinstance(action, do.OfJob) else id(action)


def _with_words(what: Message, words: Message) -> Message:
    return Message.of("controller.with-words", what=what, said=words) if words else what


def _as_a_finalist(unit: Unit, run: TrialRecord | None) -> dict[str, Any]:
    """Return what the order of a finalist's run says beyond that of a trial."""
    if unit.kind is not Kind.FINALIST or run is None:
        return {}
    return {"seed": int(run.attrs[SEED_ATTR]), "untuned": run.attrs[ROLE_ATTR] == Role.UNTUNED}
