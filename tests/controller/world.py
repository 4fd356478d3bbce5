"""A small world for the controller: jobs that do as they are told, trials in memory, a store in memory.

It keeps the promises of the real ones and raises `Broken` when the controller breaks one of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from coref_k8s.controller.loop import StudyLoop
from coref_k8s.controller.runner import ObservedJob, Reason, State
from coref_k8s.controller.snapshot import Unit, unit_of
from coref_k8s.controller.turn import Turn
from coref_k8s.errors import NotFoundError
from coref_k8s.search.finalists import Run, key_of
from coref_k8s.search.prior import PriorTrial
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.search.verdict import Verdict
from coref_k8s.sizing.resources import size_pod
from coref_k8s.store import AttemptRecord, Phase, StudyRecord
from coref_k8s.store.records import TERMINAL
from coref_k8s.study.names import WITHOUT_GPU, Kind
from coref_k8s.study.order import Order, Resources
from coref_k8s.study.spec import PodSpec, StudySpec
from coref_k8s.telemetry.bus import Bus
from coref_k8s.wording import NOTHING, Message

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Broken(AssertionError):
    """The controller has done what it must never do."""


class FakeStore:
    """Studies and attempts in memory, with the methods of `Store` that the loop uses."""

    def __init__(self, spec: StudySpec, world: World) -> None:
        self.world = world
        self.written: dict[str, AttemptRecord] = {}
        self.phases: list[tuple[Phase, str]] = []
        self.study = StudyRecord(
            namespace="",
            name="demo",
            spec_json=spec.model_dump_json(by_alias=True),
            phase=Phase.PENDING,
            message=NOTHING,
            cancel_requested=False,
            prepared=None,
            statistics_json=None,
            created_at=BEGIN,
            started_at=None,
            resumed_at=BEGIN,
            finished_at=None,
        )
        self.study.__dict__["spec"] = spec

    def get_study(self, namespace: str, name: str) -> StudyRecord:
        return self.study

    def change(self, **changes: Any) -> None:
        spec = self.study.spec
        self.study = replace(self.study, **changes)
        self.study.__dict__["spec"] = spec

    def set_spec(self, spec: StudySpec) -> None:
        self.study = replace(self.study, spec_json=spec.model_dump_json(by_alias=True))

    def set_phase(self, namespace: str, name: str, phase: Phase, message: Message) -> None:
        if (phase, message) == (self.study.phase, self.study.message):
            raise Broken(f"phase {phase} was written again")
        jobs = self.world.runner.jobs.values()
        if phase in TERMINAL and any(job.live for job in jobs):
            raise Broken(f"{phase} while jobs are live")
        self.phases.append((phase, str(message)))
        self.change(phase=phase, message=message, started_at=self.study.started_at or self.world.now)

    def attempts(self, namespace: str, study: str) -> list[AttemptRecord]:
        return list(self.written.values())

    def calibrations(self) -> list[Any]:
        return []

    def set_expected(self, namespace: str, name: str, expected: dict[str, Any]) -> None:
        if self.study.expected:
            raise Broken("what is expected was worked out again")
        self.change(expected_json=json.dumps(expected))

    def record_attempt(self, namespace: str, study: str, record: AttemptRecord) -> None:
        self.written[record.job_name] = record


class FakeTrials:
    """The trials of one length, with the methods of `LengthStudy` that the loop uses."""

    def __init__(self, spec: StudySpec, seq_len: int, clock) -> None:
        self.spec = spec
        self.seq_len = seq_len
        self.clock = clock
        self.all: list[TrialRecord] = []
        self.queue: list[dict[str, Any]] = []
        self.priors: list[list[PriorTrial]] = []
        self.randoms: list[int] = []
        self.hopeless: set[int] = set()
        self.finals: FakeFinals | None = None

    def finalists(self) -> FakeFinals:
        self.finals = self.finals or FakeFinals(self.spec, self.seq_len, self.clock)
        self.finals.spec = self.spec
        return self.finals

    def ask(
        self, *, refresh: bool = True, prior: Sequence[PriorTrial] = (), random: bool = False
    ) -> TrialRecord:
        number = len(self.all)
        self.priors.append(list(prior))
        self.randoms += [number] if random else []
        params = self.queue.pop(0) if self.queue else {"learning_rate": 1e-4 * (number + 1)}
        self.all.append(
            TrialRecord(
                self.seq_len, number, 1000 + number, TrialState.RUNNING, params, started_at=self.clock()
            )
        )
        return self.all[-1]

    def trials(self) -> list[TrialRecord]:
        return list(self.all)

    def enqueue(self, params: dict[str, Any]) -> None:
        if params not in self.queue:
            self.queue.append(params)

    def report(self, number: int, step: int, value: float) -> None:
        trial = self.all[number]
        self.all[number] = replace(trial, intermediate={**trial.intermediate, step: value})

    def complete(self, number: int, value: float) -> None:
        self._close(number, TrialState.COMPLETE, value=value)

    def prune(self, number: int) -> None:
        self._close(number, TrialState.PRUNED)

    def fail(self, number: int, reason: Message) -> None:
        self._close(number, TrialState.FAILED, attrs={"reason": reason.to_text()})

    def should_prune(self, record: TrialRecord) -> bool:
        return record.number in self.hopeless

    def _close(self, number: int, state: TrialState, **changes: Any) -> None:
        if self.all[number].open:
            self.all[number] = replace(self.all[number], state=state, finished_at=self.clock(), **changes)


class FakeFinals(FakeTrials):
    """The runs of one length's finalists, with the methods of `FinalistStudy` that the loop uses."""

    def __init__(self, spec: StudySpec, seq_len: int, clock) -> None:
        super().__init__(spec, seq_len, clock)
        self.made: Verdict | None = None

    def add(self, run: Run) -> TrialRecord:
        for known in reversed(self.all):
            if key_of(known) == run.key and known.state is not TrialState.PRUNED:
                raise Broken(f"{run} is begun again")
        record = super().ask()
        attrs = {"role": run.role.value, "of_trial": run.of_trial, "seed": run.seed}
        self.all[record.number] = replace(record, params=run.params, attrs=attrs)
        return self.all[record.number]

    def verdict(self) -> Verdict | None:
        return self.made

    def judge(self) -> None:
        """Do what the verdict's job does."""
        done = [run for run in self.all if run.state is TrialState.COMPLETE]
        again = [run for run in done if run.attrs["role"] == "trial"]
        best = max(again or done, key=lambda run: run.value)
        self.made = Verdict(
            seq_len=self.seq_len, runs=tuple(run.number for run in done), winner=best.attrs["of_trial"] or 0,
            run=best.number, dev=best.value, test=best.value, low=None, high=None, metrics={}, candidates=(),
            comparisons=(), made_at=self.clock(),
        )  # fmt: skip

    def _close(self, number: int, state: TrialState, **changes: Any) -> None:
        attrs = {**self.all[number].attrs, **changes.pop("attrs", {})}
        super()._close(number, state, attrs=attrs, **changes)


