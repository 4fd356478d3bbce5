"""What a study will take, before and while it runs: time of a trial by length, GPU-hours as an interval, time to the end.

One model serves `plan`, `status`, `watch`, the pages, the resource's status and the metrics: a step's time from
`sizing.speed`, with numbers that were measured on the card (`calibrate`), or of finished trials, or counted from what is
published of it. While a study runs it is corrected by what its trials have taken (`controller.study.remaining`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from statistics import mean
from typing import Any

from coref_k8s.evaluation.extent import SHARE, TRAINED
from coref_k8s.search.allotment import least_and_most
from coref_k8s.search.finalists import planned_runs
from coref_k8s.sizing.batch import effective_batch, plan_batch
from coref_k8s.sizing.calibration import Calibration
from coref_k8s.sizing.cards import card_named, card_of_memory, rate_of
from coref_k8s.sizing.resources import size_pod
from coref_k8s.sizing.shape import ModelShape, shape_of
from coref_k8s.sizing.speed import EFFICIENCY, Speed, Step, measured_rate, of_threads
from coref_k8s.store.records import StudyRecord
from coref_k8s.study.order import BatchPlan
from coref_k8s.study.parameters import PARAMETERS, space_for
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import Message

#: Share of the trials after the first ones that a pruner is taken to stop at their first evaluation, at most.
STOPPED = {"none": 0.0, "median": 0.5, "wilcoxon": 0.5, "asha": 0.67, "hyperband": 0.5}
#: Part of a full evaluation that one on the way takes.
_QUICK = 0.25
#: Passes over a sequence that one evaluation item takes, in all ways in which it is asked.
_ITEM_PASSES = 6
#: Training sequences of a length where neither the request nor the text says how many.
USUAL_ROWS = 50_000
#: Label by which clusters tell the kind of a node's GPU.
_PRODUCT = "nvidia.com/gpu.product"


class Source(StrEnum):
    """What a time rests on."""

    MEASURED = "measured"
    TRIALS = "trials"
    ESTIMATED = "estimated"


#: How far the truth may lie from each of them: the interval is that much wider (share).
MARGIN = {Source.MEASURED: 0.15, Source.TRIALS: 0.25, Source.ESTIMATED: 1.0}


@dataclass(frozen=True)
class Basis:
    """How fast a step is, and who says so."""

    speed: Speed
    source: Source
    said: Message
    """In words."""
    error: float = 0.0
    """How far it is off where it is off most, of what it was made from (share)."""

    @property
    def margin(self) -> float:
        """How far the truth may lie from a time (share)."""
        return max(MARGIN[self.source], self.error)


@dataclass(frozen=True)
class Expected:
    """What the trials of one length take. Times are seconds."""

    steps: int
    """Optimiser steps of a trial, at most."""
    usual_steps: int
    """On average over the passes that trials choose among; where the steps are given, longer ones count as several."""
    step_seconds: float
    """Of a step of the planned batch."""
    start_seconds: float
    """From the start of a trial's process to its first step."""
    evaluation_seconds: float
    """Of all evaluations of a trial, at most."""
    first: float
    """Part of a trial after which it is first evaluated, and may be stopped."""
    trials: int
    runs: int
    """Runs of finalists."""
    stopped: float
    """Trials that may be stopped there."""
    margin: float
    """How far the truth may lie from all this (share)."""
    trials_at_most: int = 0
    """Trials where the length does not follow the shorter ones (`search.allocation`)."""
    head_seconds: float = 0.0
    """Of the passes in which a head of coreference learns alone, after all steps, at most."""
    longest: float = 1.0
    """How many times as long a step may take: where the steps are given, trials choose how many batches are in one."""

    @property
    def training_seconds(self) -> float:
        """Training of one trial, at most."""
        return self.steps * self.step_seconds * self.longest + self.head_seconds

    @property
    def trial_seconds(self) -> float:
        """One trial from start to end, at most."""
        return self.start_seconds + self.training_seconds + self.evaluation_seconds

    @property
    def usual_seconds(self) -> float:
        """One trial that is not stopped, on average."""
        evaluation = min(1.0, self.usual_steps / self.steps) * self.evaluation_seconds
        return self.start_seconds + self.usual_steps * self.step_seconds + self.head_seconds + evaluation

    @property
    def seconds(self) -> tuple[float, float]:
        """All trials and runs of the length, one after the other: as many stopped as may be, and none."""
        early = self.start_seconds + self.first * (self.usual_seconds - self.start_seconds)
        least = (self.trials + self.runs - self.stopped) * self.usual_seconds + self.stopped * early
        most = (max(self.trials, self.trials_at_most) + self.runs) * self.trial_seconds
        return least / (1 + self.margin), most * (1 + self.margin)


