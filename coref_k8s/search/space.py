"""The search space of each sequence length, and how a request overrides it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coref_k8s.study.spec import Range, StudySpec

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def _log(low: float, high: float) -> Range:
    return Range(low=low, high=high, log=True)


def _linear(low: float, high: float) -> Range:
    return Range(low=low, high=high)


def _choices(*values: str | float) -> Range:
    return Range(choices=values)


#: Same for every length.
_COMMON = {
    "layer_decay": _linear(0.8, 1.0),
    "mention_share": _linear(0.2, 0.8),
    # exponent of the token distance when a mention to mask is drawn: 0 is indifferent
    "distance_preference": _linear(0.0, 1.5),
}

#: From each length on, up to the next: the founding document's ranges, then masking's low and high end.
_BY_LENGTH: dict[int, dict[str, Range]] = {
    0: {
        "learning_rate": _log(1e-5, 5e-4),
        "warmup_ratio": _linear(0.0, 0.2),
        "weight_decay": _linear(0.0, 0.1),
        "accumulation": _choices(1, 2),
        "mask_low": _linear(0.08, 0.15),
        "mask_high": _linear(0.15, 0.3),
    },
    1024: {
        "learning_rate": _log(5e-6, 2e-4),
        "warmup_ratio": _linear(0.05, 0.25),
        "weight_decay": _linear(0.01, 0.08),
        "accumulation": _choices(1, 2, 4),
        "mask_low": _linear(0.08, 0.15),
        "mask_high": _linear(0.15, 0.35),
    },
    1536: {
        "learning_rate": _log(1e-6, 1e-4),
        "warmup_ratio": _linear(0.1, 0.3),
        "weight_decay": _linear(0.02, 0.06),
        "accumulation": _choices(2, 4, 8),
        "mask_low": _linear(0.08, 0.18),
        "mask_high": _linear(0.18, 0.4),
    },
}


def space_for(spec: StudySpec, seq_len: int) -> dict[str, Range]:
    """Return the ranges of one length, in the order they are shown; the request's own ranges win.

    `position_range` is tuned only above 512 tokens, the range the model was trained with; `epochs` only
    without a budget in steps; `dataset` only when prepared data to choose among are named. A study that
    searches nothing has the values that its request names, and no more.
    """
    if spec.purpose.kind != "search":
        return {**spec.search.space, **spec.search.space_by_length.get(seq_len, {})}
    row = _BY_LENGTH[max(start for start in _BY_LENGTH if start <= seq_len)]
    space = {**row, **_COMMON}
    if seq_len > 512:
        space["position_range"] = _choices("clamp", "rescale", "grow")
    if spec.training.max_steps is None:
        space["epochs"] = _choices(*spec.training.epoch_choices)
    if spec.data.choices:
        space["dataset"] = _choices(*spec.data.choices)
    space.update(spec.search.space)
    space.update(spec.search.space_by_length.get(seq_len, {}))
    return space


def default_params(spec: StudySpec, seq_len: int) -> dict[str, Any]:
    """Return what one would take without searching: the middle of each range of a length.

    The middle of a log range is its geometric mean, of numbers to choose among the middle one; among names the first.
    """
    return {name: _middle(one) for name, one in space_for(spec, seq_len).items()}


def _middle(one: Range) -> Any:
    if one.choices is not None:
        numbers = sorted(c for c in one.choices if not isinstance(c, str))
        return numbers[(len(numbers) - 1) // 2] if len(numbers) == len(one.choices) else one.choices[0]
    assert one.low is not None
    assert one.high is not None
    return math.sqrt(one.low * one.high) if one.log else (one.low + one.high) / 2


def distributions(space: dict[str, Range]) -> dict[str, BaseDistribution]:
    """Return the space as Optuna distributions, by parameter name."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    found: dict[str, BaseDistribution] = {}
    for name, one in space.items():
        if one.choices is not None:
            found[name] = CategoricalDistribution(one.choices)
        else:
            assert one.low is not None
            assert one.high is not None
            found[name] = FloatDistribution(one.low, one.high, log=one.log)
    return found


@dataclass(frozen=True)
class Interval:
    """A range of numbers as places between 0 and 1, evenly spread in the logarithm where it is a log range."""

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies; outside of 0 to 1 when it is outside of the range, the middle of a single point."""
        if self.low == self.high:
            return 0.5
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def value(self, place: float) -> float:
        """Return the value at a place, within the range."""
        found = (
            self.low * (self.high / self.low) ** place
            if self.log
            else self.low + place * (self.high - self.low)
        )
        return min(max(found, self.low), self.high)


def describe(one: Range) -> str:
    """Return a range as a person reads it: `1e-05–0.0005 log` or `1 | 2 | 4`."""
    if one.choices is not None:
        return " | ".join(f"{c:g}" if isinstance(c, float) else str(c) for c in one.choices)
    return f"{one.low:g}–{one.high:g}{' log' if one.log else ''}"
