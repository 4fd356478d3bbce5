"""Coreference metrics on clusters: what two clusterings of one document count for recall and precision.

MUC: Vilain et al. 1995. B3: Bagga & Baldwin 1998, with system mentions that the key lacks as in Pradhan et al.
2014. CEAFe: Luo 2005 with phi4, the optimal alignment by the Hungarian algorithm. LEA: Moosavi & Strube 2016,
where a singleton has one link, to itself. CoNLL F1 is the mean F1 of the first three (Pradhan et al. 2012).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

Cluster = frozenset[Hashable]
Clusters = Sequence[Cluster]


class Counts(NamedTuple):
    """Numerators and denominators of recall and precision; documents add up."""

    recall: float
    recall_of: float
    precision: float
    precision_of: float


def clusters_of(chains: Iterable[Iterable[Hashable]]) -> list[Cluster]:
    """Return chains as clusters: a mention counts once, in the first chain that has it, as the reference scorer does."""
    seen: set[Hashable] = set()
    found = []
    for chain in chains:
        cluster = frozenset(mention for mention in chain if mention not in seen)
        seen |= cluster
        if cluster:
            found.append(cluster)
    return found


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
    from scipy.optimize import linear_sum_assignment  # what only reads results goes without it

    place = _places(response)
    similarity = np.zeros((len(key), len(response)))
    for row, cluster in enumerate(key):
        for column, common in _overlaps(cluster, place).items():
            similarity[row, column] = 2 * common / (len(cluster) + len(response[column]))
    best = float(similarity[linear_sum_assignment(similarity, maximize=True)].sum())
    return Counts(best, len(key), best, len(response))


def lea(key: Clusters, response: Clusters) -> Counts:
    """Links of each cluster resolved, weighted by its size."""
    return Counts(*_lea_side(key, response), *_lea_side(response, key))


def mention(key: Clusters, response: Clusters) -> Counts:
    """Mentions of the key found, and of the response that are right, whatever their clusters."""
    wanted, given = frozenset().union(*key), frozenset().union(*response)
    common = len(wanted & given)
    return Counts(common, len(wanted), common, len(given))


METRICS: Mapping[str, Callable[[Clusters, Clusters], Counts]] = {
    "muc": muc,
    "b3": b_cubed,
    "ceafe": ceaf_e,
    "lea": lea,
    "mention": mention,
}
#: Whose mean is the CoNLL score.
CONLL = ("muc", "b3", "ceafe")


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
    total = sum(sum(n * n for n in _overlaps(cluster, place).values()) / len(cluster) for cluster in clusters)
    return total, float(sum(map(len, clusters)))


def _lea_side(clusters: Clusters, other: Clusters) -> tuple[float, float]:
    place = _places(other)
    singletons = {mention for cluster in other if len(cluster) == 1 for mention in cluster}
    total = 0.0
    for cluster in clusters:
        if len(cluster) == 1:
            total += float(cluster <= singletons)
            continue
        resolved = sum(_links(n) for n in _overlaps(cluster, place).values())
        total += len(cluster) * resolved / _links(len(cluster))
    return total, float(sum(map(len, clusters)))


def _links(n: int) -> float:
    return n * (n - 1) / 2


def _places(clusters: Clusters) -> dict[Hashable, int]:
    return {mention: number for number, cluster in enumerate(clusters) for mention in cluster}


def _overlaps(cluster: Cluster, place: Mapping[Hashable, int]) -> Counter[int]:
    """Count the mentions that a cluster shares with each cluster of the other side."""
    return Counter(place[mention] for mention in cluster if mention in place)
