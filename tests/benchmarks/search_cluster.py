"""Eight GPUs in simulated time, and the two ways to use them: our controller, and the founding way.

Ours is the real loop (`StudyLoop`: observe, plan, apply), the real `LengthStudy` with its sampler, pruner, warm
start and ladder; only the database (in memory), the clock and the jobs are simulated. The founding way is plain
Optuna: `TPESampler()` and `MedianPruner()` as they come, one length after another, the same number of trials.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from coref_k8s.controller.loop import StudyLoop
from coref_k8s.controller.runner import ObservedJob, Reason, State
from coref_k8s.controller.snapshot import Unit
from coref_k8s.search.in_memory import StudyInMemory
from coref_k8s.search.optuna_tables import OptunaTables
from coref_k8s.search.space import distributions, space_for
from coref_k8s.search.studies import LengthStudy
from coref_k8s.search.wilcoxon import items_attr
from coref_k8s.store import AttemptRecord, Phase, StudyRecord
from coref_k8s.study.order import Order
from coref_k8s.study.spec import StudySpec
from coref_k8s.telemetry.bus import Bus
from coref_k8s.wording import NOTHING, Message
from tests.benchmarks.search_landscape import BASE, Run

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
#: Trials per length that a study gets when it is extended.
EXTENSION = 10


class World(Protocol):
    """What trials score, and what they cost."""

    base: float
    """What a length counts that has no complete trial: the untuned model."""

    def run(self, length: int, params: dict[str, Any], number: int) -> Run:
        """Return what a trial does."""
        ...

    def quality(self, length: int, params: dict[str, Any]) -> float:
        """Return what parameters are worth in truth."""
        ...


@dataclass
class Curve:
    """What a strategy has to show at which cost: the mean over lengths of the true quality of its best trials."""

    points: list[tuple[float, float]] = field(default_factory=list)
    """GPU-hours spent, score; ascending in GPU-hours."""
    gpu_hours: float = 0.0
    wall_hours: float = 0.0
    idle_hours: float = 0.0
    """GPU-hours that the cluster's GPUs stood idle before the end."""
    trials: int = 0
    """Trials per length at the end."""
    base: float = BASE
    """The score before anything was spent."""

    @property
    def final(self) -> float:
        """The score at the end."""
        return self.points[-1][1] if self.points else self.base

    def at(self, gpu_hours: float) -> float:
        """Return the score once that much was spent."""
        found = self.base
        for spent, score in self.points:
            if spent > gpu_hours:
                break
            found = score
        return found

    def reaches(self, score: float) -> float:
        """Return the GPU-hours at which the score is first reached; infinite when it never is."""
        return next((spent for spent, found in self.points if found >= score), math.inf)


