"""The training loop: steps, evaluations, checkpoints, and what to do when memory runs out.

It knows nothing of studies or databases: it is given a model, data and a plan, and told by callbacks
whether to go on. A trial, a finalist and a final run are the same loop.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn

from coref_k8s.trial.batches import StepSource
from coref_k8s.trial.checkpoint import CheckpointClock, CheckpointStore, restore_rng, rng_state
from coref_k8s.trial.device import peak_bytes
from coref_k8s.trial.divergence import DivergenceWatch
from coref_k8s.trial.feed import Feed
from coref_k8s.trial.hyperparameters import Hyperparameters
from coref_k8s.trial.observers import (
    CheckpointReport,
    EvaluationReport,
    MemoryReport,
    Observers,
    StepReport,
)
from coref_k8s.trial.optimiser import build_optimiser, rate_factor, set_rates
from coref_k8s.trial.signals import Interrupted, StopSignal
from coref_k8s.trial.stepper import LossFunction, Stepper
from coref_k8s.trial.team import Score, Shared, Take, Team
from coref_k8s.wording import NOTHING, Message

#: Steps between two looks at the loss: each look waits for the device.
LOOK_EVERY = 10


class Ending(StrEnum):
    """How a run of the loop ended."""

    COMPLETE = "complete"
    DIVERGED = "diverged"
    STOPPED = "stopped"  # an evaluation's callback said so
    INTERRUPTED = "interrupted"  # the process was told to stop


@dataclass(frozen=True)
class TrainingPlan:
    """What to do, apart from the hyperparameters."""

    steps: int
    """Optimiser steps."""
    head_steps: int = field(default=0, kw_only=True)
    """How many of them, the last ones, teach the head alone: they have a warm-up and a decay of their own."""
    batch_size: int
    """Sequences in one forward pass, at first."""
    effective_batch: int
    """Sequences in an optimiser step, always."""
    evaluate_after: tuple[int, ...]
    """Steps after which the model is evaluated; the last is `steps`."""
    max_grad_norm: float
    """Gradient clipping."""
    autocast: torch.dtype | None = None
    """Number format of the forward pass; None for float32."""
    checkpoint_seconds: float = 300.0
    """Wish for the time between checkpoints (seconds)."""
    fingerprint: str = ""
    """What a checkpoint must have been made for to be used."""
    attempt: int = 1
    """A later attempt starts again with its own batch, whatever the one before it had to step down to."""


def evaluation_steps(steps: int, evaluations: int) -> tuple[int, ...]:
    """Return the steps after which to evaluate: evenly spaced, the last after the last step."""
    first = min(1, steps)
    return tuple(sorted({max(first, round(steps * k / evaluations)) for k in range(1, evaluations + 1)}))


@dataclass
class Progress:
    """How far training is; what a checkpoint keeps besides tensors."""

    step: int = 0
    batch_size: int = 0
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    train_seconds: float = 0.0
    """Time in steps, data wait included."""
    wait_seconds: float = 0.0
    """Time in which training waited for data."""
    evaluation_seconds: float = 0.0
    checkpoint_seconds: float = 0.0
    """Time in periodic checkpoints."""
    tokens: int = 0
    """Real tokens trained on."""


#: (model, number, last) -> score, metrics and which of these rest on too few items; model is in evaluation mode
Evaluate = Callable[[nn.Module, int, bool], tuple[float, dict[str, Any], Sequence[str]]]


def never(model: nn.Module, number: int, last: bool) -> tuple[float, dict[str, Any], Sequence[str]]:
    """Evaluate a training that is not evaluated."""
    raise AssertionError("no evaluation was planned")


class Trainer:
    """One model being trained. `run` may be called once."""

    def __init__(
        self,
        model: nn.Module,
        source: StepSource,
        hyper: Hyperparameters,
        plan: TrainingPlan,
        *,
        loss: LossFunction,
        device: torch.device,
        checkpoints: CheckpointStore | None = None,
        observers: Observers | None = None,
        stop: StopSignal | None = None,
        team: Team | None = None,
    ) -> None:
        self.model = model.to(device)
        self.plan = plan
        self.team = team
        self._first_batch = plan.batch_size
        if team is not None:  # each gets something to do
            self._first_batch = min(plan.batch_size, -(-plan.effective_batch // team.size))
        self.progress = Progress(batch_size=self._first_batch)
        self.reason = NOTHING
        """Why training diverged, when it has."""
        self._source = source if team is None else Shared(source, team)
        self._hyper = hyper
        self._device = device
        self._checkpoints = checkpoints
        self._observers = observers or Observers()
        self._stop = stop or StopSignal()
        self._optimiser = build_optimiser(model, hyper.rates, device)
        self._stepper = Stepper(self.model, self._optimiser, loss, plan.autocast, plan.max_grad_norm, team)
        self._watch = DivergenceWatch(self._warmup(plan.steps - plan.head_steps or plan.head_steps))
        self._losses: list[float] = []
        self._unseen: list[Tensor] = []
        self._saved_step: int | None = None
        self._since, self._tokens, self._waited = time.perf_counter(), 0, 0.0

    @property
    def losses(self) -> list[float]:
        """Training loss of each step (nats)."""
        return list(self._losses)

    def resume(self) -> bool:
        """Take up the newest sound checkpoint, if there is one; return whether there was."""
        found = self._checkpoints.load() if self._checkpoints else None
        if found is None:
            return False
        step, state = found
        facts = json.loads(state["facts"])
        if facts["fingerprint"] != self.plan.fingerprint:
            return False  # of an order that was changed since: it would be another experiment
        self.model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**facts["progress"])
        if facts["attempt"] != self.plan.attempt:
            self.progress.batch_size = self._first_batch
        self._watch = DivergenceWatch.of(facts["watch"])
        self._losses = state["losses"].tolist()
        self._stepper.restore(state.get("scaler", {}))
        restore_rng(state["rng"])
        self._saved_step = step
        return True

    def save(self) -> None:
        """Write a checkpoint of now, unless there is one. To be called between steps."""
        if self._checkpoints is None or self._saved_step == self.progress.step:
            return
        self._look()
        began = time.perf_counter()
        facts = {
            "fingerprint": self.plan.fingerprint,
            "attempt": self.plan.attempt,
            "progress": asdict(self.progress),
            "watch": self._watch.state(),
        }
        size = self._checkpoints.save(
            self.progress.step,
            {
                "model": self.model.state_dict(),
                "optimiser": self._optimiser.state_dict(),
                "rng": rng_state(),
                "scaler": self._stepper.state(),
                "losses": torch.tensor(self._losses, dtype=torch.float64),
                "facts": json.dumps(facts),
            },
        )
        self._saved_step = self.progress.step
        seconds = time.perf_counter() - began
        self._observers.on_checkpoint(CheckpointReport(self.progress.step, seconds, size))

    def run(self, evaluate: Evaluate, go_on: Callable[[EvaluationReport], bool]) -> Ending:
        """Train to the end of the plan.

        `evaluate(model, number, last)` returns `Evaluate`'s three at each evaluation; then `go_on(report)`
        says whether to train on. Ends early when the loss diverges, when `go_on` says no, or when the
        process was told to stop (no checkpoint is written for that: call `save`).
        Raises OutOfMemoryError when not even one sequence fits.
        """
        clock = CheckpointClock(self.plan.checkpoint_seconds, self._state_bytes())
        feed = Feed(
            self._source,
            self._device,
            first=self.progress.step,
            last=self.plan.steps,
            batch_size=self.progress.batch_size,
        )
        self._observers.on_begin(self.progress.step, self.plan.steps)
        self.model.train()
        if self.team is not None:
            self.team.share(self.model)
        self._mark()
        try:
            while True:
                self._stop.check()
                if self._evaluation_due():
                    if self._look():
                        return Ending.DIVERGED
                    if not go_on(self.evaluate(evaluate)):
                        return Ending.STOPPED
                if self.progress.step == self.plan.steps:
                    return Ending.COMPLETE
                if clock.due():
                    clock.written(self._timed_save())
                self._step(feed)
                head_begins = self.plan.steps - self.progress.step == self.plan.head_steps > 0
                if (self.progress.step % LOOK_EVERY == 0 or head_begins) and self._look():
                    return Ending.DIVERGED
                if head_begins:  # other data, and so another loss
                    self._watch = DivergenceWatch(self._warmup(self.plan.head_steps), self.progress.step)
        except Interrupted:
            return Ending.INTERRUPTED
        finally:
            feed.close()

    def follow(self, score: Callable[[Score], None]) -> None:
        """Take the steps that the leader of the team tells of, and score what it asks for, until there is no more.

        Random numbers (dropout) are a function of the step and of the place in the team: nothing is to be kept of them.
        """
        team = self.team
        assert team is not None
        self.model.train()
        team.share(self.model)
        feed: Feed | None = None
        while (told := team.told()) is not None:
            if isinstance(told, Score):
                score(told)
                continue
            step, batch_size = told.number, told.batch_size
            if step != self.progress.step:
                raise RuntimeError(f"the leader is at step {step}, this process at {self.progress.step}")
            if feed is None:
                feed = Feed(
                    self._source, self._device, first=step, last=self.plan.steps, batch_size=batch_size
                )
            torch.manual_seed((step + 1) * 1_000_003 + team.rank)
            data, batches = feed.take(step, batch_size)
            set_rates(self._optimiser, self._rate_factor(step))
            self._stepper.step(feed, data, batches, batch_size)
            self.progress.step += 1
        if feed is not None:
            feed.close()

    def _step(self, feed: Feed) -> None:
        if self.team is not None:
            self.team.tell(Take(self.progress.step, self.progress.batch_size))
        waited = feed.waited
        data, batches = feed.take(self.progress.step, self.progress.batch_size)
        set_rates(self._optimiser, self._rate_factor(self.progress.step))
        loss, fitting = self._stepper.step(feed, data, batches, self.progress.batch_size)
        if fitting != self.progress.batch_size:
            self.progress.batch_size = fitting
            parts = 1 if self.team is None else self.team.size
            accumulation = -(-self.plan.effective_batch // (fitting * parts))
            self._observers.on_out_of_memory(MemoryReport(self.progress.step, fitting, accumulation))
        self._unseen.append(loss)
        self.progress.step += 1
        self.progress.tokens += data.tokens
        self._tokens += data.tokens
        self.progress.wait_seconds += feed.waited - waited
        self._waited += feed.waited - waited

    def _look(self) -> Message | None:
        """Read the losses since the last look, tell the observers; return why training has diverged, if so.

        This waits for the device, so it ends the time that steps are measured in.
        """
        if not self._unseen:
            return self._diverged()
        losses = torch.stack(self._unseen).tolist()
        self._unseen.clear()
        self._losses += losses
        self._watch.feed(losses)
        seconds = time.perf_counter() - self._since
        self.progress.train_seconds += seconds
        self._observers.on_step(
            StepReport(
                step=self.progress.step,
                steps=self.plan.steps,
                loss=sum(losses) / len(losses),
                learning_rate=self._hyper.learning_rate * self._rate_factor(self.progress.step - 1),
                tokens_per_second=self._tokens / seconds,
                step_seconds=seconds / len(losses),
                data_wait=self._waited / seconds,
                memory_bytes=peak_bytes(self._device),
            )
        )
        self._mark()
        return self._diverged()

    def _warmup(self, steps: int) -> int:
        return round(self._hyper.warmup_ratio * steps)

    def _rate_factor(self, step: int) -> float:
        first = self.plan.steps - self.plan.head_steps
        if step < first:
            return rate_factor(step, first, self._hyper.warmup_ratio)
        return rate_factor(step - first, self.plan.head_steps, self._hyper.warmup_ratio)

    def _diverged(self) -> Message | None:
        found = self._watch.reason
        if self._stepper.scaled:
            lost = found is not None and found.code == "trial.loss-not-finite"
            if lost or self._stepper.overflows:
                what = Message.of("trial.overflow-loss" if lost else "trial.overflow-gradients")
                step = found.values["step"] if found is not None and lost else self.progress.step
                found = Message.of("trial.overflows", what=what, step=step)
        self.reason = found or NOTHING
        return found

    def _mark(self) -> None:
        """Start measuring steps from now."""
        self._since = time.perf_counter()
        self._tokens = 0
        self._waited = 0.0

    def _evaluation_due(self) -> bool:
        done, points = len(self.progress.evaluations), self.plan.evaluate_after
        return done < len(points) and self.progress.step >= points[done]

    def evaluate(self, evaluate: Evaluate) -> EvaluationReport:
        """Make the next evaluation of the plan now; training's random numbers are the same with and without it."""
        number = len(self.progress.evaluations) + 1
        last = number == len(self.plan.evaluate_after)
        rng = rng_state()
        began = time.perf_counter()
        self.model.eval()
        try:
            score, metrics, few = evaluate(self.model, number, last)
        finally:
            self.model.train()
            restore_rng(rng)
        seconds = time.perf_counter() - began
        report = EvaluationReport(
            number, self.progress.step, score, metrics, seconds, full=last, not_given=few
        )
        self.progress.evaluation_seconds += seconds
        self.progress.evaluations.append(
            {
                "number": number,
                "step": report.step,
                "score": score,
                "metrics": dict(metrics),
                "seconds": seconds,
            }
        )
        self._observers.on_evaluation(report)
        self._mark()
        return report

    def _timed_save(self) -> float:
        """Write a periodic checkpoint; return what it took (seconds)."""
        self._look()
        began = time.perf_counter()
        self.save()
        seconds = time.perf_counter() - began
        self.progress.checkpoint_seconds += seconds
        self._mark()
        return seconds

    def _state_bytes(self) -> int:
        """Return the size of a checkpoint: weights and Adam's two moments (bytes)."""
        return 3 * sum(p.numel() * p.element_size() for p in self.model.parameters())
