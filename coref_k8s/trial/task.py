"""What of a trial depends on its task: the data, the model, the loss, the scores and the folder that is kept.

The loop, checkpoints, pruning, finalists, final trainings and ensembles know a task by this class alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from coref_k8s.corpus.prepared import open_prepared
from coref_k8s.errors import DataError, TrialError
from coref_k8s.evaluation.result import EvaluationResult
from coref_k8s.evaluation.sharing import Together
from coref_k8s.study.order import Order
from coref_k8s.study.parameters import PARAMETERS
from coref_k8s.trial.batches import StepSource
from coref_k8s.trial.device import allow_tf32, autocast_dtype, pick_device, sum_in_order, use_threads
from coref_k8s.trial.hyperparameters import Hyperparameters
from coref_k8s.trial.models import model_path
from coref_k8s.trial.signals import StopSignal
from coref_k8s.wording import Message


@dataclass(frozen=True)
class Course:
    """What a model is to be taught."""

    source: StepSource
    steps: int
    """Optimiser steps."""
    head_steps: int = 0
    """How many of them, the last ones, teach the head alone."""


class Task(ABC):
    """A task's side of one order."""

    tokenizer: Any
    average: ClassVar[str]
    """What the mean of several models' answers is called, as a way to join them."""

    def __init__(
        self, order: Order, data_dir: Path, stop: StopSignal, warn: Callable[[Message], None]
    ) -> None:
        """Open the prepared data; raise TrialError or DataError when the order and they do not fit together."""
        assert order.seq_len is not None
        assert order.batch is not None
        self.order = order
        self.data_dir = data_dir
        self.stop = stop
        self.warn = warn
        self.seq_len = order.seq_len
        self.batch = order.batch
        self.hyper = Hyperparameters.of(order.params, order.spec.task)
        self.device = pick_device(order.resources.gpus)
        if self.device.type == "cpu":
            use_threads(order.resources.cpu_millis)
            sum_in_order()
        self.dtype = autocast_dtype(order.spec.training.precision, self.device)
        allow_tf32(order.spec.training.precision)
        self.prepared = open_prepared(
            data_dir / (self.hyper.dataset or order.prepared), self.seq_len, order.spec.task
        )
        self.start = model_path(order.spec.model, data_dir)
        """The model that training starts from: a folder or a hub id."""

    @property
    def attention(self) -> str:
        """The attention path: the request's, unless calibrating has shown that another one must be taken."""
        return self.batch.attention or self.order.spec.training.attention

    def check_tokenizer(self) -> None:
        """Raise TrialError when the data were prepared for another tokeniser: every attempt would train on nonsense."""
        try:
            self.prepared.check_tokenizer(self.tokenizer)
        except DataError as error:
            raise TrialError(error.message) from error

    def position_range(self, untuned: bool) -> str:
        """Return how the model's distances fall into its buckets: as asked for, or as it was shipped."""
        return str(PARAMETERS["position_range"].default) if untuned else self.hyper.position_range

    @abstractmethod
    def untrained(self, *, untuned: bool = False) -> nn.Module:
        """Return the model that training starts from, on the CPU; what it lacks is drawn from torch's generator.

        `untuned`: as it was shipped, whatever the parameters say.
        """

    @abstractmethod
    def saved(self, folder: Path) -> nn.Module:
        """Return a model that `save` wrote, on the CPU."""

    @abstractmethod
    def course(self, model: nn.Module, *, untuned: bool = False) -> Course:
        """Return what to teach a model; `untuned`: what it takes to score the model as it came, perhaps nothing."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Any) -> torch.Tensor:
        """Return the loss of one batch of the course."""

    @abstractmethod
    def evaluate(
        self,
        model: nn.Module,
        split: str,
        *,
        full: bool,
        thresholds: dict[str, float] | None = None,
        together: Together | None = None,
    ) -> EvaluationResult:
        """Score a model in evaluation mode on the dev or test documents; quickly, or with all there is.

        `thresholds` are those found on dev, for test. Processes that are `together` must all be asked. Raises Interrupted
        between two forward passes, and OutOfMemoryError when a single sequence does not fit.
        """

    @abstractmethod
    def questions(self, split: str) -> str:
        """Return the sha256 of what `evaluate` asks."""

    @abstractmethod
    def joined(self, models: Sequence[nn.Module]) -> nn.Module:
        """Return several models as one, which answers with the mean of what they think likely."""

    @abstractmethod
    def save(self, model: Any, folder: Path, dev: EvaluationResult | None) -> None:
        """Write a model with its tokeniser as Hugging Face loads it; `dev` holds the thresholds that it is used with."""


def open_task(order: Order, data_dir: Path, stop: StopSignal, warn: Callable[[Message], None]) -> Task:
    """Return the task of an order, with its data open. Raises TrialError, DataError or ModelError."""
    if order.spec.task == "coreference":
        from coref_k8s.trial.coreference import Coreference

        return Coreference(order, data_dir, stop, warn)
    from coref_k8s.trial.mentions import Mentions

    return Mentions(order, data_dir, stop, warn)