class FakeRunner:
    """Jobs as a cluster has them: what is listed may lag behind what is."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.jobs: dict[str, ObservedJob] = {}
        self.listed: dict[str, ObservedJob] = {}
        self.lagging = False
        self.places: int | None = None
        self.started: list[str] = []
        self.orders: dict[str, Order] = {}
        self.refuse: dict[str, Exception] = {}
        self.image = "trial:1"
        self._uids = 0

    def pod_digest(self, pod: PodSpec, resources: Resources) -> str:
        return f"{self.image} {pod} {resources}"

    def capacity(self) -> int | None:
        return self.places

    def list(self, study: str) -> list[ObservedJob]:
        if not self.lagging:
            self.sync()
        return list(self.listed.values())

    def sync(self) -> None:
        self.listed = dict(self.jobs)

    def start(self, order: Order) -> None:
        for part, error in self.refuse.items():
            if part in order.name:
                raise error
        if order.name in self.jobs:
            return
        unit = Unit(order.kind, order.seq_len, order.trial)
        if any(job.live and unit_of(job) == unit for job in self.jobs.values()):
            raise Broken(f"a second live job for {unit}: {order.name}")
        if self.world.is_done(unit):
            raise Broken(f"{unit} is done and was started again")
        self._uids += 1
        self.jobs[order.name] = ObservedJob(
            name=order.name,
            uid=f"uid-{self._uids}",
            study=order.study,
            kind=order.kind,
            seq_len=order.seq_len,
            trial=order.trial,
            attempt=order.attempt,
            state=State.PENDING,
            pod=self.pod_digest(order.spec.pod, order.resources),
            created_at=self.world.now,
        )
        self.started.append(order.name)
        self.orders[order.name] = order
        live = sum(job.live and job.kind is Kind.TRIAL for job in self.jobs.values())
        if live > self.world.store.study.spec.parallelism:
            raise Broken(f"{live} live jobs")

    def stop(self, job: ObservedJob, why: str = "stopped") -> None:
        now = self.jobs.get(job.name)
        if now is not None and now.uid == job.uid and now.live:
            self.world.stopping.add(job.name)
            self.jobs[job.name] = replace(now, stopped=why)

    def remove(self, job: ObservedJob) -> None:
        now = self.jobs.get(job.name)
        if now is None or now.uid != job.uid:
            return
        spec, seq_len = (
            self.world.store.get_study("", "demo").spec,
            None if job.kind in WITHOUT_GPU else job.seq_len,
        )
        asked = {self.pod_digest(spec.pod, size_pod(spec, seq_len, tier=tier)) for tier in range(9)}
        if now.state is State.PENDING and now.pod not in asked:
            del self.jobs[job.name]  # it waits for what nobody asks for any more
            return
        if job.name not in self.world.store.written:
            raise Broken(f"{job.name} is removed before it is written down")
        if now.live:
            raise Broken(f"{job.name} is removed while it is live")
        del self.jobs[job.name]

    def logs(self, job: str, *, tail: int | None = None, follow: bool = False) -> Iterator[str]:
        if "nolog" in job:
            raise NotFoundError("no log")
        return iter(["first line", f"RuntimeError: end of {job}"])


@dataclass
class World:
    """Everything around the controller."""

    spec: StudySpec
    now: datetime = BEGIN
    stopping: set[str] = field(default_factory=set)
    order: Any = None
    gpus_per_job: int | None = None

    def __post_init__(self) -> None:
        self.store = FakeStore(self.spec, self)
        self.runner = FakeRunner(self)
        self.trials = {n: FakeTrials(self.spec, n, self.clock) for n in self.spec.seq_lengths}
        self.loop = self.new_loop()

    def clock(self) -> datetime:
        return self.now

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def turn(self) -> Turn:
        """Return a round's turn by the time of this world."""
        return Turn(lambda: self.now.timestamp())

    def new_loop(self, **changes: Any) -> StudyLoop:
        """Return a controller without memory, as after a restart."""
        values: dict[str, Any] = {
            "runner": self.runner,
            "store": self.store,
            "open_length": lambda spec, study, seq_len, namespace: self.trials[seq_len],
            "bus": Bus(None),
            "clock": self.clock,
            "gpus_per_job": self.gpus_per_job,
        }
        self.loop = StudyLoop("", "demo", **{**values, **changes})
        return self.loop

    def is_done(self, unit: Unit) -> bool:
        if unit.kind is Kind.PREPARE:
            return self.store.study.prepared is not None
        if unit.kind is Kind.VERDICT:
            return self.judged(unit.seq_len)
        return not self.records(unit).all[unit.trial].open

    def records(self, unit: Unit) -> FakeTrials:
        """Return where a trial or a finalist's run is written down."""
        trials = self.trials[unit.seq_len]
        return trials.finalists() if unit.kind is Kind.FINALIST else trials

    def judged(self, seq_len: int) -> bool:
        """Whether a verdict covers all complete runs."""
        finals = self.trials[seq_len].finalists()
        done = tuple(run.number for run in finals.all if run.state is TrialState.COMPLETE)
        return finals.made is not None and finals.made.runs == done

    def job(self, name: str) -> ObservedJob:
        return self.runner.jobs[name]

    def live(self) -> list[str]:
        jobs = self.runner.jobs.values()
        return sorted(job.name for job in jobs if job.live)

    def run(self, name: str) -> None:
        """Let a job's program start."""
        self._set(name, state=State.RUNNING, started_at=self.now)

    def succeed(self, name: str, value: float = 0.5) -> None:
        """Let a job do its work: result first, end of the process second."""
        job = self.job(name)
        if job.kind is Kind.PREPARE:
            self.store.change(prepared="prepared/abc")
        elif job.kind is Kind.VERDICT:
            self.trials[job.seq_len].finalists().judge()
        else:
            self.records(unit_of(job)).complete(job.trial, value)
        self.end(name, State.SUCCEEDED)

    def end(
        self, name: str, state: State = State.SUCCEEDED, reason: Reason | None = None, **more: Any
    ) -> None:
        """Let a job's process end."""
        self._set(name, state=state, reason=reason, finished_at=self.now, **more)
        self.stopping.discard(name)

    def crash(self, name: str, reason: Reason = Reason.CRASHED, said: str = "") -> None:
        message = Message.of("controller.exit-code", exit=1)
        self.end(name, State.FAILED, reason, message=message, said=said, exit_code=1)

    def _set(self, name: str, **changes: Any) -> None:
        self.runner.jobs[name] = replace(self.job(name), **changes)

    def settle(self, rounds: int = 20) -> None:
        """Step until nothing is to be done."""
        for _ in range(rounds):
            step = self.loop.step()
            if step.failure is not None:
                raise step.failure
            if not step.actions:
                return
        raise Broken("the plan does not come to rest")

    def finish(self, rounds: int = 2000) -> Phase:
        """Let everything go well from now on; return the phase that the study ends in."""
        self.runner.lagging = False
        for _ in range(rounds):
            self.pass_time(1)
            step = self.loop.step()
            if step.failure is not None:
                self.runner.refuse.clear()
                continue
            if step.finished:
                return self.store.study.phase
            for name in self.live():
                if name in self.stopping:
                    self.crash(name, Reason.DISRUPTED)
                elif self.is_done(unit_of(self.job(name))):
                    self.end(name)
                else:
                    self.succeed(name)
        raise Broken(f"the study does not end: {self.store.study.phase}, live {self.live()}")
