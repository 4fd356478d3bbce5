"""`Observer`: reads runner, trials and store into a `Snapshot`. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from coref_k8s.controller.runner import ObservedJob, Runner
from coref_k8s.controller.snapshot import PREPARATION, LengthSnapshot, Snapshot, TrialSnapshot, Unit, unit_of
from coref_k8s.controller.state import AttemptMemory, FinalsMemory, JobMemory, LengthMemory
from coref_k8s.controller.study import StudyState
from coref_k8s.search.studies import LengthStudy
from coref_k8s.store import Store, StudyRecord
from coref_k8s.study.names import Kind
from coref_k8s.study.spec import StudySpec

#: Kinds of jobs that the loop plans; a training run after the search looks after itself.
HANDLED = frozenset({Kind.PREPARE, Kind.TRIAL, Kind.FINALIST, Kind.VERDICT})
#: Opens the Optuna study of one length.
OpenLength = Callable[[StudySpec, str, int, str], LengthStudy]


class Observer:
    """Looks at one study. Remembers what cannot change any more (see `state.py`)."""

    def __init__(
        self,
        namespace: str,
        name: str,
        *,
        runner: Runner,
        store: Store,
        open_length: OpenLength,
        clock: Callable[[], datetime],
        gpus_per_job: int | None = None,
    ) -> None:
        self.namespace = namespace
        self.name = name
        self.jobs = JobMemory()
        self.attempts = AttemptMemory()
        self.lengths: dict[int, LengthMemory] = {}
        self.finals: dict[int, FinalsMemory] = {}
        """Of the lengths whose finalists were looked at."""
        self.study: StudyRecord
        self._runner = runner
        self._store = store
        self._open_length = open_length
        self._clock = clock
        self._gpus_per_job = gpus_per_job
        self._spec: StudySpec | None = None
        self._loaded = False

    def observe(self, *, interrupted: bool = False) -> Snapshot:
        """Return the study as it is now. Raises StorageError, ClusterError, NotFoundError.

        Jobs are listed before trials are read: a trial writes its result before its job ends, so a job seen
        as ended has a trial that is seen with its result.
        """
        now = self._clock()
        listed = [job for job in self._runner.list(self.name) if job.kind in HANDLED]
        jobs, stopping = self.jobs.seen(listed, now)
        study = self.study = self._read_study()
        spec = study.spec
        if not self._loaded:
            for record in self._store.attempts(self.namespace, self.name):
                self.attempts.add(record)
            self._loaded = True
        state = StudyState.like(study, spec=spec, message=study.message, capacity=self._runner.capacity())
        resumed_at = state.counted_from
        views: tuple[LengthSnapshot, ...] = ()
        # one that was imported has its trials, but nothing prepared here
        if study.prepared is not None or (study.ended and self.attempts.of_trials):
            self._open(spec)
            views = tuple(self._look(memory, resumed_at, jobs) for memory in self.lengths.values())
        closed = {unit_of(job): trial for job in jobs if (trial := self._closed(job)) is not None}
        open_units = [Unit(Kind.TRIAL, n, number) for n, m in self.lengths.items() for number in m.open]
        for n, finals in self.finals.items():
            open_units += [Unit(Kind.FINALIST, n, number) for number in finals.runs.open]
            open_units.append(Unit(Kind.VERDICT, n))
        return Snapshot.like(
            state,
            now=now,
            cancel_requested=study.cancel_requested,
            lengths=views,
            jobs=jobs,
            closed=closed,
            stopping=stopping,
            attempts=self.attempts.of([PREPARATION, *open_units, *closed], resumed_at),
            gpu_seconds=self.attempts.gpu_seconds,
            gpus_per_job=spec.pod.gpus if self._gpus_per_job is None else self._gpus_per_job,
            interrupted=interrupted,
        )

    def memory(self, unit: Unit) -> LengthMemory | None:
        """Return the memory that holds a trial or a finalist's run; None when its length is not open."""
        if unit.kind is Kind.FINALIST:
            finals = self.finals.get(unit.seq_len or 0)
            return None if finals is None else finals.runs
        return self.lengths.get(unit.seq_len or 0) if unit.kind is Kind.TRIAL else None

    def _look(
        self, memory: LengthMemory, resumed_at: datetime, jobs: tuple[ObservedJob, ...]
    ) -> LengthSnapshot:
        """Look at a length, and at its finalists from when they may be needed on."""
        view, spec, seq_len = memory.look(resumed_at), memory.study.spec, memory.study.seq_len
        if not spec.search.finalists or not view.complete:
            return view
        over = bool(view.exhausted) or view.asked >= spec.trials
        theirs = any(job.seq_len == seq_len and job.kind in (Kind.FINALIST, Kind.VERDICT) for job in jobs)
        if not over and not theirs:
            return view
        if seq_len not in self.finals:
            self.finals[seq_len] = FinalsMemory(memory.study.finalists())
        finals = self.finals[seq_len].look(memory.records, resumed_at, over=over)
        return replace(view, finals=finals, planned_runs=finals.planned, runs_done=finals.done)

    def _closed(self, job: ObservedJob) -> TrialSnapshot | None:
        """Return what the job has to show, once it has something."""
        if job.kind is Kind.VERDICT:
            finals = self.finals.get(job.seq_len or 0)
            return None if finals is None else finals.closed()
        memory = self.memory(unit_of(job))
        return None if memory is None or job.trial is None else memory.closed(job.trial)

    def _read_study(self) -> StudyRecord:
        study = self._store.get_study(self.namespace, self.name)
        known = getattr(self, "study", None)
        if known is not None and known.spec_json == study.spec_json:
            study.__dict__["spec"] = known.spec  # parsed once
        return study

    def _open(self, spec: StudySpec) -> None:
        """Open the trials of each length, anew when the request was changed."""
        if self._spec == spec:
            return
        self.lengths = {
            seq_len: LengthMemory(self._open_length(spec, self.name, seq_len, self.namespace))
            for seq_len in spec.seq_lengths
        }
        self.finals = {}
        self._spec = spec
