"""CoNLL scores of a masked language model: gold mentions are given, each is linked or begins a new cluster.

The antecedents are the strings of earlier gold mentions in the window (names, not pronouns), scored as in closed
scoring; the mention joins the nearest earlier mention with the best string when that stands out from the mean by
more than tau. Never to be mixed with Coref F1 in one column.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from coref_k8s.evaluation.arms import assemble
from coref_k8s.evaluation.closed import MAX_LENGTHS
from coref_k8s.evaluation.conll_items import ConllItem
from coref_k8s.evaluation.coreference.statistics import STATISTICS, counts
from coref_k8s.evaluation.items import ItemSet
from coref_k8s.evaluation.passes import Answer, Pass
from coref_k8s.evaluation.scorecard import Scorecard
from coref_k8s.evaluation.vocabulary import Vocabulary

#: Antecedents of one mention: (tokens, index of the nearest earlier mention), by number of tokens.
Antecedents = dict[int, list[tuple[tuple[int, ...], int]]]


class ConllPart:
    """Asks and scores the gold mentions of as many whole documents as `limit` mentions allow, at least one."""

    def __init__(self, items: ItemSet, vocabulary: Vocabulary, limit: int) -> None:
        self.items, self.vocabulary = items, vocabulary
        by_document: dict[int, list[ConllItem]] = defaultdict(list)
        for item in items.conll:
            by_document[item.document].append(item)
        self.documents: list[list[ConllItem]] = []
        total = 0
        for mentions in by_document.values():
            if self.documents and total + len(mentions) > limit:
                break
            self.documents.append(mentions)
            total += len(mentions)
        self._antecedents = [
            [self._before(mentions, i) for i in range(len(mentions))] for mentions in self.documents
        ]

    def ask(self) -> list[Pass]:
        """One pass for each mention and length of its antecedents."""
        passes = []
        for mentions, antecedents in zip(self.documents, self._antecedents, strict=True):
            for item, choices in zip(mentions, antecedents, strict=True):
                ids, (start, end), (first, last) = (
                    self.items.tables[item.document].ids,
                    item.window,
                    item.target,
                )
                for length, group in choices.items():
                    pieces = [tokens for tokens, _ in group]
                    passes.append(
                        assemble(
                            ids[start:first],
                            length,
                            ids[last:end],
                            self.vocabulary,
                            self.items.seq_len,
                            pieces,
                        )
                    )
        return passes

    def score(self, answers: Sequence[Answer], card: Scorecard) -> None:
        """Link, and compare the clusters with the gold ones."""
        pending = iter(answers)
        pairs = []
        for mentions, antecedents in zip(self.documents, self._antecedents, strict=True):
            cluster: list[int] = []
            for number, choices in enumerate(antecedents):
                target = self._link(choices, [next(pending) for _ in choices], card.tau)
                cluster.append(number if target is None else cluster[target])
            key: dict[str, set[int]] = defaultdict(set)
            response: dict[int, set[int]] = defaultdict(set)
            for number, item in enumerate(mentions):
                key[item.entity].add(number)
                response[cluster[number]].add(number)
            pairs.append(([frozenset(c) for c in key.values()], [frozenset(c) for c in response.values()]))
        card.count("conll", sum(map(len, self.documents)), ["conll_*"])
        sums = counts(pairs).sum(axis=0)
        for name, statistic in STATISTICS.items():
            if not name.startswith("mention_"):
                card.metrics[f"conll_{name.removeprefix('conll_')}"] = float(statistic(sums))

    def _before(self, mentions: Sequence[ConllItem], number: int) -> Antecedents:
        """Strings of earlier mentions that end before this one and lie in its window."""
        item = mentions[number]
        nearest: dict[tuple[int, ...], int] = {}
        for index in range(number):
            other = mentions[index]
            inside = other.target[0] >= item.window[0] and other.target[1] <= item.target[0]
            if inside and other.names and other.pieces:
                nearest[tuple(other.pieces)] = index
        common = Counter(map(len, nearest))
        kept = sorted(common, key=lambda n: (-common[n], n))[:MAX_LENGTHS]
        return {
            n: [(pieces, index) for pieces, index in nearest.items() if len(pieces) == n]
            for n in sorted(kept)
        }

    @staticmethod
    def _link(choices: Antecedents, answers: Sequence[Answer], tau: float) -> int | None:
        """Index of the mention that this one joins, or None."""
        if not choices:
            return None
        scores = np.concatenate([answer.candidate_scores for answer in answers])
        targets = [index for group in choices.values() for _, index in group]
        best = int(scores.argmax())
        return targets[best] if float(scores[best] - scores.mean()) > tau else None
