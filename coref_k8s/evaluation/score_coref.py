"""Scores of the masked-mention items: open and closed Top-1/Top-5 in every arm, and Coref F1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from coref_k8s.evaluation import baselines, linking, sums
from coref_k8s.evaluation.arms import Arm, coref_pass
from coref_k8s.evaluation.closed import Candidates, candidates, closed_passes, closed_scores, mid_rank
from coref_k8s.evaluation.coref_items import BUCKETS, CorefItem, bucket
from coref_k8s.evaluation.extent import WHOLE, Extent
from coref_k8s.evaluation.given import MIN_ITEMS
from coref_k8s.evaluation.items import ItemSet
from coref_k8s.evaluation.kbest import best_strings
from coref_k8s.evaluation.passes import Answer, Floats, Pass
from coref_k8s.evaluation.result import Bucket, ItemScores
from coref_k8s.evaluation.scorecard import Scorecard, column
from coref_k8s.evaluation.vocabulary import Vocabulary

#: Strings that count as answers of an open question.
LISTED = 5
_OPEN = ("coref_top1", "coref_top5")


def open_hits(answer: Answer, target: str, vocabulary: Vocabulary) -> tuple[bool, bool]:
    """Whether the target is the most probable joint string, and among the 5 most probable."""
    strings = best_strings(answer.top_scores, answer.top_ids, vocabulary.join, LISTED)
    return strings[:1] == [target], target in strings


class CorefPart:
    """Asks and scores the anaphoric items and the first mentions."""

    def __init__(
        self,
        items: ItemSet,
        vocabulary: Vocabulary,
        *,
        arms: bool,
        extent: Extent = WHOLE,
    ) -> None:
        self.items, self.vocabulary, self.arms = items, vocabulary, arms
        self.coref = items.coref[: extent.items]
        self.closed = len(self.coref[: extent.closed])
        """So many of the first items are scored closed as well, when there are arms."""
        pairs = [(a, first) for a, first in zip(items.pairs, items.firsts, strict=True) if a < self.closed]
        self.paired = [a for a, _ in pairs]
        self.firsts = [first for _, first in pairs]
        swappable = [number for number, item in enumerate(self.coref) if item.swap is not None]
        self.swapped = swappable[: extent.swapped]
        self._asked: list[tuple[str, int, Arm, Candidates | None, int]] = []
        self._answers: dict[tuple[str, int, Arm], tuple[Candidates | None, list[Answer]]] = {}

    def ask(self) -> list[Pass]:
        """Every pass of every arm that is wanted."""
        # Without arms closed scores are needed only for Coref F1.
        closed = set(range(self.closed) if self.arms else self.paired)
        swapped = set(self.swapped)
        passes: list[Pass] = []
        for number, item in enumerate(self.coref):
            passes += self._closed("coref", number, item, "full", scored=number in closed)
            if self.arms:
                passes += self._closed("coref", number, item, "removed", scored=number in closed)
                passes += self._closed("coref", number, item, "truncated", scored=False)
                if number in swapped:
                    passes += self._closed("coref", number, item, "swapped")
        for number, item in enumerate(self.firsts):
            passes += self._closed("first", number, item, "full")
        return passes

    def score(self, answers: Sequence[Answer], card: Scorecard, tau: float | None) -> None:
        """Turn the answers to `ask` into metrics."""
        at = 0
        for kind, number, arm, chosen, length in self._asked:
            self._answers[kind, number, arm] = (chosen, list(answers[at : at + length]))
            at += length
        self._score_mentions(card)
        self._score_links(card, tau)
        if self.arms:
            self._score_buckets(card)
        self._score_baselines(card)

    def _closed(
        self, kind: str, number: int, item: CorefItem, arm: Arm, *, scored: bool = True
    ) -> Iterator[Pass]:
        table, v, seq_len = self.items.tables[item.document], self.vocabulary, self.items.seq_len
        if scored:
            chosen = candidates(item, table, v, arm)
            passes = closed_passes(item, table, chosen, v, seq_len, arm)
        else:
            chosen, passes = None, [coref_pass(item, table, v, seq_len, arm=arm)]
        self._asked.append((kind, number, arm, chosen, len(passes)))
        yield from passes

    def _target(self, item: CorefItem) -> str:
        return self.vocabulary.join(self.vocabulary.word(item.string))

    def _open(self, number: int, arm: Arm) -> tuple[bool, bool]:
        # The gold string's number of masks comes first, so its answer serves the open question too.
        return open_hits(
            self._answers["coref", number, arm][1][0], self._target(self.coref[number]), self.vocabulary
        )

    def _candidates(self, kind: str, number: int, arm: Arm) -> tuple[Candidates, Floats]:
        chosen, answers = self._answers[kind, number, arm]
        assert chosen is not None
        return chosen, closed_scores(chosen, answers)

    def _rank(self, number: int, arm: Arm) -> float:
        chosen, scores = self._candidates("coref", number, arm)
        return mid_rank(scores, chosen.gold)

    def _scores(self, items: Sequence[CorefItem]) -> ItemScores:
        tables = [self.items.tables[item.document] for item in items]
        ids = [table.asked(item.id) for table, item in zip(tables, items, strict=True)]
        return ItemScores(ids, [table.unit for table in tables])

    def _score_mentions(self, card: Scorecard) -> None:
        n = range(len(self.coref))
        scores = self._scores(self.coref)
        card.item_scores["coref"] = scores
        card.count("coref", len(self.coref), ("coref_top1", "coref_top5"))
        arms: tuple[Arm, ...] = ("full", "removed", "truncated") if self.arms else ("full",)
        for arm in arms:
            hits = [self._open(number, arm) for number in n]
            end = "" if arm == "full" else f"_{arm}"
            scores.columns[f"coref_top1{end}"] = column([hit[0] for hit in hits])
            scores.columns[f"coref_top5{end}"] = column([hit[1] for hit in hits])
        if not self.arms:
            card.put_mean("coref_top1", "coref", "coref_top1")
            card.put_mean("coref_top5", "coref", "coref_top5")
            return
        for name in _OPEN:
            self._put_arm(card, "coref", name, "removed")
            self._put_arm(card, "coref", name, "truncated")
        self._score_closed(card)
        self._score_swaps(card)

    @staticmethod
    def _put_arm(card: Scorecard, kind: str, name: str, arm: str) -> None:
        """Add a score in the full arm, in another, and what lies between them."""
        gain = f"{name}_gain" if arm == "removed" else f"{name}_{arm}_gain"
        card.put_mean(name, kind, name)
        card.put_mean(f"{name}_{arm}", kind, f"{name}_{arm}")
        card.put_gain(gain, kind, name, f"{name}_{arm}")

    def _score_closed(self, card: Scorecard) -> None:
        n, items = range(self.closed), self.coref[: self.closed]
        scores = self._scores(items)
        card.item_scores["closed"] = scores
        card.counts["closed"] = self.closed
        arms: tuple[Arm, ...] = ("full", "removed")
        for arm in arms:
            ranks = [self._rank(number, arm) for number in n]
            end = "" if arm == "full" else f"_{arm}"
            scores.columns[f"coref_closed1{end}"] = column([rank <= 1 for rank in ranks])
            scores.columns[f"coref_closed5{end}"] = column([rank <= LISTED for rank in ranks])
        sizes = [len(self._candidates("coref", number, "full")[0].strings) for number in n]
        for k in (1, LISTED):
            chance = [min(1.0, k / size) for size in sizes]
            card.metrics[f"coref_closed{k}_chance"] = float(np.mean(chance)) if chance else 0.0
            self._put_arm(card, "closed", f"coref_closed{k}", "removed")

    def _score_swaps(self, card: Scorecard) -> None:
        items = [self.coref[number] for number in self.swapped]
        hits = [self._rank(number, "swapped") <= 1 for number in self.swapped]
        scores = self._scores(items)
        # another stand-in is another question
        scores.ids = [f"{name}>{item.swap}" for name, item in zip(scores.ids, items, strict=True)]
        scores.columns["swap_top1"] = column(hits)
        card.item_scores["swapped"] = scores
        card.count("swapped", len(items), ["swap_top1"])
        card.put_mean("swap_top1", "swapped", "swap_top1")

    def _score_links(self, card: Scorecard, tau: float | None) -> None:
        items = [*(self.coref[number] for number in self.paired), *self.firsts]
        links = [self._link("coref", number, "full") for number in self.paired]
        links += [self._link("first", number, "full") for number in range(len(self.firsts))]
        card.tau = linking.best_tau(links) if tau is None else tau
        scores = self._scores(items)
        card.item_scores["f1"] = scores
        card.count("f1", len(items), ("coref_f1", "coref_precision", "coref_recall"))
        self._put_counts(scores, linking.counts(links, card.tau), "")
        full = [scores.columns[name] for name in ("tp", "fp", "fn")]
        card.put("coref_f1", scores.documents, full, sums.f1)
        precision, recall, _ = linking.scores(*(sum(values) for values in full))
        card.metrics["coref_precision"], card.metrics["coref_recall"] = precision, recall
        if not self.arms:
            return
        # A first mention has nothing to remove: its full arm stands on both sides.
        removed = [self._link("coref", number, "removed") for number in self.paired]
        self._put_counts(scores, linking.counts([*removed, *links[len(removed) :]], card.tau), "_removed")
        control = [scores.columns[name] for name in ("tp_removed", "fp_removed", "fn_removed")]
        card.put("coref_f1_removed", scores.documents, control, sums.f1)
        card.put("coref_f1_gain", scores.documents, [*full, *control], sums.f1_difference, lowest=-1.0)

    def _link(self, kind: str, number: int, arm: Arm) -> linking.Link:
        item = self.coref[number] if kind == "coref" else self.firsts[number]
        return linking.link(*self._candidates(kind, number, arm), item.entity, kind == "coref")

    @staticmethod
    def _put_counts(scores: ItemScores, counts: Sequence[tuple[int, int, int]], end: str) -> None:
        for place, name in enumerate(("tp", "fp", "fn")):
            scores.columns[f"{name}{end}"] = column([float(entry[place]) for entry in counts])

    def _score_buckets(self, card: Scorecard) -> None:
        scores = card.item_scores["coref"]
        for number, up_to in enumerate(BUCKETS):
            above = BUCKETS[number - 1] if number else 0
            if above >= self.items.seq_len:
                break
            rows = [i for i, item in enumerate(self.coref) if bucket(item.distance) == number]
            values = None
            if len(rows) >= MIN_ITEMS:
                values = self._bucket(card, scores, rows, up_to)
            card.buckets.append(Bucket(above, up_to, len(rows), values))

    @staticmethod
    def _bucket(card: Scorecard, scores: ItemScores, rows: Sequence[int], up_to: int) -> dict[str, float]:
        """Add the metrics of the items `rows`, with intervals, as `<metric>_to<up_to>`; return them and the arms."""
        documents = [scores.documents[i] for i in rows]
        columns = {name: [values[i] for i in rows] for name, values in scores.columns.items()}
        found = {name: float(np.mean(values)) for name, values in columns.items()}
        for name in _OPEN:
            card.put(f"{name}_to{up_to}", documents, [columns[name]], sums.mean)
            both = [columns[name], columns[f"{name}_removed"]]
            card.put(f"{name}_gain_to{up_to}", documents, both, sums.mean_difference, lowest=-1.0)
            for metric in (name, f"{name}_gain"):
                stem = f"{metric}_to{up_to}"
                found[metric] = card.metrics[stem]
                if card.intervals:
                    ends = ("ci_low", "ci_high")
                    found |= {
                        f"{metric}_{end}": card.metrics[f"{stem}_{end}"]
                        for end in ends
                        if f"{stem}_{end}" in card.metrics
                    }
        return found

    def _score_baselines(self, card: Scorecard) -> None:
        guesses = [
            baselines.lists(item, self.items.tables[item.document], self.items.frequent)
            for item in self.coref
        ]
        for name in baselines.NAMES:
            for k in (1, LISTED):
                hits = [
                    item.string in guess[name][:k] for item, guess in zip(self.coref, guesses, strict=True)
                ]
                card.metrics[f"baseline_{name}_top{k}"] = float(np.mean(hits)) if hits else 0.0
