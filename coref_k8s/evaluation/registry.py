"""Custom metrics: one function `(model, tokenizer, items) -> float`, by decorator or entry point.

    @register_metric("pronoun_top5")
    def pronoun_top5(model, tokenizer, items): ...

An installed package names its function under the entry-point group `coref_k8s.metrics`. A registered metric
is reported with every full evaluation and may be named in the objective's weights.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Container, Iterable
from importlib.metadata import entry_points
from typing import Any

from coref_k8s.errors import RequestError
from coref_k8s.study.tasks import METRICS
from coref_k8s.wording import Message

GROUP = "coref_k8s.metrics"
#: (model, tokenizer, ItemSet or ChainSet) -> a value between 0 and 1, larger is better.
Metric = Callable[[Any, Any, Any], float]

_registered: dict[str, Metric] = {}


def register_metric(name: str) -> Callable[[Metric], Metric]:
    """Register a metric under a name; a later one of the same name replaces it."""

    def register(metric: Metric) -> Metric:
        _registered[name] = metric
        return metric

    return register


def custom_metrics() -> dict[str, Metric]:
    """Every registered metric by name. Raises RequestError when an entry point cannot be loaded."""
    found: dict[str, Metric] = {}
    for entry in entry_points(group=GROUP):
        try:
            found[entry.name] = entry.load()
        except Exception as error:
            raise RequestError(
                "evaluation.metric-not-loaded", name=entry.name, entry=entry.value, why=str(error)
            ) from error
    return {**found, **_registered}


def known_metrics(task: str) -> list[str]:
    """Return the names that an objective of a task may weigh in this environment; loads no package."""
    return sorted({*METRICS[task], *_registered, *(entry.name for entry in entry_points(group=GROUP))})


def check_weights(weights: Iterable[str], task: str = "mentions") -> None:
    """Raise RequestError for a weight whose metric is neither built into the task nor registered."""
    names = known_metrics(task)
    for name in weights:
        if name not in names:
            if near := difflib.get_close_matches(name, names, 1):
                raise RequestError("evaluation.metric-misspelt", name=name, near=near[0])
            raise RequestError("evaluation.no-such-metric", name=name, known=names)


def computed(
    weights: Container[str], model: Any, tokenizer: Any, items: Any, *, full: bool
) -> tuple[dict[str, float], list[Message]]:
    """Compute the custom metrics of an objective, in a full evaluation all: their values, and what is to be said of them.

    One that gives no finite number counts 0. Raises RequestError when one fails: its package is wrong, and no retry helps.
    """
    values: dict[str, float] = {}
    warnings = []
    for name, metric in custom_metrics().items():
        if name not in weights and (model is None or not full):
            continue
        if model is None:
            values[name] = 0.0
            warnings.append(Message.of("evaluation.metric-without-model", name=name))
            continue
        try:
            value = float(metric(model, tokenizer, items))
        except Exception as error:
            raise RequestError(
                "evaluation.metric-failed", name=name, kind=type(error).__name__, why=str(error)
            ) from error
        if not math.isfinite(value):
            warnings.append(Message.of("evaluation.metric-not-finite", name=name, value=str(value)))
            value = 0.0
        values[name] = value
    return values, warnings