class Gpus:
    """Busy GPUs and what they will do next. Time in hours."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.now = 0.0
        self.spent = 0.0
        self.idle = 0.0
        self.busy: dict[Any, Run] = {}
        self._events: list[tuple[float, int, Any, int]] = []
        self._order = 0

    def start(self, key: Any, run: Run) -> None:
        """Let a trial run: an event for each of its evaluations."""
        self.busy[key] = run
        work = (run.hours - run.start) / len(run.reports)
        for step in range(1, len(run.reports) + 1):
            self._order += 1
            heapq.heappush(self._events, (self.now + run.start + step * work, self._order, key, step))

    def stop(self, key: Any) -> None:
        """End a trial now."""
        self.busy.pop(key, None)

    def events(self) -> Iterator[tuple[Any, int, Run]]:
        """Yield evaluations in the order in which they happen, as (trial, step, its run)."""
        while self._events:
            when, _, key, step = heapq.heappop(self._events)
            run = self.busy.get(key)
            if run is None:
                continue
            self.spent += (when - self.now) * len(self.busy)
            self.idle += (when - self.now) * (self.count - len(self.busy))
            self.now = when
            yield key, step, run


class Incumbents:
    """The best trial of each length as a user would name it: by its reported score."""

    def __init__(self, landscape: World, lengths: Sequence[int]) -> None:
        self._landscape, self._lengths = landscape, lengths
        self._best: dict[int, tuple[float, float]] = {}

    def complete(self, length: int, value: float, params: dict[str, Any]) -> None:
        if length not in self._best or value > self._best[length][0]:
            self._best[length] = (value, self._landscape.quality(length, params))

    def score(self) -> float:
        found = [self._best[n][1] if n in self._best else self._landscape.base for n in self._lengths]
        return sum(found) / len(found)


# -- plain Optuna, one length after another --------------------------------------------------------------------

#: What was complete at a length: score and parameters, best first.
Complete = list[tuple[float, dict[str, Any]]]
#: From a length, its place and what was complete at the one before to an Optuna study and the trials it gets.
Opened = Callable[[int, int, Complete], tuple[optuna.Study, int]]


def in_turn(spec: StudySpec, landscape: World, gpus: int, opened: Opened) -> Curve:
    """One length after another; `gpus` trials at once."""
    curve, cluster = Curve(base=landscape.base), Gpus(gpus)
    best, complete = Incumbents(landscape, spec.seq_lengths), Complete()
    for place, length in enumerate(spec.seq_lengths):
        space = distributions(space_for(spec, length))
        study, count = opened(length, place, sorted(complete, key=lambda one: -one[0]))
        asked, complete = 0, Complete()

        def fill(length: int, study: optuna.Study, space: dict[str, BaseDistribution], count: int) -> None:
            nonlocal asked
            while asked < count and len(cluster.busy) < gpus:
                trial = study.ask(space)
                asked += 1
                cluster.start(trial, landscape.run(length, trial.params, trial.number))

        fill(length, study, space, count)
        for trial, step, run in cluster.events():
            trial.report(run.reports[step - 1], step)
            if step == len(run.reports):
                study.tell(trial, run.reports[-1])
                complete.append((run.reports[-1], dict(trial.params)))
                best.complete(length, run.reports[-1], trial.params)
                cluster.stop(trial)
                curve.points.append((cluster.spent, best.score()))
            elif trial.should_prune():
                study.tell(trial, state=OptunaState.PRUNED)
                cluster.stop(trial)
            fill(length, study, space, count)
    curve.gpu_hours, curve.wall_hours, curve.idle_hours = cluster.spent, cluster.now, cluster.idle
    return curve


def founding(spec: StudySpec, landscape: World, seed: int, gpus: int) -> Curve:
    """The way of the report that this project started from: Optuna as it comes."""

    def opened(length: int, place: int, complete: Complete) -> tuple[optuna.Study, int]:
        sampler = TPESampler(seed=seed * 100 + length)
        return optuna.create_study(direction="maximize", sampler=sampler, pruner=MedianPruner()), spec.trials

    return in_turn(spec, landscape, gpus, opened)


# -- ours ----------------------------------------------------------------------------------------------------


class _MemoryRows(OptunaTables):
    """Reads trials from Optuna's in-memory storage."""

    def all(self, *, after: int = -1) -> list[FrozenTrial]:
        return [t for t in self._trials() if t._trial_id > after]

    def some(self, ids: Collection[int]) -> list[FrozenTrial]:
        return [t for t in self._trials() if t._trial_id in ids]

    def unfinished(self) -> dict[int, OptunaState]:
        return {t._trial_id: t.state for t in self._trials() if not t.state.is_finished()}

    def reports(self) -> Iterator[tuple[int, int, float]]:
        for trial in self._trials():
            if trial.state is OptunaState.RUNNING:
                yield from ((trial._trial_id, *report) for report in trial.intermediate_values.items())

    def _trials(self) -> list[FrozenTrial]:
        return self._storage.get_all_trials(self._study_id, deepcopy=False)


class _MemoryWarm(StudyInMemory):
    tables_type = _MemoryRows


class _MemoryLength(LengthStudy):
    memory_type = _MemoryWarm


class _MemoryStore:
    """The store's methods that the loop uses."""

    def __init__(self, spec: StudySpec) -> None:
        self.study = StudyRecord(
            namespace="",
            name="sim",
            spec_json=spec.model_dump_json(by_alias=True),
            phase=Phase.PENDING,
            message=NOTHING,
            cancel_requested=False,
            prepared="prepared",
            statistics_json=None,
            created_at=BEGIN,
            started_at=BEGIN,
            resumed_at=BEGIN,
            finished_at=None,
        )
        self.study.__dict__["spec"] = spec

    def get_study(self, namespace: str, name: str) -> StudyRecord:
        return self.study

    def set_phase(self, namespace: str, name: str, phase: Phase, message: Message = NOTHING) -> None:
        spec = self.study.spec
        self.study = replace(self.study, phase=phase, message=message)
        self.study.__dict__["spec"] = spec

    def extend(self, trials: int) -> None:
        """Give the study so many more trials of each length."""
        spec = self.study.spec.model_copy(update={"trials": self.study.spec.trials + trials})
        self.study = replace(self.study, spec_json=spec.model_dump_json(by_alias=True), phase=Phase.PENDING)
        self.study.__dict__["spec"] = spec

    def attempts(self, namespace: str, study: str) -> list[AttemptRecord]:
        return []

    def record_attempt(self, namespace: str, study: str, record: AttemptRecord) -> None:
        pass

    def calibrations(self) -> list[Any]:
        return []

    def set_expected(self, namespace: str, name: str, expected: dict[str, Any]) -> None:
        pass


