"""Everything one training needs, opened and wired: task, model and trainer, and its results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from coref_k8s.errors import OutOfMemoryError
from coref_k8s.evaluation.composite import by_item
from coref_k8s.evaluation.result import EvaluationResult
from coref_k8s.sizing.batch import predict
from coref_k8s.sizing.shape import shape_of
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order
from coref_k8s.study.paths import TrialFolder
from coref_k8s.trial.checkpoint import CheckpointStore, seed_everything
from coref_k8s.trial.device import host_peak_bytes
from coref_k8s.trial.files import write_folder, write_json
from coref_k8s.trial.models import compile_layers
from coref_k8s.trial.observers import EvaluationReport, Observers
from coref_k8s.trial.provenance import evidence, model_commit, versions
from coref_k8s.trial.signals import Interrupted, StopSignal
from coref_k8s.trial.task import Task, open_task
from coref_k8s.trial.team import Score, Team
from coref_k8s.trial.training import Ending, Evaluate, Trainer, TrainingPlan, evaluation_steps
from coref_k8s.wording import Message


@dataclass
class Session:
    """One training in this process."""

    order: Order
    folder: TrialFolder
    task: Task
    trainer: Trainer
    observers: Observers
    by_item: dict[str, float] = field(default_factory=dict)
    """What each item added to the score of the last quick evaluation, for a pruner that looks at items."""

    @classmethod
    def open(
        cls,
        order: Order,
        data_dir: Path,
        folder: TrialFolder,
        observers: Observers,
        warn: Callable[[Message], None],
        stop: StopSignal,
        saved: Callable[[], None] = lambda: None,
        team: Team | None = None,
    ) -> Session:
        """Open data and model and take up the newest checkpoint; `saved` is called when another one is written.

        Raises TrialError, DataError or ModelError when something is missing or does not fit together.
        """
        task = open_task(order, data_dir, stop, warn)
        trainer = trainer_of(
            task, untuned=order.untuned, checkpoints=CheckpointStore(folder.checkpoints, warn=warn, saved=saved),
            observers=observers, team=team,
        )  # fmt: skip
        trainer.resume()
        return cls(order, folder, task, trainer, observers)

    def train(self, go_on: Callable[[EvaluationReport], bool]) -> Ending:
        """Train to the end, or to where `go_on`, a signal or a lost loss ends it."""
        return self.trainer.run(self._on_dev(), go_on)

    def _on_dev(self) -> Evaluate:
        def evaluate(model: nn.Module, number: int, last: bool) -> tuple[float, dict[str, Any], list[str]]:
            result = self._scored("dev", full=last)
            if last:
                write_json(self.folder.items("dev"), result.to_dict())
            elif self.order.spec.search.pruner == "wilcoxon":
                self.by_item = by_item(self.order.spec.objective.weights, result.item_scores)
            return result.score, dict(result.metrics), result.not_given

        return evaluate

    def finish(self, *, keep_model: bool = True) -> dict[str, Any]:
        """Save the model, score the test documents if this is no mere trial, and write the result.

        Raises Interrupted; nothing is lost then.
        """
        model = self.trainer.model.eval()
        tests: dict[str, Any] = {}
        if self.order.kind is not Kind.TRIAL:
            result = self.test()
            tests = {"test": result.noted}

        if keep_model:
            dev = EvaluationResult.read(self.folder.items("dev"))
            write_folder(self.folder.model, lambda folder: self.task.save(model, folder, dev))
        return self.result("complete", **tests)

    def test(self) -> EvaluationResult:
        """Score the trained model on the test documents, with dev's thresholds: test is not tuned on."""
        dev = EvaluationResult.read(self.folder.items("dev"))
        result = self._scored("test", full=True, thresholds=dev.thresholds)
        write_json(self.folder.items("test"), result.to_dict())
        self.observers.on_evaluation(
            EvaluationReport(
                number=len(self.trainer.progress.evaluations) + 1,
                step=self.trainer.progress.step,
                score=result.score,
                metrics=dict(result.metrics),
                seconds=result.seconds,
                full=True,
                split="test",
                not_given=result.not_given,
            )
        )
        return result

    def _scored(
        self, split: str, *, full: bool, thresholds: dict[str, float] | None = None
    ) -> EvaluationResult:
        """Score the model, with the other processes of a team."""
        asked = Score(split, full, thresholds)
        if self.trainer.team is not None:
            self.trainer.team.tell(asked)
        return self._evaluated(asked)

    def _evaluated(self, asked: Score) -> EvaluationResult:
        model, team = self.trainer.model.eval(), self.trainer.team
        return self.task.evaluate(
            model, asked.split, full=asked.full, thresholds=asked.thresholds, together=team
        )

    def follow(self) -> None:
        """Do what the leader of the team tells, until there is no more."""

        def score(asked: Score) -> None:
            # what stops the leader, or lacks memory, is raised here too; then it tells how to go on
            with suppress(Interrupted, OutOfMemoryError):
                self._evaluated(asked)
            self.trainer.model.train()

        self.trainer.follow(score)

    def result(self, outcome: str, **more: Any) -> dict[str, Any]:
        """Write `result.json` and the losses; return the result."""
        order, progress = self.order, self.trainer.progress
        write_json(self.folder.losses, self.trainer.losses)
        last = progress.evaluations[-1] if progress.evaluations else {}
        result = {
            "outcome": outcome,
            "study": order.study,
            "kind": order.kind.value,
            "seq_len": order.seq_len,
            "trial": order.trial,
            "attempt": order.attempt,
            "seed": order.seed,
            "model": order.spec.model,
            "prepared": order.prepared,
            "params": order.params,
            "score": last.get("score"),
            "metrics": last.get("metrics", {}),
            "steps": progress.step,
            "evaluations": progress.evaluations,
            "measured": self.measured(),
            "versions": versions(),
            "model_revision": model_commit(self.trainer.model, order.spec.model_revision),
            "evidence": evidence(self.folder.items("dev")),
            **more,
        }
        write_json(self.folder.result, result)
        return result

    def measured(self) -> dict[str, Any]:
        """Return what this trial used, beside what was predicted."""
        assert self.order.batch is not None
        progress = self.trainer.progress
        seconds = max(progress.train_seconds, 1e-9)
        measured: dict[str, Any] = {
            "batch_size": progress.batch_size,
            "effective_batch": self.order.batch.effective_batch,
            "predicted_bytes": self.order.batch.predicted_bytes,
            "host_peak_bytes": host_peak_bytes(),
            "tokens_per_second": progress.tokens / seconds,
            "step_seconds": seconds / max(1, progress.step),
            "data_wait": progress.wait_seconds / seconds,
            "train_seconds": progress.train_seconds,
            "evaluation_seconds": progress.evaluation_seconds,
            "checkpoint_seconds": progress.checkpoint_seconds,
        }
        if self.task.device.type == "cuda":
            measured["gpu_peak_bytes"] = torch.cuda.max_memory_reserved(self.task.device)
            measured["gpu_name"] = torch.cuda.get_device_name(self.task.device)
            batch, spec = self.order.batch, self.order.spec
            if progress.batch_size == batch.batch_size:
                # else the peak is that of a batch that did not fit
                measured["estimated_bytes"] = predict(
                    shape_of(spec.model), spec, batch.seq_len, batch.batch_size, batch.checkpointing
                )
        return measured

    def save(self) -> None:
        """Write a checkpoint of now."""
        self.trainer.save()

    def discard(self) -> None:
        """Delete the checkpoints of a trial that nobody wants any more."""
        CheckpointStore(self.folder.checkpoints).clear()


