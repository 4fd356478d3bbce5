"""Coref F1: linking a masked mention to an earlier entity, or to none.

Half of the items have an antecedent, half are first mentions, so always linking is punished. The system links
to the entity of the best candidate when it stands out from the mean candidate by more than tau, which is fixed on
the dev items and taken over for the test items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coref_k8s.evaluation.closed import Candidates
from coref_k8s.evaluation.passes import Floats


@dataclass(frozen=True)
class Link:
    """What the system would say about an item, before abstention."""

    margin: float
    """Score of the best antecedent minus the mean; minus infinity when the window offers none."""
    right: bool
    """The best antecedent's entity is the item's; never so for a first mention."""
    anaphoric: bool


def link(chosen: Candidates, scores: Floats, entity: str, anaphoric: bool) -> Link:
    """Find the best antecedent. Only strings that stand left of the target are antecedents."""
    places = [i for i, name in enumerate(chosen.entities) if name is not None]
    if not places:
        return Link(float("-inf"), False, anaphoric)
    antecedents = scores[places].astype(np.float64)
    best = int(antecedents.argmax())
    margin = float(antecedents[best] - antecedents.mean())
    return Link(margin, anaphoric and chosen.entities[places[best]] == entity, anaphoric)


def counts(links: Sequence[Link], tau: float) -> list[tuple[int, int, int]]:
    """True positives, false positives and false negatives of each item.

    A wrong entity for an anaphoric item is both a false positive and a false negative.
    """
    result = []
    for item in links:
        linked = item.margin > tau
        hit = linked and item.right
        result.append((int(hit), int(linked and not hit), int(item.anaphoric and not hit)))
    return result


def best_tau(links: Sequence[Link]) -> float:
    """The threshold with the highest F1 on these items, the lowest of equals; below every margin at first."""
    usable = sorted((item for item in links if np.isfinite(item.margin)), key=lambda item: -item.margin)
    if not usable:
        return 0.0
    margins = np.array([item.margin for item in usable])
    hits = np.cumsum([item.right for item in usable])
    linked = np.arange(1, len(usable) + 1)
    positives = sum(item.anaphoric for item in links)
    f1 = 2 * hits / np.maximum(linked + positives, 1)
    # Linking the first n is possible only where the margin drops after them.
    possible = np.append(margins[1:] < margins[:-1], True)
    last = int(np.flatnonzero(possible & (f1 == f1[possible].max()))[-1])
    return (
        float(margins[-1] - 1.0)
        if last + 1 == len(usable)
        else float((margins[last] + margins[last + 1]) / 2)
    )


def scores(tp: float, fp: float, fn: float) -> tuple[float, float, float]:
    """Precision, recall and F1; 0 where nothing was linked or nothing was to be linked."""
    precision = tp / (tp + fp) if tp + fp else 0.0
    recall = tp / (tp + fn) if tp + fn else 0.0
    return precision, recall, 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0