def expected(
    spec: StudySpec,
    shape: ModelShape,
    batches: Mapping[int, BatchPlan],
    rows: Mapping[int, float],
    basis: Basis,
) -> dict[int, Expected]:
    """Return what the trials of each length take; `rows` are the training sequences by length, below 1 a part of one."""
    return {length: _of_length(spec, shape, batches[length], rows[length], basis) for length in batches}


def _of_length(spec: StudySpec, shape: ModelShape, batch: BatchPlan, part: float, basis: Basis) -> Expected:
    length, training, speed, gpus = batch.seq_len, spec.training, basis.speed, max(1, spec.pod.gpus)
    passes, rows, in_step, width = _passes(spec, length), math.ceil(part), batch.effective_batch, length
    if spec.task == "coreference":  # a step holds windows of one pass, and no window more than the text
        in_step, width = min(in_step, rows), min(length, math.ceil(part * length))
    steps = training.max_steps or math.ceil(rows * passes[-1] / in_step)
    usual = training.max_steps or math.ceil(rows * mean(passes) / in_step)

    def step_of(sequences: int) -> float:
        # several GPUs share the passes of a step
        passes_each = -(-sequences // (batch.batch_size * gpus))
        some = -(-sequences // (passes_each * gpus))
        return speed.seconds(Step(width, some, passes_each, batch.checkpointing), shape, spec.task)

    step, longest = step_of(in_step), 1.0
    space = space_for(spec, length)
    # of passes over the data, more sequences in a step are fewer steps
    if training.max_steps and "accumulation" in space:
        sizes = [effective_batch(spec, length, int(one)) for one in space["accumulation"].numbers]
        each = [step_of(min(size, rows) if spec.task == "coreference" else size) for size in sizes]
        longest, usual = max(each) / step, round(steps * mean(each) / step)
    trained = steps * batch.effective_batch * length
    # of a search the full evaluation is cut to fit the shortest training
    least = trained if training.max_steps else rows * passes[0] * length
    if spec.task == "coreference":
        share = spec.data.dev_share / max(1e-9, 1 - spec.data.dev_share - spec.data.test_share)
        asked = 2.0 * share * part * length  # windows overlap by half
    else:
        asked = float(_ITEM_PASSES * spec.data.eval_items * length)
        if spec.purpose.kind == "search":
            asked = min(asked, SHARE * TRAINED * least)
    full = speed.forward_seconds(length, asked, shape, spec.task)
    head = 0.0
    if spec.task == "coreference":
        head = speed.rest_seconds(width, part * length, most_passes(spec, length, "head_epochs"), shape)
    searching = spec.purpose.kind == "search"
    trials, at_most = least_and_most(spec)[length]
    spared = max(0, trials - spec.search.startup_trials) if searching else 0
    return Expected(
        steps=steps,
        usual_steps=usual,
        step_seconds=step,
        start_seconds=speed.start,
        evaluation_seconds=full * (1 + _QUICK * (training.evaluations - 1)),
        first=1 / training.evaluations,
        trials=trials,
        trials_at_most=at_most,
        runs=planned_runs(spec),
        stopped=STOPPED[spec.search.pruner] * spared if training.evaluations > 1 else 0.0,
        margin=basis.margin,
        head_seconds=head,
        longest=longest,
    )


def most_passes(spec: StudySpec, seq_len: int, name: str = "epochs") -> float:
    """Return how often a trial goes over the data, at most; with `head_epochs`, its head alone."""
    return _passes(spec, seq_len, name)[-1]


def _passes(spec: StudySpec, seq_len: int, name: str = "epochs") -> Sequence[float]:
    """Return the passes over the data that trials choose among, ascending."""
    space = space_for(spec, seq_len)
    usual = spec.training.epoch_choices if name == "epochs" else [PARAMETERS[name].default]
    return sorted(map(float, space[name].numbers if name in space else usual))


def basis_of(
    spec: StudySpec,
    shape: ModelShape,
    calibration: Calibration | None,
    *,
    threads: int = 1,
    rate: Callable[[], float] = measured_rate,
    card: str | None = None,
) -> Basis:
    """Return how fast steps are where nothing but a calibration, or nothing at all, was measured.

    `threads` of a trial on a CPU, whose products are measured (`rate`, operations a second of one thread) where there is
    no calibration; `card` is the kind of GPU where it is known, else the one that is met most of the size asked for.
    """
    speed = None if calibration is None else calibration.speed
    if calibration is not None and speed is not None:
        error = calibration.error
        if calibration.threads and calibration.threads != threads:
            speed = speed.times(of_threads(threads) / of_threads(calibration.threads))
            error = max(error, MARGIN[Source.TRIALS])
        said = {"device": calibration.device, "n": len(calibration.timed), "error": calibration.error}
        return Basis(speed, Source.MEASURED, Message("controller.rests-on-calibration", said), error)
    if not spec.pod.gpus:
        found = rate()
        speed = Speed.of_rate(EFFICIENCY * found / of_threads(threads), shape, spec.task)
        about = {"rate": found / 1e9, "share": EFFICIENCY}
        return Basis(speed, Source.ESTIMATED, Message("controller.rests-on-product", about))
    product = card or spec.pod.node_selector.get(_PRODUCT) or ""
    kind = card_named(product) or card_of_memory(spec.gpu_memory_gb)
    speed = Speed.of_rate(rate_of(kind, spec.training.precision), shape, spec.task)
    said = {"card": kind.name, "memory": kind.memory_gb}
    return Basis(speed, Source.ESTIMATED, Message("controller.rests-on-figures", said))


def expected_of(study: StudyRecord, calibration: Calibration | None, threads: int) -> dict[str, Any]:
    """Return what a study whose data are prepared takes, as it is stored with it; a trial on a CPU has so many `threads`.

    Raises SizingError when no batch fits, ModelError for a model that holds none.
    """
    spec = study.spec
    shape = shape_of(spec.model)
    batches = {length: plan_batch(spec, length, calibration=calibration) for length in spec.seq_lengths}
    counted = study.statistics.get("lengths", {})
    rows = {length: rows_of(spec, length, counted.get(str(length)), study.statistics) for length in batches}
    basis = basis_of(spec, shape, calibration, threads=threads)
    return as_data(expected(spec, shape, batches, rows, basis), basis, spec)


def rows_of(
    spec: StudySpec, length: int, counted: Mapping[str, Any] | None, statistics: Mapping[str, Any]
) -> int:
    """Return the training sequences of a length that a preparation counted; before that the most that were asked for."""
    if counted:
        return max(1, int(counted["rows"]))
    tokens = statistics.get("training_tokens")
    most = USUAL_ROWS if spec.data.train_limit is None else spec.data.train_limit
    return max(1, min(most, math.ceil(tokens / length))) if tokens else most


def threads_of(spec: StudySpec, cores: int | None, at_once: int) -> int:
    """Return the threads of a trial on a CPU: its share of a machine's cores, or (`cores` None) what its pod asks for."""
    if cores is None:
        return max(1, size_pod(spec, spec.seq_lengths[0]).cpu_millis // 1000)
    return max(1, cores // max(1, at_once))


def as_data(found: Mapping[int, Expected], basis: Basis, spec: StudySpec) -> dict[str, Any]:
    """Return what is expected as it is stored with a study."""
    return {
        "source": basis.source.value,
        "said": basis.said.dump(),
        "gpus": spec.pod.gpus,
        "lengths": {str(length): asdict(one) for length, one in found.items()},
    }


def trial_seconds(stored: Mapping[str, Any]) -> dict[int, float]:
    """Return from what is stored with a study the time that a trial of each length takes on average (seconds)."""
    return {int(length): Expected(**one).usual_seconds for length, one in stored.get("lengths", {}).items()}


def wall_seconds(found: Mapping[int, Expected], at_once: int) -> tuple[float, float]:
    """Return the time of a whole study with so many trials at once (seconds): the least and the most."""

    def of(which: int) -> float:
        total = sum(one.seconds[which] for one in found.values()) / at_once
        longest = max(found.values(), key=lambda one: one.trial_seconds)
        tail = longest.trial_seconds if which else longest.usual_seconds
        # work does not divide evenly: in the end fewer run than could
        return max(tail, total + (tail * (1 - 1 / at_once) / 2 if which else 0.0))

    return of(0), of(1)
