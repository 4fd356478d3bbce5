"""Everything one training needs, opened and wired: data, model, trainer, evaluator, and its results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from coref_k8s.corpus.prepared import Prepared, open_prepared, rows_path
from coref_k8s.errors import DataError, TrialError
from coref_k8s.evaluation.composite import by_item
from coref_k8s.evaluation.items import ItemSet
from coref_k8s.evaluation.result import EvaluationResult
from coref_k8s.model.load import load_masked_lm
from coref_k8s.model.loss import masked_lm_loss
from coref_k8s.sizing.batch import predict
from coref_k8s.sizing.shape import shape_of
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order
from coref_k8s.study.paths import TrialFolder
from coref_k8s.trial.batches import StepPlan, StepSource
from coref_k8s.trial.checkpoint import CheckpointStore, seed_everything
from coref_k8s.trial.device import autocast_dtype, host_peak_bytes, pick_device, use_threads
from coref_k8s.trial.evaluating import Evaluator, shortest_training
from coref_k8s.trial.files import write_folder, write_json
from coref_k8s.trial.hyperparameters import Hyperparameters
from coref_k8s.trial.masking import Masker, Vocabulary
from coref_k8s.trial.models import compile_layers, load_tokenizer, model_path
from coref_k8s.trial.observers import EvaluationReport, Observers
from coref_k8s.trial.provenance import evidence, model_commit, versions
from coref_k8s.trial.sequences import Sequences
from coref_k8s.trial.signals import StopSignal
from coref_k8s.trial.training import Ending, Evaluate, Trainer, TrainingPlan, evaluation_steps
from coref_k8s.wording import Message


@dataclass
class Session:
    """One training in this process."""

    order: Order
    folder: TrialFolder
    trainer: Trainer
    tokenizer: Any
    prepared: Prepared
    evaluator: Evaluator
    observers: Observers
    device: torch.device
    data_dir: Path
    """Root of the data folder."""
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
    ) -> Session:
        """Open data and model and take up the newest checkpoint.

        Raises TrialError, DataError or ModelError when something is missing or does not fit together.
        """
        assert order.seq_len is not None
        assert order.batch is not None
        hyper = Hyperparameters.of(order.params)
        training = order.spec.training
        device = pick_device(order.resources.gpus)
        if device.type == "cpu":
            use_threads(order.resources.cpu_millis)

        prepared = open_prepared(data_dir / (hyper.dataset or order.prepared), order.seq_len)
        sequences = Sequences(rows_path(prepared.path, prepared.seq_len))
        source_model = model_path(order.spec.model, data_dir)
        tokenizer = load_tokenizer(source_model, order.spec.model_revision)
        try:
            prepared.check_tokenizer(tokenizer)
        except DataError as error:  # ids of another vocabulary: every attempt would train on nonsense
            raise TrialError(error.message) from error
        seed_everything(order.seed)
        model = load_masked_lm(
            source_model,
            seq_len=order.seq_len,
            position_range=hyper.position_range,
            attention=training.attention,
            checkpointing=order.batch.checkpointing,
            revision=order.spec.model_revision,
            device=device,
        )
        if training.compile:
            compile_layers(model, device.type, warn)

        plan_of_steps = StepPlan(sequences.lengths, order.batch.effective_batch, order.seed)
        steps = training.max_steps or plan_of_steps.steps(hyper.epochs)
        # only trials are pruned, so a finalist needs no evaluation but its last
        evaluations = 1 if order.kind is Kind.FINALIST else training.evaluations
        vocabulary = Vocabulary(
            size=len(tokenizer),
            mask=tokenizer.mask_token_id,
            pad=tokenizer.pad_token_id,
            special=tuple(tokenizer.all_special_ids),
        )
        trainer = Trainer(
            model,
            StepSource(sequences, plan_of_steps, Masker(vocabulary, hyper, order.seq_len), order.seed),
            hyper,
            TrainingPlan(
                steps=steps,
                batch_size=order.batch.batch_size,
                effective_batch=order.batch.effective_batch,
                evaluate_after=evaluation_steps(steps, evaluations),
                # above 1,024 tokens training is less stable
                max_grad_norm=training.max_grad_norm or (0.5 if order.seq_len > 1024 else 1.0),
                autocast=autocast_dtype(training.precision, device),
                checkpoint_seconds=training.checkpoint_seconds,
                fingerprint=fingerprint(order, steps),
                attempt=order.attempt,
            ),
            loss=masked_lm_loss,
            pad=vocabulary.pad,
            device=device,
            checkpoints=CheckpointStore(folder.checkpoints, warn=warn),
            observers=observers,
            stop=stop,
        )
        trainer.resume()
        evaluator = Evaluator.of(
            order,
            tokenizer,
            device,
            stop,
            trained_tokens=(
                # what is reported in the end is scored on everything
                shortest_training(order.spec, order.batch, int(sequences.lengths.sum()), len(sequences))
                if order.kind is Kind.TRIAL and order.spec.purpose.kind == "search"
                else None
            ),
        )
        return cls(order, folder, trainer, tokenizer, prepared, evaluator, observers, device, data_dir)

    def train(self, go_on: Callable[[EvaluationReport], bool]) -> Ending:
        """Train to the end, or to where `go_on`, a signal or a lost loss ends it."""
        return self.trainer.run(self._on_dev(), go_on)

    def score_untrained(self, go_on: Callable[[EvaluationReport], bool]) -> None:
        """Score the model on dev as it came. Raises Interrupted."""
        self.observers.on_begin(0, 0)
        go_on(self.trainer.evaluate(self._on_dev()))

    def _on_dev(self) -> Evaluate:
        items = ItemSet.load(self.prepared.eval_items("dev"))

        def evaluate(model: nn.Module, number: int, last: bool) -> tuple[float, dict[str, Any]]:
            result = self.evaluator(model, items, full=last)
            if last:
                write_json(self.folder.items("dev"), result.to_dict())
            elif self.order.spec.search.pruner == "wilcoxon":
                self.by_item = by_item(self.order.spec.objective.weights, result.item_scores)
            return result.score, dict(result.metrics)

        return evaluate

    def finish(self, *, keep_model: bool = True) -> dict[str, Any]:
        """Save the model, score the test documents if this is no mere trial, and write the result.

        Raises Interrupted; nothing is lost then.
        """
        model = self.trainer.model.eval()
        tests: dict[str, Any] = {}
        if self.order.kind is not Kind.TRIAL:
            result = self.test()
            tests = {"test": {"score": result.score, "metrics": result.metrics}}

        def fill(folder: Path) -> None:
            model.save_pretrained(folder)  # type: ignore[operator]
            self.tokenizer.save_pretrained(folder)

        if keep_model:
            write_folder(self.folder.model, fill)
        return self.result("complete", **tests)

    def test(self) -> EvaluationResult:
        """Score the trained model on the test documents, with dev's threshold: test is not tuned on."""
        dev = EvaluationResult.read(self.folder.items("dev"))
        items = ItemSet.load(self.prepared.eval_items("test"))
        result = self.evaluator(self.trainer.model.eval(), items, full=True, thresholds=dev.thresholds)
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
            )
        )
        return result

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
        if self.device.type == "cuda":
            measured["gpu_peak_bytes"] = torch.cuda.max_memory_reserved(self.device)
            measured["gpu_name"] = torch.cuda.get_device_name(self.device)
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
