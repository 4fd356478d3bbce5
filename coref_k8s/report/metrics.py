"""Metrics as people read them: in which order, under which name, and what they are to be held against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coref_k8s.wording import Lang, has, say
from coref_k8s.wording.formats import difference, interval

#: Metrics in the order of tables; the score that they make up stands before them.
METRICS = ("coref_f1", "coref_top1", "coref_top5", "lbd_top1")
SCORED = ("score", *METRICS)
#: The lists that stand for no model (docs/metrics-evaluation.md).
LISTS = ("frequent", "nearest", "constant")


def metric(name: str, lang: Lang = "en") -> str:
    """Return a metric's name for people; one of the user's own as it is."""
    code = f"words.metric-{name}"
    return say(code, lang) if has(code) else name


def gain(metrics: Mapping[str, Any], name: str) -> str:
    """Return how much of a metric the context brought: `+0.310`; `–` when that was not measured."""
    return difference(metrics.get(f"{name}_gain"))


def interval_of(metrics: Mapping[str, Any], name: str) -> str:
    """Return the 95 % interval of a metric; `–` when it has none."""
    return interval(metrics.get(f"{name}_ci_low"), metrics.get(f"{name}_ci_high"))


def guess_without(metrics: Mapping[str, Any], name: str) -> float | None:
    """Return what the best of three lists reaches without a model; None for a metric that they cannot answer."""
    end = name.removeprefix("coref_")
    values = [metrics.get(f"baseline_{guess}_{end}") for guess in LISTS]
    return max((value for value in values if value is not None), default=None)
