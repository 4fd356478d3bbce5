"""Which response mention is which key mention: by equal spans, or by their heads as CorefUD's scorer ranks systems.

Head match (CRAC 2023; github.com/ufal/corefud-scorer): equal spans with equal heads first; of the others, mentions
with one head are paired so that the response covers as large a share of the key's words as possible.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from coref_k8s.text.words import Span, Words


class Headed(NamedTuple):
    """A mention as its words and its head; numbers of words."""

    words: frozenset[int]
    head: int | None

    @property
    def place(self) -> tuple[int, int, int]:
        """What mentions are sorted by."""
        return min(self.words, default=-1), max(self.words, default=-1), len(self.words)


def headed(chains: Iterable[Iterable[Span]], words: Words) -> list[list[Headed]]:
    """Return chains of spans as chains of words with heads."""
    return [[Headed(frozenset(words.inside(span)), words.head(span)) for span in chain] for chain in chains]


def by_head(key: Sequence[Sequence[Headed]], response: Sequence[Sequence[Headed]]) -> dict[Headed, Headed]:
    """Return the key mention of each response mention that has one."""
    from scipy.optimize import linear_sum_assignment

    wanted = {mention for chain in key for mention in chain}
    given = {mention for chain in response for mention in chain}
    found = {mention: mention for mention in wanted & given}
    rows = sorted(wanted - given, key=lambda mention: mention.place)
    columns = sorted(given - wanted, key=lambda mention: mention.place)
    heads: dict[int | None, list[int]] = {}
    for column, mention in enumerate(columns):
        heads.setdefault(mention.head, []).append(column)
    similarity = np.zeros((len(rows), len(columns)))
    for row, mention in enumerate(rows):
        for column in heads.get(mention.head, ()):
            similarity[row, column] = len(mention.words & columns[column].words) / max(1, len(mention.words))
    for row, column in zip(*linear_sum_assignment(similarity, maximize=True), strict=True):
        if similarity[row, column] > 0:
            found[columns[column]] = rows[row]
    return found
