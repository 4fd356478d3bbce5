"""`Observer`: reads runner, trials and store into a `Snapshot`. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from coref_k8s.controller.attempts import tier_of
from coref_k8s.controller.expecting import trial_seconds
from coref_k8s.controller.memory import FinalsMemory, LengthMemory, StudyMemory
from coref_k8s.controller.runner import ObservedJob, Runner, State
from coref_k8s.controller.snapshot import PREPARATION, LengthSnapshot, Snapshot, unit_of
from coref_k8s.controller.study import StudyState
from coref_k8s.controller.turn import Turn
from coref_k8s.search.allotment import allotted
from coref_k8s.search.studies import LengthStudy
from coref_k8s.sizing.resources import size_pod
from coref_k8s.store import Store, StudyRecord
from coref_k8s.study.names import WITHOUT_GPU, Kind
from coref_k8s.study.spec import StudySpec

#: Opens the Optuna study of one length.
OpenLength = Callable[[StudySpec, str, int, str], LengthStudy]


class Observer:
    """Looks at one study. Remembers what cannot change any more."""

    def __init__(
        self,
        memory: StudyMemory,
        *,
        runner: Runner,
        store: Store,
        open_length: OpenLength,
        clock: Callable[[], datetime],
        gpus_per_job: int | None = None,
    ) -> None:
        self._memory = memory
        self._runner = runner
        self._store = store
        self._open_length = open_length
        self._clock = clock
        self._gpus_per_job = gpus_per_job
        self._spec: StudySpec | None = None
        self._loaded = False
        self._sized_for: StudySpec | None = None
        self._digests: dict[tuple[int | None, int], str] = {}

    def observe(self, turn: Turn, *, interrupted: bool = False) -> Snapshot:
        """Return the study as it is now. Raises StorageError, ClusterError, NotFoundError.

        Jobs are listed before trials are read: a trial writes its result before its job ends, so a job seen
        as ended has a trial that is seen with its result.
        """
        now, memory = self._clock(), self._memory
        jobs, stopping = memory.jobs.seen(self._runner.list(memory.name), now)
        study = memory.study = self._read_study()
        spec = study.spec
        if not self._loaded:
            for record in self._store.attempts(memory.namespace, memory.name):
                memory.attempts.add(record)
            self._loaded = True
        told = {"expected": trial_seconds(study.expected), "capacity": self._runner.capacity()}
        state = StudyState.like(study, spec=spec, message=study.message, **told)
        lengths: tuple[LengthSnapshot, ...] = ()
        # one that was imported has its trials, but nothing prepared here
        if study.prepared is not None or (study.ended and memory.attempts.of_trials):
            self._open(spec)
            lengths = self._look_at_all(state.counted_from, jobs, turn)
        closed = {unit: trial for job in jobs if (trial := memory.closed(unit := unit_of(job))) is not None}
        return Snapshot.like(
            state,
            now=now,
            cancel_requested=study.cancel_requested,
            lengths=lengths,
            jobs=jobs,
            closed=closed,
            stopping=stopping,
            outdated=frozenset(job.uid for job in jobs if self._is_outdated(job, spec)),
            attempts=memory.attempts.of([PREPARATION, *memory.open_units(), *closed], state.counted_from),
            gpu_seconds=memory.attempts.gpu_seconds,
            gpus_per_job=spec.pod.gpus if self._gpus_per_job is None else self._gpus_per_job,
            interrupted=interrupted,
        )

    def _is_outdated(self, job: ObservedJob, spec: StudySpec) -> bool:
        """Whether a job waits to begin for pods that the request, or the installation, asks for otherwise by now."""
        if job.state is not State.PENDING or not job.pod:
            return False
        unit = unit_of(job)
        attempts = self._memory.attempts.of([unit], job.created_at or self._clock()).get(unit, ())
        tier = tier_of([one for one in attempts if one.number < job.attempt])
        key = None if job.kind in WITHOUT_GPU else job.seq_len, tier
        if self._sized_for is not spec:
            self._sized_for, self._digests = spec, {}
        if key not in self._digests:
            pod = size_pod(spec, key[0], tier=tier)
            self._digests[key] = self._runner.pod_digest(spec.pod, pod)
        return job.pod != self._digests[key]

    def _look_at_all(
        self, resumed_at: datetime, jobs: tuple[ObservedJob, ...], turn: Turn
    ) -> tuple[LengthSnapshot, ...]:
        known = self._memory.lengths
        seen = {seq_len: one.look(resumed_at, turn) for seq_len, one in known.items()}
        planned = allotted(self._memory.study.spec, {seq_len: one.records for seq_len, one in known.items()})
        return tuple(
            self._with_finals(known[seq_len], replace(one, planned=planned[seq_len]), resumed_at, jobs, turn)
            for seq_len, one in seen.items()
        )

    def _with_finals(
        self,
        memory: LengthMemory,
        seen: LengthSnapshot,
        resumed_at: datetime,
        jobs: tuple[ObservedJob, ...],
        turn: Turn,
    ) -> LengthSnapshot:
        """Look at the finalists of a length, from when they may be needed on."""
        spec, seq_len = memory.study.spec, memory.study.seq_len
        if not spec.search.finalists or not seen.complete:
            return seen
        over = bool(seen.exhausted) or seen.asked >= seen.planned
        theirs = any(job.seq_len == seq_len and job.kind in (Kind.FINALIST, Kind.VERDICT) for job in jobs)
        if not over and not theirs:
            return seen
        known = self._memory.finals
        if seq_len not in known:
            known[seq_len] = FinalsMemory(memory.study.finalists())
        finals = known[seq_len].look(memory.records, resumed_at, turn, over=over)
        return replace(seen, finals=finals, planned_runs=finals.planned, runs_done=finals.done)

    def _read_study(self) -> StudyRecord:
        study = self._store.get_study(self._memory.namespace, self._memory.name)
        known = getattr(self._memory, "study", None)
        if known is not None and known.spec_json == study.spec_json:
            study.__dict__["spec"] = known.spec  # parsed once
        return study

    def _open(self, spec: StudySpec) -> None:
        """Open the trials of each length, anew when the request was changed."""
        if self._spec == spec:
            return
        name, namespace = self._memory.name, self._memory.namespace
        self._memory.lengths = {
            seq_len: LengthMemory(self._open_length(spec, name, seq_len, namespace))
            for seq_len in spec.seq_lengths
        }
        self._memory.finals = {}
        self._spec = spec
