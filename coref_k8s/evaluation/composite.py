"""`Composite`: a weighted sum of metrics over one or more results, as sums by document.

A difference must be paired: whatever document is left out is left out of all metrics and all results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from coref_k8s.evaluation.coreference.statistics import COLUMNS, STATISTICS
from coref_k8s.evaluation.intervals import Estimate, estimate
from coref_k8s.evaluation.result import ItemScores
from coref_k8s.evaluation.sums import Array, Statistic, by_document, f1, mean, mean_difference, share

#: Metric -> kind of items, the columns it is computed from, and how.
SOURCES: Mapping[str, tuple[str, tuple[str, ...], Statistic]] = {
    "lbd_top1": ("lambada", ("lbd_top1",), mean),
    "lbd_top1_gain": ("lambada", ("lbd_top1", "lbd_top1_sentence"), mean_difference),
    "coref_f1": ("f1", ("tp", "fp", "fn"), f1),
    "coref_top1": ("coref", ("coref_top1",), mean),
    "coref_top5": ("coref", ("coref_top5",), mean),
    "coref_top1_gain": ("coref", ("coref_top1", "coref_top1_removed"), mean_difference),
    "coref_top5_gain": ("coref", ("coref_top5", "coref_top5_removed"), mean_difference),
    "coref_closed1": ("closed", ("coref_closed1",), mean),
    "coref_closed5": ("closed", ("coref_closed5",), mean),
    "swap_top1": ("swapped", ("swap_top1",), mean),
    "antecedent": ("antecedents", ("antecedent", "antecedent_of"), share),
    **{
        name: ("chains", COLUMNS, STATISTICS[name])
        for name in ("conll_f1", "lea_f1", "mention_f1", "muc_f1", "b3_f1", "ceafe_f1")
    },
}

Scores = Mapping[str, ItemScores]


def by_item(weights: Mapping[str, float], scores: Scores) -> dict[str, float]:
    """Return what each item, by its kind and id, adds to the weighted sum; metrics without item scores add nothing.

    Of the F1 of one item it is 1 or 0: how much it adds to the whole F1 depends on the others.
    """
    found: dict[str, float] = {}
    for metric, weight in weights.items():
        if not available(metric, [scores]):
            continue
        kind, columns, statistic = SOURCES[metric]
        ids = scores[kind].ids
        single = np.array([*(scores[kind].columns[column] for column in columns), [1.0] * len(ids)]).T
        for name, value in zip(ids, statistic(single), strict=True):
            key = f"{kind}/{name}"
            found[key] = round(found.get(key, 0.0) + weight * float(value) / len(ids), 6)
    return found


def available(metric: str, results: Sequence[Scores]) -> bool:
    """Whether every result has the item scores that the metric is computed from."""
    if metric not in SOURCES:
        return False
    kind, columns, _ = SOURCES[metric]
    return all(kind in scores and all(c in scores[kind].columns for c in columns) for scores in results)


class Composite:
    """Sums by document of the items that all `results` share. Every metric must be `available`."""

    def __init__(self, weights: Mapping[str, float], results: Sequence[Scores]) -> None:
        shared = {metric: _shared([scores[SOURCES[metric][0]] for scores in results]) for metric in weights}
        self.items = len({(SOURCES[metric][0], name) for metric, names in shared.items() for name in names})
        kinds = {SOURCES[metric][0] for metric in weights}
        asked = {(kind, name) for scores in results for kind in kinds for name in scores[kind].ids}
        self.left_out = len(asked) - self.items
        """Items that not every result has."""
        owner: dict[str, dict[str, str]] = {}
        for metric in weights:
            first = results[0][SOURCES[metric][0]]
            owner[metric] = dict(zip(first.ids, first.documents, strict=True))
        self.documents = sorted({owner[metric][name] for metric, names in shared.items() for name in names})
        blocks: list[Array] = []
        self._parts: list[tuple[float, Statistic, list[list[int]]]] = []
        self._highest = sum(weights.values())
        self._lowest = -sum(weight for metric, weight in weights.items() if metric.endswith("_gain"))
        self._sizes = np.zeros(len(self.documents))
        at = 0
        for metric, weight in weights.items():
            kind, columns, statistic = SOURCES[metric]
            names, width = shared[metric], len(columns)
            values = [row for scores in results for row in _values(scores[kind], columns, names)]
            block = by_document([owner[metric][name] for name in names], values, self.documents)
            blocks.append(block)
            # an item is one, but a whole document is as many as it has mentions
            self._sizes += block.sum(axis=1) if kind == "chains" else block[:, -1]
            n = at + len(values)
            sides = [[*range(at + r * width, at + (r + 1) * width), n] for r in range(len(results))]
            self._parts.append((weight, statistic, sides))
            at = n + 1
        self.sums = np.concatenate(blocks, axis=1) if blocks else np.zeros((0, 0))

    def value(self, sums: Array, result: int) -> Array:
        """The weighted sum of one result (by its index) from sums (..., columns)."""
        total = np.zeros(sums.shape[:-1])
        for weight, statistic, columns in self._parts:
            total = total + weight * statistic(sums[..., columns[result]])
        return total

    def estimate(self) -> Estimate:
        """The weighted sum of the first result, with its interval."""
        return estimate(self.sums, lambda sums: self.value(sums, 0), self._lowest, self._highest, self._sizes)

    def difference(self) -> Estimate:
        """The first result minus the second, with its interval."""
        highest = self._highest
        return estimate(
            self.sums, lambda sums: self.value(sums, 0) - self.value(sums, 1), -highest, highest, self._sizes
        )


def _shared(groups: Sequence[ItemScores]) -> list[str]:
    """Ids of the items that all groups have, in the first group's order."""
    others = [set(group.ids) for group in groups[1:]]
    return [name for name in groups[0].ids if all(name in other for other in others)]


def _values(scores: ItemScores, columns: Sequence[str], names: Sequence[str]) -> list[list[float]]:
    """Columns of item scores for the items named, in their order."""
    places = {name: place for place, name in enumerate(scores.ids)}
    return [[scores.columns[column][places[name]] for name in names] for column in columns]
