"""Scores of the LAMBADA items, and of the reference metrics."""

from __future__ import annotations

from collections.abc import Sequence

from coref_k8s.evaluation import seedlike, sums
from coref_k8s.evaluation.arms import lambada_pass, seed_pass
from coref_k8s.evaluation.items import ItemSet
from coref_k8s.evaluation.passes import Answer, Pass
from coref_k8s.evaluation.result import ItemScores
from coref_k8s.evaluation.score_coref import open_hits
from coref_k8s.evaluation.scorecard import Scorecard, column
from coref_k8s.evaluation.seed_items import KINDS
from coref_k8s.evaluation.vocabulary import Vocabulary


class LambadaPart:
    """Asks for the last content word of each passage; with `arms` also from the last sentence alone."""

    def __init__(self, items: ItemSet, vocabulary: Vocabulary, *, arms: bool, limit: int | None) -> None:
        self.items, self.vocabulary, self.arms = items, vocabulary, arms
        self.lambada = items.lambada[:limit]

    def ask(self) -> list[Pass]:
        """The passages, then their last sentences."""
        arms = (False, True) if self.arms else (False,)
        return [
            lambada_pass(
                item,
                self.items.tables[item.document],
                self.vocabulary,
                self.items.seq_len,
                sentence_only=sentence_only,
            )
            for sentence_only in arms
            for item in self.lambada
        ]

    def score(self, answers: Sequence[Answer], card: Scorecard) -> None:
        """Turn the answers to `ask` into metrics."""
        v, n = self.vocabulary, len(self.lambada)
        hits = [
            open_hits(answer, v.join(v.word(self.lambada[i % n].string)), v)[0]
            for i, answer in enumerate(answers)
        ]
        tables = [self.items.tables[item.document] for item in self.lambada]
        documents = [table.unit for table in tables]
        ids = [table.asked(item.id) for table, item in zip(tables, self.lambada, strict=True)]
        scores = ItemScores(ids, documents, {"lbd_top1": column(hits[:n])})
        card.item_scores["lambada"] = scores
        card.count("lambada", n, ["lbd_top1"])
        card.put_mean("lbd_top1", "lambada", "lbd_top1")
        if not self.arms:
            return
        scores.columns["lbd_top1_sentence"] = column(hits[n:])
        card.put_mean("lbd_top1_sentence", "lambada", "lbd_top1_sentence")
        card.put_gain("lbd_top1_gain", "lambada", "lbd_top1", "lbd_top1_sentence")
        released = [i for i, item in enumerate(self.lambada) if item.released]
        if released:
            card.counts["ko_lambada"] = len(released)
            values = [[scores.columns["lbd_top1"][i] for i in released]]
            card.put("ko_lambada_top1", [documents[i] for i in released], values, sums.mean)


class SeedPart:
    """The reference metrics and, beside each, what lists of five nouns score without a model.

    The lists: always the same five (frequent in the training documents), the window's most frequent five, the
    five nearest to the mask.
    """

    def __init__(self, items: ItemSet, vocabulary: Vocabulary, limit: int | None = None) -> None:
        self.items, self.vocabulary = items, vocabulary
        self.seeds = [
            item
            for kind in KINDS
            for item in [item for item in items.seed_items if item.kind == kind][:limit]
        ]

    def ask(self) -> list[Pass]:
        """One pass an item."""
        return [seed_pass(item, self.vocabulary, self.items.seq_len) for item in self.seeds]

    def score(self, answers: Sequence[Answer], card: Scorecard) -> None:
        """Turn the answers to `ask` into metrics."""
        nouns = frozenset(self.items.noun_ids)
        pieces = self.vocabulary.pieces
        for kind in KINDS:
            asked = [
                (item, answer) for item, answer in zip(self.seeds, answers, strict=True) if item.kind == kind
            ]
            card.counts[f"seed_{kind}"] = len(asked)
            guesses = {
                "seed": [seedlike.predicted(answer, pieces, nouns) for _, answer in asked],
                "baseline_seed": [self.items.frequent for _ in asked],
                "baseline_seed_frequent": [item.frequent for item, _ in asked],
                "baseline_seed_nearest": [item.nearest for item, _ in asked],
            }
            for prefix, guessed in guesses.items():
                scored = [
                    seedlike.item_score(item, listed)
                    for (item, _), listed in zip(asked, guessed, strict=True)
                ]
                if kind == "coref_f1":
                    value = seedlike.micro_f1(scored)
                else:
                    value = sum(row[0] for row in scored) / len(scored) if scored else 0.0
                card.metrics[f"{prefix}_{kind}"] = value
