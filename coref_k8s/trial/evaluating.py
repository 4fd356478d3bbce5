"""Scores a model on prepared items, and gives up memory or time when it must."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from coref_k8s.errors import OutOfMemoryError
from coref_k8s.evaluation.budget import fitting
from coref_k8s.evaluation.evaluate import evaluate
from coref_k8s.evaluation.extent import WHOLE, Extent
from coref_k8s.evaluation.items import ItemSet
from coref_k8s.evaluation.result import EvaluationResult
from coref_k8s.evaluation.sharing import Together
from coref_k8s.model.loss import masked_logits
from coref_k8s.search.space import space_for
from coref_k8s.study.order import BatchPlan, Order
from coref_k8s.study.parameters import PARAMETERS
from coref_k8s.study.spec import StudySpec
from coref_k8s.trial.device import autocast, autocast_dtype
from coref_k8s.trial.signals import StopSignal

#: Quick evaluations score this share of the full one's items, but no fewer than `_FEWEST`: they steer the
#: pruner, and must cost little beside training.
_QUICK_SHARE = 0.25
_FEWEST = 16
#: Tokens in a forward pass of an evaluation on a CPU: more would only leave the caches.
_CPU_TOKENS = 4096


class Evaluator:
    """Evaluates models of one tokeniser and length on the device they are on."""

    def __init__(
        self,
        tokenizer: Any,
        *,
        weights: Mapping[str, float],
        batch_tokens: int,
        device: torch.device,
        dtype: torch.dtype | None,
        stop: StopSignal,
        trained_tokens: float | None = None,
    ) -> None:
        """`trained_tokens` is the training that full evaluations of dev must stay small beside; None asks all items."""
        self._tokenizer = tokenizer
        self._weights = weights
        self._trained_tokens = trained_tokens
        self._extents: dict[str, Extent] = {}
        self._batch_tokens = batch_tokens
        self._device = device
        self._dtype = dtype
        self._stop = stop

    @classmethod
    def of(
        cls,
        order: Order,
        tokenizer: Any,
        device: torch.device,
        stop: StopSignal,
        *,
        trained_tokens: float | None = None,
    ) -> Evaluator:
        """Return the evaluator of an order: its objective and precision, in passes that its device holds."""
        assert order.seq_len is not None
        assert order.batch is not None
        fits = order.batch.batch_size * order.seq_len
        return cls(
            tokenizer,
            weights=order.spec.objective.weights,
            batch_tokens=fits if device.type == "cuda" else max(order.seq_len, _CPU_TOKENS),
            device=device,
            dtype=autocast_dtype(order.spec.training.precision, device),
            stop=stop,
            trained_tokens=trained_tokens,
        )

    def __call__(
        self,
        model: nn.Module,
        items: ItemSet,
        *,
        full: bool,
        thresholds: Mapping[str, float] | None = None,
        together: Together | None = None,
    ) -> EvaluationResult:
        """Return the scores of a model in evaluation mode; `thresholds` are dev's, for test. See `evaluate`.

        Raises Interrupted between two forward passes when the process was told to stop, and
        OutOfMemoryError when a single sequence does not fit.
        """

        def logits(ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
            self._stop.check()
            device = self._device
            with autocast(self._dtype, device):
                # several models as one compute their logits themselves
                ask = getattr(model, "masked_logits", None) or partial(masked_logits, model)
                found: Tensor = ask(ids.to(device), mask.to(device), positions.to(device))
                return found

        extent = self.extent(items)
        asked = len(items.coref[: extent.items])
        while True:
            try:
                return evaluate(
                    logits,
                    self._tokenizer,
                    items,
                    weights=self._weights,
                    full=full,
                    batch_tokens=self._batch_tokens,
                    thresholds=thresholds,
                    model=model,
                    quick_items=max(_FEWEST, round(_QUICK_SHARE * asked)),
                    extent=extent,
                    together=together,
                )
            except torch.OutOfMemoryError as error:
                message = str(error).splitlines()[0]
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            if self._batch_tokens <= items.seq_len:
                raise OutOfMemoryError("trial.evaluation-out-of-memory", why=message)
            self._batch_tokens = max(items.seq_len, self._batch_tokens // 2)

    def extent(self, items: ItemSet) -> Extent:
        """Return how many items of each kind a full evaluation asks."""
        if self._trained_tokens is None:
            return WHOLE
        if items.sha256 not in self._extents:
            self._extents[items.sha256] = fitting(items, self._tokenizer, self._trained_tokens)
        return self._extents[items.sha256]


def shortest_training(spec: StudySpec, batch: BatchPlan, tokens: int, rows: int) -> float:
    """Return the tokens of the shortest training that the request allows at a length.

    Not those of one trial: all trials of a length are to be asked the same items. `tokens` and `rows` are those of
    one pass over the data.
    """
    space = space_for(spec, batch.seq_len)
    if spec.training.max_steps is not None:
        least = space["accumulation"].numbers[0] if "accumulation" in space else batch.accumulation
        return spec.training.max_steps * batch.batch_size * least * tokens / rows
    epochs = space["epochs"].numbers[0] if "epochs" in space else PARAMETERS["epochs"].default
    return float(epochs * tokens)
