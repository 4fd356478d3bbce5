"""Coreference scores on clusters: MUC, B3, CEAFe and LEA, micro-averaged over documents; singletons count.

MUC: Vilain et al. 1995. B3: Bagga & Baldwin 1998, with system mentions that the key lacks as in Pradhan et al.
2014. CEAFe: Luo 2005 with phi4, the optimal alignment by the Hungarian algorithm. LEA: Moosavi & Strube 2016,
where a singleton has one link, to itself. CoNLL F1 is the mean F1 of the first three.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

Cluster = frozenset[Hashable]
Clusters = Sequence[Cluster]


class Counts(NamedTuple):
    """Numerators and denominators of recall and precision; documents add up."""

    recall: float
    recall_of: float
    precision: float
    precision_of: float


class Score(NamedTuple):
    """Recall, precision and F1, each between 0 and 1."""

    recall: float
    precision: float
    f1: float


def muc(key: Clusters, response: Clusters) -> Counts:
    """Links of the key found, and of the response that are right."""
    return Counts(*_muc_side(key, response), *_muc_side(response, key))


def b_cubed(key: Clusters, response: Clusters) -> Counts:
    """Overlap of each mention's two clusters."""
    return Counts(*_b_cubed_side(key, response), *_b_cubed_side(response, key))


def ceaf_e(key: Clusters, response: Clusters) -> Counts:
    """Similarity phi4 = 2 |K n R| / (|K| + |R|) of the best one-to-one alignment of clusters."""
    if not key or not response:
        return Counts(0.0, len(key), 0.0, len(response))
    similarity = np.array([[2 * len(k & r) / (len(k) + len(r)) for r in response] for k in key])
    best = float(similarity[linear_sum_assignment(similarity, maximize=True)].sum())
    return Counts(best, len(key), best, len(response))


def lea(key: Clusters, response: Clusters) -> Counts:
    """Links of each cluster resolved, weighted by its size."""
    return Counts(*_lea_side(key, response), *_lea_side(response, key))


METRICS: Mapping[str, Callable[[Clusters, Clusters], Counts]] = {
    "muc": muc,
    "b3": b_cubed,
    "ceafe": ceaf_e,
    "lea": lea,
}


def score(documents: Iterable[tuple[Clusters, Clusters]]) -> dict[str, Score]:
    """Each metric over documents (key clusters, response clusters), and their CoNLL mean as `conll`."""
    pairs = list(documents)
    found = {}
    for name, metric in METRICS.items():
        counts = [metric(key, response) for key, response in pairs]
        total = Counts(*map(sum, zip(*counts, strict=True))) if counts else Counts(0, 0, 0, 0)
        recall = total.recall / total.recall_of if total.recall_of else 0.0
        precision = total.precision / total.precision_of if total.precision_of else 0.0
        found[name] = Score(recall, precision, _f1(recall, precision))
    three = [found[name] for name in ("muc", "b3", "ceafe")]
    means = [sum(score[place] for score in three) / 3 for place in range(3)]
    return {**found, "conll": Score(*means)}


def _muc_side(clusters: Clusters, other: Clusters) -> tuple[float, float]:
    place = _places(other)
    found = links = 0
    for cluster in clusters:
        # Parts into which the other side cuts the cluster; mentions it lacks are parts of their own.
        parts = len({place.get(mention, ("alone", mention)) for mention in cluster})
        found += len(cluster) - parts
        links += len(cluster) - 1
    return found, links


def _b_cubed_side(clusters: Clusters, other: Clusters) -> tuple[float, float]:
    place = _places(other)
    total = 0.0
    for cluster in clusters:
        overlaps: dict[Hashable, int] = {}
        for mention in cluster:
            if mention in place:
                overlaps[place[mention]] = overlaps.get(place[mention], 0) + 1
        total += sum(n * n for n in overlaps.values()) / len(cluster)
    return total, float(sum(map(len, clusters)))


def _lea_side(clusters: Clusters, other: Clusters) -> tuple[float, float]:
    place = _places(other)
    singletons = {mention for cluster in other if len(cluster) == 1 for mention in cluster}
    total = 0.0
    for cluster in clusters:
        if len(cluster) == 1:
            total += float(cluster <= singletons)
            continue
        overlaps: dict[Hashable, int] = {}
        for mention in cluster:
            if mention in place:
                overlaps[place[mention]] = overlaps.get(place[mention], 0) + 1
        resolved = sum(_links(n) for n in overlaps.values())
        total += len(cluster) * resolved / _links(len(cluster))
    return total, float(sum(map(len, clusters)))


def _links(n: int) -> float:
    return n * (n - 1) / 2


def _places(clusters: Clusters) -> dict[Hashable, int]:
    return {mention: number for number, cluster in enumerate(clusters) for mention in cluster}


def _f1(recall: float, precision: float) -> float:
    return 2 * recall * precision / (recall + precision) if recall + precision else 0.0
