"""The tasks: what a study trains and scores, and what of it can be maximised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from coref_k8s.wording import Message, has

#: `mentions` is a masked language model scored on hidden mentions, `coreference` an encoder with a head that finds chains.
Task = Literal["mentions", "coreference"]
TASKS: tuple[Task, ...] = get_args(Task)

#: Built-in metrics of `mentions` that need more than the full arm.
ARM_METRICS = (
    "coref_closed1",
    "coref_closed5",
    "coref_closed1_gain",
    "coref_closed5_gain",
    "coref_f1_gain",
    "coref_top1_gain",
    "coref_top5_gain",
    "coref_top1_truncated_gain",
    "coref_top5_truncated_gain",
    "lbd_top1_gain",
    "swap_top1",
)
#: Built-in metrics that an objective may weigh, by task: known in quick and in full evaluations.
METRICS: Mapping[str, tuple[str, ...]] = {
    "mentions": (
        "coref_f1",
        "coref_precision",
        "coref_recall",
        "coref_top1",
        "coref_top5",
        "lbd_top1",
        *ARM_METRICS,
    ),
    "coreference": ("conll_f1", "lea_f1", "mention_f1"),
}
#: What people are shown of a task's metrics, in the order of tables; the score that an objective makes of them comes first.
SHOWN: Mapping[str, tuple[str, ...]] = {
    "mentions": ("coref_f1", "coref_top1", "coref_top5", "lbd_top1", "antecedent"),
    "coreference": ("conll_f1", "lea_f1", "mention_f1", "gold_conll_f1"),
}
#: What is maximised by task where a request names no weights.
WEIGHTS: Mapping[str, dict[str, float]] = {
    "mentions": {"coref_f1": 0.4, "coref_top5": 0.3, "lbd_top1": 0.3},
    "coreference": {"conll_f1": 1.0},
}
#: Passes over the training data to choose among, by task: documents with chains are few, a head begins at nothing.
EPOCHS: Mapping[str, tuple[float, ...]] = {"mentions": (1.0, 2.0, 3.0), "coreference": (5.0, 10.0, 20.0)}


def metric_named(name: str) -> Message:
    """Return a metric's name for people; one of the user's own as it is."""
    code = f"words.metric-{name}"
    return Message.of(code) if has(code) else Message.verbatim(name)


def task_of_metric(name: str) -> str | None:
    """Return the task whose built-in metric this is; None for none."""
    return next((task for task, names in METRICS.items() if name in names), None)
