"""The sampled parameters of an order, checked and typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from coref_k8s.errors import TrialError
from coref_k8s.study.parameters import PARAMETERS, parameters_of, unknown_parameter
from coref_k8s.study.tasks import TASKS
from coref_k8s.trial.optimiser import Rates
from coref_k8s.wording import Message


def _default(name: str) -> Any:
    return PARAMETERS[name].default


@dataclass(frozen=True)
class Hyperparameters:
    """One point of a search space; `study.parameters` says what each is, and for which task.

    Accumulation is not among them: the order's batch plan has it.
    """

    learning_rate: float = _default("learning_rate")
    head_learning_rate: float | None = None
    """None for a task whose head has no rate of its own."""
    warmup_ratio: float = _default("warmup_ratio")
    weight_decay: float = _default("weight_decay")
    layer_decay: float = _default("layer_decay")
    mask_low: float = _default("mask_low")
    mask_high: float = _default("mask_high")
    mention_share: float = _default("mention_share")
    distance_preference: float = _default("distance_preference")
    head_dropout: float = _default("head_dropout")
    head_epochs: float = _default("head_epochs")
    position_range: str = _default("position_range")
    epochs: float = _default("epochs")
    dataset: str | None = _default("dataset")

    @classmethod
    def of(cls, params: Mapping[str, Any], task: str = TASKS[0]) -> Hyperparameters:
        """Return the parameters of an order; raise TrialError for one that no training can use."""
        for name, value in params.items():
            wrong = unknown_parameter(name, task) or PARAMETERS[name].problem(value, name)
            if wrong is not None:
                raise TrialError(Message(wrong.code, {"where": "", **wrong.values}))
        defaults = {name: one.default for name, one in parameters_of(task).items()}
        values = {**defaults, **params}
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})

    @property
    def rates(self) -> Rates:
        """How fast what learns."""
        return Rates(self.learning_rate, self.layer_decay, self.weight_decay, self.head_learning_rate)
