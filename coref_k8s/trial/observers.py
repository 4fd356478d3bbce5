"""Who is told what a trial does: the event bus, and whatever else watches (metrics).

Training knows only `TrialObserver`; nothing here may change how training goes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from coref_k8s.store.patience import PATIENCE, patiently
from coref_k8s.study.order import Order
from coref_k8s.telemetry.bus import Bus, Section, said
from coref_k8s.trial.output import aloud
from coref_k8s.trial.signals import StopSignal
from coref_k8s.wording import Message

T = TypeVar("T")

#: Least time between two `train_step` lines (seconds).
STEP_INTERVAL = 2.0


@dataclass(frozen=True)
class StepReport:
    """Training up to a step; times are since the report before it."""

    step: int
    """Optimiser steps done."""
    steps: int
    """Optimiser steps in the whole trial."""
    loss: float
    """Mean training loss since the last report (nats)."""
    learning_rate: float
    """Rate of the head."""
    tokens_per_second: float
    """Real tokens, padding not counted."""
    step_seconds: float
    """Mean time of a step (seconds)."""
    data_wait: float
    """Share of the time in which training waited for data."""
    memory_bytes: int
    """Peak memory so far: of the GPU, or of the process (bytes)."""


@dataclass(frozen=True)
class EvaluationReport:
    """One evaluation."""

    number: int
    """1 is the first."""
    step: int
    """Optimiser steps done."""
    score: float
    """What is maximised."""
    metrics: Mapping[str, Any]
    """All metrics, by the names of METRICS.md."""
    seconds: float
    """What it took (seconds)."""
    full: bool
    """Whether all items and arms were scored."""
    split: str = "dev"
    """Which documents."""
    not_given: Sequence[str] = ()
    """Metrics that rest on too few items to be shown to a person, `score` among them where it weighs one."""


@dataclass(frozen=True)
class CheckpointReport:
    """One checkpoint written, or one that training resumed from (`seconds` 0)."""

    step: int
    seconds: float
    size_bytes: int


@dataclass(frozen=True)
class MemoryReport:
    """The GPU ran out of memory; training goes on with this batch."""

    step: int
    batch_size: int
    accumulation: int


class TrialObserver(Protocol):
    """What training tells. Every method returns at once."""

    def on_begin(self, step: int, steps: int) -> None:
        """Training starts, or resumes after `step` steps."""

    def on_step(self, report: StepReport) -> None:
        """Some steps were done."""

    def on_evaluation(self, report: EvaluationReport) -> None:
        """The model was evaluated."""

    def on_checkpoint(self, report: CheckpointReport) -> None:
        """A checkpoint was written."""

    def on_out_of_memory(self, report: MemoryReport) -> None:
        """The batch was halved."""

    def on_end(self, outcome: str, facts: Mapping[str, Any]) -> None:
        """The trial is over: `complete`, `pruned`, `failed` or `interrupted`."""


class Observers:
    """Tells many observers, in order."""

    def __init__(self, observers: Iterable[TrialObserver] = ()) -> None:
        self._all = list(observers)

    def on_begin(self, step: int, steps: int) -> None:
        """See `TrialObserver`."""
        for one in self._all:
            one.on_begin(step, steps)

    def on_step(self, report: StepReport) -> None:
        """See `TrialObserver`."""
        for one in self._all:
            one.on_step(report)

    def on_evaluation(self, report: EvaluationReport) -> None:
        """See `TrialObserver`."""
        for one in self._all:
            one.on_evaluation(report)

    def on_checkpoint(self, report: CheckpointReport) -> None:
        """See `TrialObserver`."""
        for one in self._all:
            one.on_checkpoint(report)

    def on_out_of_memory(self, report: MemoryReport) -> None:
        """See `TrialObserver`."""
        for one in self._all:
            one.on_out_of_memory(report)

    def on_end(self, outcome: str, facts: Mapping[str, Any]) -> None:
        """See `TrialObserver`."""
        for one in self._all:
            one.on_end(outcome, facts)


class BusObserver:
    """Writes a trial's events to the bus."""

    def __init__(self, bus: Bus, order: Order, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._order = order
        self._clock = clock
        self._last_step = -STEP_INTERVAL
        self._who = {
            "study": order.study,
            "kind": order.kind.value,
            "seq_len": order.seq_len,
            "trial": order.trial,
        }

    def on_begin(self, step: int, steps: int) -> None:
        """See `TrialObserver`."""
        order = self._order
        self._bus.emit(
            Section.TRIAL_BEGIN,
            **self._who,
            attempt=order.attempt,
            step=step,
            steps=steps,
            params=order.params,
        )

    def on_step(self, report: StepReport) -> None:
        """See `TrialObserver`; at most one line every two seconds, and the last step."""
        now = self._clock()
        if now - self._last_step >= STEP_INTERVAL or report.step == report.steps:
            self._last_step = now
            self._bus.emit(Section.TRAIN_STEP, **self._who, **_rounded(asdict(report)))

    def on_evaluation(self, report: EvaluationReport) -> None:
        """See `TrialObserver`."""
        self._bus.emit(
            Section.EVAL_STREAM,
            **self._who,
            evaluation=report.number,
            step=report.step,
            full=report.full,
            split=report.split,
            eval_seconds=round(report.seconds, 3),
            **{**report.metrics, "score": report.score},
            **({"not_given": list(report.not_given)} if report.not_given else {}),
        )

    def on_checkpoint(self, report: CheckpointReport) -> None:
        """See `TrialObserver`; checkpoints are no news on the bus."""

    def on_out_of_memory(self, report: MemoryReport) -> None:
        """See `TrialObserver`."""
        self.warn(Message("trial.batch-halved", asdict(report)))

    def on_end(self, outcome: str, facts: Mapping[str, Any]) -> None:
        """See `TrialObserver`."""
        self._bus.emit(Section.TRIAL_END, **self._who, outcome=outcome, **facts)

    def warn(self, message: Message) -> None:
        """Say on the bus and on stderr what a person should know."""
        aloud(f"warning: {message}")
        self._bus.emit(Section.WARNING, **self._who, **said(message))


def waiting(order: Order, bus: Bus, stop: StopSignal) -> Callable[[Callable[[], T]], T]:
    """Return what calls something that needs the database, and waits for that while it is away, for an hour at most."""
    return partial(patiently, sleep=stop.sleep, on_wait=BusObserver(bus, order).warn, most=PATIENCE)


def _rounded(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: float(f"{v:.6g}") if isinstance(v, float) else v for name, v in fields.items()}