class _Jobs:
    """A `Runner` on simulated GPUs."""

    def __init__(self, cluster: Gpus, landscape: World, clock: Any) -> None:
        self.cluster, self._landscape, self._clock = cluster, landscape, clock
        self.jobs: dict[str, ObservedJob] = {}
        self.orders: dict[str, Order] = {}

    def capacity(self) -> int | None:
        return self.cluster.count

    def list(self, study: str) -> list[ObservedJob]:
        return list(self.jobs.values())

    def start(self, order: Order) -> None:
        assert order.seq_len is not None
        assert order.trial is not None
        self.orders[order.name] = order
        now = self._clock()
        self.jobs[order.name] = ObservedJob(
            order.name, order.name, order.study, order.kind, order.seq_len, order.trial, order.attempt,
            State.RUNNING, created_at=now, started_at=now,
        )  # fmt: skip
        self.cluster.start(order.name, self._landscape.run(order.seq_len, order.params, order.trial))

    def stop(self, job: ObservedJob, why: object = None) -> None:
        self.end(job.name, State.FAILED, Reason.DISRUPTED)

    def end(self, name: str, state: State, reason: Reason | None = None) -> None:
        self.cluster.stop(name)
        self.jobs[name] = replace(self.jobs[name], state=state, reason=reason, finished_at=self._clock())

    def remove(self, job: ObservedJob) -> None:
        self.jobs.pop(job.name, None)

    def logs(self, job: str, *, tail: int | None = None, follow: bool = False) -> Iterator[str]:
        return iter(())


def _order(spec: StudySpec, namespace: str, study: str, unit: Unit, **more: Any) -> Order:
    """Return an order without sizing, which the simulation does not need."""
    return Order.model_construct(
        kind=unit.kind, study=study, namespace=namespace, spec=spec, attempt=more["attempt"], seq_len=unit.seq_len,
        trial=unit.trial, trial_id=more["trial_id"], params=dict(more["params"] or {}), workdir="",
    )  # fmt: skip


def ours(
    spec: StudySpec,
    landscape: World,
    seed: int,
    gpus: int,
    budget: float = 0.0,
    lengths: dict[int, LengthStudy] | None = None,
) -> Curve:
    """The real controller with `gpus` GPUs.

    A study that ends below `budget` GPU-hours is extended, as `coref-k8s extend` does, until it has used them.
    `lengths` is filled with what each length has tried.
    """
    spec = spec.model_copy(update={"seed": seed, "parallelism": gpus})
    cluster, curve, storage = Gpus(gpus), Curve(base=landscape.base), InMemoryStorage()

    def clock() -> datetime:
        return BEGIN + timedelta(hours=cluster.now)

    jobs = _Jobs(cluster, landscape, clock)
    lengths = {} if lengths is None else lengths

    def open_length(spec: StudySpec, study: str, seq_len: int, namespace: str) -> LengthStudy:
        lengths[seq_len] = _MemoryLength(storage, spec, study, seq_len, namespace)  # type: ignore[arg-type]
        return lengths[seq_len]

    store = _MemoryStore(spec)
    loop = StudyLoop(
        "", f"sim-{seed}", runner=jobs, store=store, open_length=open_length, bus=Bus(None), clock=clock,
        gpus_per_job=1, order=_order,
    )  # fmt: skip
    best = Incumbents(landscape, spec.seq_lengths)

    def work(name: str, step: int, run: Run) -> None:
        order = jobs.orders[name]
        assert order.seq_len is not None
        assert order.trial is not None
        assert order.trial_id is not None
        last = step == len(run.reports)
        if run.diverges_at == step:
            # the trial sees it itself and ends, as `trial/divergence.py` does
            known = storage.get_trial(order.trial_id).intermediate_values
            storage.set_trial_state_values(
                order.trial_id, OptunaState.PRUNED, [known[max(known)]] if known else None
            )
            jobs.end(name, State.SUCCEEDED)
        else:
            if spec.search.pruner == "wilcoxon":
                items = landscape.items(order.seq_len, order.trial, run.reports[step - 1])
                storage.set_trial_user_attr(order.trial_id, items_attr(step), items)
            storage.set_trial_intermediate_value(order.trial_id, step, run.reports[step - 1])
            if last:
                storage.set_trial_state_values(order.trial_id, OptunaState.COMPLETE, [run.reports[-1]])
                best.complete(order.seq_len, run.reports[-1], dict(order.params))
                jobs.end(name, State.SUCCEEDED)
                curve.points.append((cluster.spent, best.score()))
        settle(loop)

    settle(loop)
    while True:
        for event in cluster.events():
            work(*event)
        curve.trials = store.study.spec.trials
        if cluster.spent >= budget:
            break
        store.extend(EXTENSION)
        settle(loop)
    curve.gpu_hours, curve.wall_hours, curve.idle_hours = cluster.spent, cluster.now, cluster.idle
    return curve


def settle(loop: StudyLoop) -> None:
    """Let the controller do all that it wants to do now."""
    for _ in range(20):
        step = loop.step()
        if step.failure is not None:
            raise step.failure
        if not step.actions:
            return
    raise AssertionError("the plan does not come to rest")
