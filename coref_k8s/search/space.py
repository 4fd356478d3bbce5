"""The search space of each sequence length, as Optuna and people read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coref_k8s.sizing.suitable import tunes_positions
from coref_k8s.study.parameters import space_for as requested_space
from coref_k8s.study.ranges import Interval, Range
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording.formats import parameter

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

__all__ = ["Interval", "default_params", "describe", "distributions", "space_for"]


def space_for(spec: StudySpec, seq_len: int) -> dict[str, Range]:
    """Return the ranges of one length, without the default ones that the study's model has no use for."""
    space = requested_space(spec, seq_len)
    named = {**spec.search.space, **spec.search.space_by_length.get(seq_len, {})}
    if "position_range" in space and "position_range" not in named and not tunes_positions(spec.model):
        del space["position_range"]
    return space


def default_params(spec: StudySpec, seq_len: int) -> dict[str, Any]:
    """Return what one would take without searching: the middle of each range of a length."""
    return {name: one.middle for name, one in space_for(spec, seq_len).items()}


def distributions(space: dict[str, Range]) -> dict[str, BaseDistribution]:
    """Return the space as Optuna distributions, by parameter name."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    found: dict[str, BaseDistribution] = {}
    for name, one in space.items():
        if one.choices is not None:
            found[name] = CategoricalDistribution(one.choices)
        else:
            found[name] = FloatDistribution(one.interval.low, one.interval.high, log=one.log)
    return found


def describe(one: Range) -> str:
    """Return a range as a person reads it: `1e-5–5e-4 log` or `1 | 2 | 4`."""
    if one.choices is not None:
        return " | ".join(map(parameter, one.choices))
    return f"{parameter(one.low)}–{parameter(one.high)}{' log' if one.log else ''}"
