"""Metrics as people read them: in which order, under which name, and what they are to be held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from coref_k8s.study.spec import StudySpec
from coref_k8s.study.tasks import SHOWN, metric_named
from coref_k8s.wording import Lang
from coref_k8s.wording.formats import difference, interval, score

#: What stands for no model (docs/metrics-evaluation.md): lists of nouns for a hidden mention, chains made without one.
LISTS = ("frequent", "nearest", "constant")
CHAINS = ("equal", "alone")


def metrics_of(spec: StudySpec) -> tuple[str, ...]:
    """Return the metrics of a study in the order of tables: those of its task, then what else its objective weighs."""
    return tuple(dict.fromkeys((*SHOWN[spec.task], *spec.objective.weights)))


def metric(name: str, lang: Lang = "en") -> str:
    """Return a metric's name for people; one of the user's own as it is."""
    return metric_named(name).say(lang)


def gain(metrics: Mapping[str, Any], name: str) -> str:
    """Return how much of a metric the context brought: `+0.310`; `–` when that was not measured."""
    return difference(metrics.get(f"{name}_gain"))


def interval_of(metrics: Mapping[str, Any], name: str, form: Callable[[float | None], str] = score) -> str:
    """Return the 95 % interval of a metric, its ends as scores or as differences; `–` when it has none."""
    return interval(metrics.get(f"{name}_ci_low"), metrics.get(f"{name}_ci_high"), form)


def guess_without(metrics: Mapping[str, Any], name: str) -> float | None:
    """Return the best that is reached without a model; None for a metric that only a model can answer."""
    gold = "gold_" if name.startswith("gold_") else ""
    names = [f"baseline_{guess}_{name.removeprefix('coref_')}" for guess in LISTS]
    names += [f"{gold}{guess}_{name.removeprefix(gold)}" for guess in CHAINS]
    return max((metrics[one] for one in names if metrics.get(one) is not None), default=None)
