"""`Scorecard`: collects metrics with their intervals while the parts of an evaluation report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from coref_k8s.evaluation.intervals import estimate
from coref_k8s.evaluation.result import Bucket, ItemScores
from coref_k8s.evaluation.sums import Statistic, by_document, mean, mean_difference
from coref_k8s.study.tasks import metric_named
from coref_k8s.wording import Message


@dataclass
class Scorecard:
    """Metrics so far. `intervals` is off in quick evaluations, where only values are wanted."""

    intervals: bool
    metrics: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    buckets: list[Bucket] = field(default_factory=list)
    warnings: list[Message] = field(default_factory=list)
    item_scores: dict[str, ItemScores] = field(default_factory=dict)
    tau: float = 0.0

    def put(
        self,
        name: str,
        documents: Sequence[str],
        columns: Sequence[Sequence[float]],
        statistic: Statistic,
        lowest: float = 0.0,
    ) -> None:
        """Add a metric and, from three documents on, its 95 % interval as `name`, `name_ci_low` and `name_ci_high`."""
        sums = by_document(documents, columns)
        if self.intervals:
            self.metrics |= estimate(sums, statistic, lowest, 1.0, sums[:, -1]).named(name)
        else:
            self.metrics[name] = float(statistic(sums.sum(axis=0)))

    def put_mean(self, name: str, kind: str, column: str) -> None:
        """Add the mean of a column of item scores."""
        scores = self.item_scores[kind]
        self.put(name, scores.documents, [scores.columns[column]], mean)

    def put_gain(self, name: str, kind: str, column: str, control: str) -> None:
        """Add the mean of a column minus that of its control, paired by item."""
        scores = self.item_scores[kind]
        columns = [scores.columns[column], scores.columns[control]]
        self.put(name, scores.documents, columns, mean_difference, lowest=-1.0)

    def count(self, kind: str, n: int, metrics: Sequence[str]) -> None:
        """Note how many items a kind has; without any, its metrics are 0 and a warning says so."""
        self.counts[kind] = n
        if not n:
            self.warnings.append(
                Message.of("evaluation.no-items", metrics=[metric_named(name) for name in metrics])
            )


def column(values: Sequence[bool] | Sequence[float]) -> list[float]:
    """Item scores as plain floats."""
    return [float(value) for value in values]