def trainer_of(
    task: Task,
    *,
    untuned: bool = False,
    checkpoints: CheckpointStore | None = None,
    observers: Observers | None = None,
    team: Team | None = None,
) -> Trainer:
    """Return a trainer of a task's model, at its first step.

    `untuned`: of the model as it came, with no more than what it takes to score it. Without `checkpoints` none are
    written, and the model is not evaluated on the way.
    """
    order, training = task.order, task.order.spec.training
    seed_everything(order.seed)
    model = task.untrained(untuned=untuned)
    if training.compile:
        compile_layers(model, task.device.type, task.warn)
    course = task.course(model, untuned=untuned)
    # only trials are pruned, so a finalist needs no evaluation but its last
    evaluations = 1 if order.kind is Kind.FINALIST else training.evaluations
    plan = TrainingPlan(
        steps=course.steps,
        head_steps=course.head_steps,
        batch_size=task.batch.batch_size,
        effective_batch=task.batch.effective_batch,
        evaluate_after=evaluation_steps(course.steps, evaluations) if checkpoints else (),
        # above 1,024 tokens training is less stable
        max_grad_norm=training.max_grad_norm or (0.5 if task.seq_len > 1024 else 1.0),
        autocast=task.dtype,
        checkpoint_seconds=training.checkpoint_seconds,
        fingerprint=fingerprint(order, course.steps),
        attempt=order.attempt,
    )
    return Trainer(
        model, course.source, task.hyper, plan,
        loss=task.loss, device=task.device, checkpoints=checkpoints, observers=observers, stop=task.stop,
        team=team,
    )  # fmt: skip


def fingerprint(order: Order, steps: int) -> str:
    """Return a hash of everything that decides how training goes; a checkpoint of another one is not used."""
    spec = order.spec
    facts = {
        "model": [spec.model, spec.model_revision],
        "prepared": order.prepared,
        "params": order.params,
        "seed": order.seed,
        "seq_len": order.seq_len,
        "steps": steps,
        "effective_batch": order.batch.effective_batch if order.batch else None,
        "training": [spec.training.precision, spec.training.evaluations, spec.training.max_grad_norm],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
