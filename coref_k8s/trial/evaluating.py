"""Scores a model on prepared items, and gives up memory or time when it must."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from coref_k8s.errors import OutOfMemoryError
from coref_k8s.evaluation.evaluate import evaluate
from coref_k8s.evaluation.items import ItemSet
from coref_k8s.evaluation.result import EvaluationResult
from coref_k8s.model.loss import masked_logits
from coref_k8s.trial.device import autocast
from coref_k8s.trial.signals import StopSignal

#: Quick evaluations score this share of the items asked for, but no fewer than `_FEWEST`: they steer the
#: pruner, and must cost little beside training.
_QUICK_SHARE = 0.25
_FEWEST = 16


class Evaluator:
    """Evaluates models of one tokeniser and length on the device they are on."""

    def __init__(
        self,
        tokenizer: Any,
        *,
        weights: Mapping[str, float],
        eval_items: int,
        batch_tokens: int,
        device: torch.device,
        dtype: torch.dtype | None,
        stop: StopSignal,
    ) -> None:
        self._tokenizer = tokenizer
        self._weights = weights
        self._quick_items = max(_FEWEST, round(_QUICK_SHARE * eval_items))
        self._batch_tokens = batch_tokens
        self._device = device
        self._dtype = dtype
        self._stop = stop

    def __call__(
        self, model: nn.Module, items: ItemSet, *, full: bool, tau: float | None = None
    ) -> EvaluationResult:
        """Return the scores of a model in evaluation mode; `tau` is dev's threshold, for test.

        Raises Interrupted between two forward passes when the process was told to stop, and
        OutOfMemoryError when a single sequence does not fit.
        """

        def logits(ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
            self._stop.check()
            device = self._device
            with autocast(self._dtype, device):
                return masked_logits(model, ids.to(device), mask.to(device), positions.to(device))

        while True:
            try:
                return evaluate(
                    logits,
                    self._tokenizer,
                    items,
                    weights=self._weights,
                    full=full,
                    batch_tokens=self._batch_tokens,
                    tau=tau,
                    model=model,
                    quick_items=self._quick_items,
                )
            except torch.OutOfMemoryError as error:
                message = str(error).splitlines()[0]
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            if self._batch_tokens <= items.seq_len:
                raise OutOfMemoryError(
                    f"evaluating a single sequence does not fit into the GPU's memory ({message}); use a larger GPU"
                )
            self._batch_tokens = max(items.seq_len, self._batch_tokens // 2)
