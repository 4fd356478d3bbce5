"""The sampled parameters of an order, checked and typed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from coref_k8s.errors import TrialError
from coref_k8s.study.spec import PARAMETERS

#: Folded into the order's batch plan (batch x accumulation) before the trial sees it.
_ELSEWHERE = frozenset({"accumulation"})


@dataclass(frozen=True)
class Hyperparameters:
    """One point of the search space; the defaults stand for what a space does not name."""

    learning_rate: float = 5e-5
    """Peak learning rate of the head; lower layers get less (`layer_decay`)."""
    warmup_ratio: float = 0.1
    """Share of the steps in which the rate rises."""
    weight_decay: float = 0.01
    """AdamW's decoupled decay, not on biases and norms."""
    layer_decay: float = 1.0
    """Learning rate of a layer relative to the one above it."""
    mask_low: float = 0.15
    """Share of tokens masked in the shortest sequences."""
    mask_high: float = 0.15
    """Share of tokens masked in a sequence of full length."""
    mention_share: float = 0.5
    """Share of the masked tokens that repeated mentions get."""
    distance_preference: float = 0.5
    """Exponent of a mention's distance when mentions are drawn; 0 is indifferent."""
    position_range: str = "clamp"
    """How distances beyond the model's own range fall into its buckets."""
    epochs: float = 1.0
    """Passes over the training data, without a budget in steps."""
    dataset: str | None = None
    """Prepared data to train on, when the study chooses among several."""

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Hyperparameters:
        """Return the parameters of an order; raise TrialError for one that no training can use."""
        names = {field.name for field in fields(cls)}
        for name in params:
            if name not in PARAMETERS:
                raise TrialError(
                    f"params: {name!r} is not a tuned parameter; known are {', '.join(PARAMETERS)}"
                )
        try:
            values: dict[str, Any] = {
                name: value if name in ("position_range", "dataset") else float(value)
                for name, value in params.items()
                if name in names and name not in _ELSEWHERE
            }
        except (TypeError, ValueError) as error:
            raise TrialError(f"params: {error}; every parameter but a choice is a number") from error
        found = cls(**values)
        found._check()
        return found

    def _check(self) -> None:
        bounds = {
            "learning_rate": (0.0, math.inf),
            "warmup_ratio": (0.0, 1.0),
            "weight_decay": (0.0, math.inf),
            "layer_decay": (0.0, 1.0),
            "mask_low": (0.0, 1.0),
            "mask_high": (0.0, 1.0),
            "mention_share": (0.0, 1.0),
            "distance_preference": (0.0, math.inf),
            "epochs": (0.0, math.inf),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise TrialError(f"params: {name} is {value:g}; it must lie between {low:g} and {high:g}")
        for name in ("learning_rate", "layer_decay", "epochs", "mask_high"):
            if getattr(self, name) == 0:
                raise TrialError(f"params: {name} is 0, so nothing would be learned; give more")
