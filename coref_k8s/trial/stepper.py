"""One optimiser step: gradients over its batches, clipping, update; and again with half the batch when the
GPU's memory runs out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from coref_k8s.errors import OutOfMemoryError
from coref_k8s.trial.batches import StepData
from coref_k8s.trial.device import autocast
from coref_k8s.trial.feed import Batches, Feed
from coref_k8s.trial.team import Team

#: (model, a batch of the step's data) -> mean loss over what the batch asks
LossFunction = Callable[[nn.Module, Any], Tensor]

#: A loss that is scaled by less than this is not helped by scaling: float16 does not hold its gradients.
LEAST_SCALE = 1.0


class Stepper:
    """Takes optimiser steps, without ever waiting for the device."""

    def __init__(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        loss: LossFunction,
        dtype: torch.dtype | None,
        max_grad_norm: float,
        team: Team | None = None,
    ) -> None:
        self._model = model
        self._optimiser = optimiser
        self._loss = loss
        self._dtype = dtype
        self._max_grad_norm = max_grad_norm
        self._team = team
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._device = self._parameters[0].device
        # float16 loses small gradients: the loss is made larger by what they bear (Micikevicius et al. 2018)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=dtype is torch.float16)

    def step(self, feed: Feed, data: StepData, batches: Batches, batch_size: int) -> tuple[Tensor, int]:
        """Take one step; return its mean loss (on the device) and the batch size that fitted.

        When memory runs out the batch is halved, caches are freed and the step is redone with the same
        data, masks and random numbers. The parameters are untouched until the gradients are whole.
        Raises OutOfMemoryError when a single sequence does not fit.
        """
        loss, batch_size = self._gradients(feed, data, batches, batch_size)
        self._scaler.unscale_(self._optimiser)
        torch.nn.utils.clip_grad_norm_(self._parameters, self._max_grad_norm)
        self._update()
        return loss, batch_size

    def _gradients(self, feed: Feed, data: StepData, batches: Batches, batch_size: int) -> tuple[Tensor, int]:
        random = self._random_state()
        while True:
            loss, message = None, ""
            try:
                loss = self._accumulate(batches)
            except torch.OutOfMemoryError as error:
                # only the text is kept: the traceback would keep the step's tensors alive
                message = str(error).splitlines()[0]
            if self._team is not None and not self._team.agree(loss is not None):
                loss = None  # what did not fit elsewhere is cut here, too
            if loss is not None:
                if self._team is not None:
                    self._team.sum(self._parameters, loss)
                return loss, batch_size
            self._optimiser.zero_grad(set_to_none=True)
            self._free()
            self._restore(random)
            if batch_size == 1:
                raise OutOfMemoryError("trial.step-out-of-memory", why=message)
            batch_size //= 2
            batches = feed.cut(data, batch_size)

    def _accumulate(self, batches: Batches) -> Tensor:
        total = torch.zeros((), device=self._device)
        for batch, weight in batches:
            with autocast(self._dtype, self._device):
                loss = self._loss(self._model, batch)
            self._scaler.scale(loss * weight).backward()
            total += loss.detach() * weight
        return total

    def _update(self) -> None:
        try:
            self._scaler.step(self._optimiser)
            fitted = True
        except torch.OutOfMemoryError:
            # AdamW makes its state in the first step, before it changes anything; what the activations
            # left in the cache may be in its way
            fitted = False
        if not fitted:
            self._free()
            try:
                self._scaler.step(self._optimiser)
            except torch.OutOfMemoryError as error:
                raise OutOfMemoryError("trial.optimiser-out-of-memory", why=str(error)) from None
        self._scaler.update()
        self._optimiser.zero_grad(set_to_none=True)

    @property
    def scaled(self) -> bool:
        """Whether the loss is scaled, as in float16."""
        return self._scaler.is_enabled()

    @property
    def overflows(self) -> bool:
        """Whether gradients have overflowed again and again, however little the loss was scaled. Waits for the device."""
        return self.scaled and self._scaler.get_scale() < LEAST_SCALE

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps; empty where nothing is scaled."""
        return self._scaler.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        if self.scaled and state:
            self._scaler.load_state_dict(state)

    def _free(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _random_state(self) -> tuple[Tensor, Tensor | None]:
        on_gpu = torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None
        return torch.get_rng_state(), on_gpu

    def _restore(self, state: tuple[Tensor, Tensor | None]) -> None:
        torch.set_rng_state(state[0])
        if state[1] is not None:
            torch.cuda.set_rng_state(state[1], self._device)
