"""Closed scoring: which of the window's noun runs fits the masked target best, and which entity that is.

A candidate is scored with as many masks as it has tokens: s(c) = mean over masks of log p(its token).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coref_k8s.evaluation.arms import Arm, coref_pass
from coref_k8s.evaluation.coref_items import CorefItem
from coref_k8s.evaluation.passes import Answer, Floats, Pass
from coref_k8s.evaluation.table import DocumentTable
from coref_k8s.evaluation.vocabulary import Vocabulary

#: Passes per item: one per distinct number of masks.
MAX_LENGTHS = 4


@dataclass(frozen=True)
class Candidates:
    """The noun runs of a window that are scored, in order of appearance, the gold string among them."""

    strings: list[str]
    pieces: list[tuple[int, ...]]
    entities: list[str | None]
    """Entity of the nearest occurrence left of the target; None when there is none, so it is no antecedent."""
    gold: int
    """Index of the gold string."""

    def lengths(self) -> list[int]:
        """Numbers of masks needed, the gold string's first."""
        return list(dict.fromkeys([len(self.pieces[self.gold]), *map(len, self.pieces)]))


def candidates(
    item: CorefItem, table: DocumentTable, vocabulary: Vocabulary, arm: Arm = "full"
) -> Candidates:
    """Distinct noun runs of the item's window and its gold string; in the swapped arm its stand-in instead.

    More than 4 distinct lengths would need more than 4 passes: the gold string's and the 3 most common
    others are kept.
    """
    gold = item.swap if arm == "swapped" and item.swap is not None else item.string
    entities: dict[int, str | None] = {}
    for index in table.window_runs(*item.window):
        _, end, string = table.runs[index]
        entities.setdefault(string, None)
        if end <= item.target[0]:
            entities[string] = table.entities[index]
    known = {table.strings[string]: (string, entity) for string, entity in entities.items()}
    found: dict[str, tuple[tuple[int, ...], str | None]] = {
        (gold if word == item.string else word): (
            tuple(vocabulary.word(gold) if word == item.string else table.pieces[string]),
            entity,
        )
        for word, (string, entity) in known.items()
    }
    found.setdefault(gold, (tuple(vocabulary.word(gold)), None))
    length = len(found[gold][0])
    common = Counter(len(pieces) for pieces, _ in found.values() if len(pieces) != length)
    kept = {length, *(n for n, _ in sorted(common.items(), key=lambda e: (-e[1], e[0]))[: MAX_LENGTHS - 1])}
    rows = [(word, pieces, entity) for word, (pieces, entity) in found.items() if len(pieces) in kept]
    return Candidates(
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
        next(i for i, row in enumerate(rows) if row[0] == gold),
    )


def closed_passes(
    item: CorefItem, table: DocumentTable, chosen: Candidates, vocabulary: Vocabulary, seq_len: int, arm: Arm
) -> list[Pass]:
    """One pass for each distinct candidate length, the gold string's first."""
    return [
        coref_pass(
            item,
            table,
            vocabulary,
            seq_len,
            arm=arm,
            masks=length,
            candidates=[pieces for pieces in chosen.pieces if len(pieces) == length],
        )
        for length in chosen.lengths()
    ]


def closed_scores(chosen: Candidates, answers: Sequence[Answer]) -> Floats:
    """s(c) of every candidate from the answers to `closed_passes`, in the candidates' order."""
    scores = np.zeros(len(chosen.strings), np.float32)
    for length, answer in zip(chosen.lengths(), answers, strict=True):
        places = [i for i, pieces in enumerate(chosen.pieces) if len(pieces) == length]
        scores[places] = answer.candidate_scores
    return scores


def mid_rank(scores: Floats, gold: int) -> float:
    """Rank of the gold candidate, from 1; ties count half of the tied places."""
    better = int((scores > scores[gold]).sum())
    tied = int((scores == scores[gold]).sum()) - 1
    return 1 + better + tied / 2
