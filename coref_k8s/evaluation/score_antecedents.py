"""Antecedent accuracy: which earlier mention a masked gold mention goes back to, without any threshold.

Every candidate string is asked for in the mention's place as in closed scoring, and the best one is right when it names an
entity that is the mention's. Beside it the two choices that need no model: the most frequent candidate and the nearest.
Mentions of a type are drawn more or less densely, so an item counts for as many as it stands for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from coref_k8s.evaluation.antecedent_items import AntecedentItem
from coref_k8s.evaluation.arms import assemble
from coref_k8s.evaluation.coreference.breakdown import BOUNDS, TYPES
from coref_k8s.evaluation.given import MIN_ITEMS
from coref_k8s.evaluation.items import ItemSet
from coref_k8s.evaluation.passes import Answer, Pass
from coref_k8s.evaluation.result import ItemScores
from coref_k8s.evaluation.scorecard import Scorecard
from coref_k8s.evaluation.sums import share
from coref_k8s.evaluation.vocabulary import Vocabulary

#: Kind of items in a result, and the metric of all of them.
KIND, NAME = "antecedents", "antecedent"
#: Choices that need no model, as in `baseline_<name>_antecedent`.
_GUESSES = ("frequent", "nearest")


class AntecedentPart:
    """Asks and scores the gold mentions that have an antecedent; nothing where there are no gold chains."""

    def __init__(self, items: ItemSet, vocabulary: Vocabulary, limit: int | None = None) -> None:
        self.items, self.vocabulary = items, vocabulary
        self.mentions = items.antecedents[:limit]

    def ask(self) -> list[Pass]:
        """One pass for each mention and number of masks."""
        passes = []
        for item in self.mentions:
            ids, (start, end), (first, last) = (
                self.items.tables[item.document].ids,
                item.window,
                item.target,
            )
            for length, places in self._lengths(item).items():
                pieces = [self.vocabulary.word(item.candidates[place]) for place in places]
                passes.append(
                    assemble(
                        ids[start:first], length, ids[last:end], self.vocabulary, self.items.seq_len, pieces
                    )
                )
        return passes

    def score(self, answers: Sequence[Answer], card: Scorecard) -> None:
        """Turn the answers to `ask` into metrics: of all mentions, by type and by distance."""
        if not self.mentions:
            return
        pending = iter(answers)
        found = [self._right(item, [next(pending) for _ in self._lengths(item)]) for item in self.mentions]
        asked = Counter(item.type for item in self.mentions)
        weights = [self.items.counts[f"{KIND}_{item.type}"] / asked[item.type] for item in self.mentions]
        tables = [self.items.tables[item.document] for item in self.mentions]
        ids = [table.asked(item.id) for table, item in zip(tables, self.mentions, strict=True)]
        columns = {NAME: found}
        for guess in _GUESSES:
            columns[f"baseline_{guess}_{NAME}"] = [_guessed(item, guess) for item in self.mentions]
        possible = [float(item.entity in item.entities) for item in self.mentions]
        scores = ItemScores(ids, [table.unit for table in tables], {f"{NAME}_of": weights})
        for name, values in {**columns, f"{NAME}_possible": possible}.items():
            scores.columns[name] = [value * weight for value, weight in zip(values, weights, strict=True)]
        card.item_scores[KIND] = scores
        for ending, rows in self._parts().items():
            card.counts[f"{NAME}{ending}"] = len(rows)
            if len(rows) >= MIN_ITEMS:
                self._put(card, scores, rows, ending)

    def _parts(self) -> dict[str, list[int]]:
        """Return the items of all, of each type and of each distance, by the ending of their metrics."""
        parts = {"": list(range(len(self.mentions)))}
        for kind in TYPES:
            parts[f"_{kind}"] = [i for i, item in enumerate(self.mentions) if item.type == kind]
        for above, up_to in zip((0, *BOUNDS), (*BOUNDS, None), strict=True):
            if above < self.items.seq_len:
                parts[f"_{above}_{up_to or ''}".rstrip("_")] = [
                    i
                    for i, item in enumerate(self.mentions)
                    if max(item.distance, 1) > above and (up_to is None or item.distance <= up_to)
                ]
        return parts

    @staticmethod
    def _put(card: Scorecard, scores: ItemScores, rows: Sequence[int], ending: str) -> None:
        documents = [scores.documents[i] for i in rows]
        of = [scores.columns[f"{NAME}_of"][i] for i in rows]
        for name, values in scores.columns.items():
            if name == f"{NAME}_of":
                continue
            column = [values[i] for i in rows]
            if name == NAME:
                card.put(f"{name}{ending}", documents, [column, of], share)
            else:
                card.metrics[f"{name}{ending}"] = sum(column) / sum(of)

    def _lengths(self, item: AntecedentItem) -> dict[int, list[int]]:
        """Return the candidates (indices) by how many tokens they have."""
        lengths: dict[int, list[int]] = {}
        for place, string in enumerate(item.candidates):
            lengths.setdefault(len(self.vocabulary.word(string)), []).append(place)
        return lengths

    def _right(self, item: AntecedentItem, answers: Sequence[Answer]) -> float:
        """Return whether the best candidate's entity is the mention's; of equally good ones their share."""
        if not item.candidates:
            return 0.0
        scores = np.zeros(len(item.candidates), np.float32)
        for places, answer in zip(self._lengths(item).values(), answers, strict=True):
            scores[places] = answer.candidate_scores
        best = np.flatnonzero(scores == scores.max())
        return float(np.mean([item.entities[place] == item.entity for place in best]))


def _guessed(item: AntecedentItem, guess: str) -> float:
    place = item.frequent if guess == "frequent" else -1
    return float(bool(item.entities) and item.entities[place] == item.entity)
