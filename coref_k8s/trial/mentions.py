"""The task `mentions`: a masked language model learns to fill in mentions that come back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from coref_k8s.corpus.prepared import rows_path
from coref_k8s.evaluation.items import ItemSet
from coref_k8s.evaluation.result import EvaluationResult
from coref_k8s.evaluation.sharing import Together
from coref_k8s.model.load import load_masked_lm
from coref_k8s.model.loss import masked_lm_loss
from coref_k8s.model.saving import save_at_length
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order
from coref_k8s.trial.batches import MaskedSource, StepPlan
from coref_k8s.trial.evaluating import Evaluator, shortest_training
from coref_k8s.trial.masking import Masker, Vocabulary
from coref_k8s.trial.models import load_tokenizer
from coref_k8s.trial.sequences import Sequences
from coref_k8s.trial.signals import StopSignal
from coref_k8s.trial.soup import ProbabilityMean
from coref_k8s.trial.task import Course, Task
from coref_k8s.wording import Message


class Mentions(Task):
    """Masked mentions and words, scored by cloze items."""

    average = "probability average"

    def __init__(
        self, order: Order, data_dir: Path, stop: StopSignal, warn: Callable[[Message], None]
    ) -> None:
        super().__init__(order, data_dir, stop, warn)
        self.tokenizer = load_tokenizer(self.start, order.spec.model_revision)
        self.check_tokenizer()
        self._items: dict[str, ItemSet] = {}

    def untrained(self, *, untuned: bool = False) -> nn.Module:
        """See `Task`."""
        return load_masked_lm(
            self.start,
            seq_len=self.seq_len,
            position_range=self.position_range(untuned),
            attention=self.attention,
            checkpointing=self.batch.checkpointing,
            revision=self.order.spec.model_revision,
            device=self.device,
        )

    def saved(self, folder: Path) -> nn.Module:
        """See `Task`."""
        return load_masked_lm(
            str(folder),
            seq_len=self.seq_len,
            attention=self.attention,
            device=self.device,
        )

    def course(self, model: nn.Module, *, untuned: bool = False) -> Course:
        """See `Task`: a model is scored as it came without being taught anything."""
        vocabulary = Vocabulary(
            size=len(self.tokenizer),
            mask=self.tokenizer.mask_token_id,
            pad=self.tokenizer.pad_token_id,
            special=tuple(self.tokenizer.all_special_ids),
        )
        seed = self.order.seed
        plan = StepPlan(self._sequences.lengths, self.batch.effective_batch, seed)
        steps = self.order.spec.training.max_steps or plan.steps(self.hyper.epochs)
        masker = Masker(vocabulary, self.hyper, self.seq_len)
        return Course(MaskedSource(self._sequences, plan, masker, seed), 0 if untuned else steps)

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """See `Task`: the mean cross-entropy of the masked tokens (nats)."""
        moved = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
        return masked_lm_loss(model, moved)

    def evaluate(
        self,
        model: nn.Module,
        split: str,
        *,
        full: bool,
        thresholds: dict[str, float] | None = None,
        together: Together | None = None,
    ) -> EvaluationResult:
        """See `Task`."""
        return self._evaluator(model, self._asked(split), full=full, thresholds=thresholds, together=together)

    def questions(self, split: str) -> str:
        """See `Task`."""
        return self._asked(split).sha256

    def joined(self, models: Sequence[nn.Module]) -> nn.Module:
        """See `Task`."""
        return ProbabilityMean(models)

    def save(self, model: Any, folder: Path, dev: EvaluationResult | None) -> None:
        """See `Task`."""
        save_at_length(model, self.tokenizer, folder, self.seq_len)

    @cached_property
    def _sequences(self) -> Sequences:
        return Sequences(rows_path(self.prepared.path, self.seq_len))

    @cached_property
    def _evaluator(self) -> Evaluator:
        order, trained = self.order, None
        # what is reported in the end is scored on everything
        if order.kind is Kind.TRIAL and order.spec.purpose.kind == "search":
            rows = self._sequences
            trained = shortest_training(order.spec, self.batch, int(rows.lengths.sum()), len(rows))
        return Evaluator.of(order, self.tokenizer, self.device, self.stop, trained_tokens=trained)

    def _asked(self, split: str) -> ItemSet:
        if split not in self._items:
            self._items[split] = ItemSet.load(self.prepared.eval_items(split))
        return self._items[split]
