"""Scores chains of character spans against the gold chains of documents; METRICS by the literature they come from."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from functools import cached_property

from coref_k8s.evaluation.coreference import breakdown
from coref_k8s.evaluation.coreference.baselines import baselines
from coref_k8s.evaluation.coreference.matching import Headed, by_head, headed
from coref_k8s.evaluation.coreference.metrics import clusters_of
from coref_k8s.evaluation.coreference.result import CorefScores, Scores
from coref_k8s.evaluation.coreference.statistics import STATISTICS, counts
from coref_k8s.evaluation.intervals import estimate
from coref_k8s.evaluation.sums import Array, by_group
from coref_k8s.text.document import Document
from coref_k8s.text.korean import Analysis, analyse
from coref_k8s.text.words import Span, Words

#: Chains of one document, as character spans.
Chains = Iterable[Iterable[Span]]

_WITHOUT = "-no-singletons"


class Key:
    """Gold documents to score against; what does not depend on the response is found once.

    `groups` names the work that each document is a part of, by default its own: one unit of resampling. `tokens` are the
    characters of each document's tokens, which distances are counted in; without them there are none.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        *,
        groups: Sequence[str] | None = None,
        tokens: Sequence[Sequence[Span]] | None = None,
    ) -> None:
        self.documents = documents
        own = (document.group or document.doc_id for document in documents)
        self.groups = list(own if groups is None else groups)
        self._tokens = tokens if tokens is not None else [None] * len(documents)
        self.heads = bool(documents) and all(document.words for document in documents)

    @cached_property
    def _analyses(self) -> list[Analysis]:
        return [analyse(document.text) for document in self.documents]

    @cached_property
    def _anaphors(self) -> list[list[breakdown.Anaphor]]:
        return [
            breakdown.anaphors(document, analysis, tokens)
            for document, analysis, tokens in zip(self.documents, self._analyses, self._tokens, strict=True)
        ]

    @cached_property
    def _baselines(self) -> list[dict[str, list[list[Span]]]]:
        pairs = zip(self.documents, self._analyses, strict=True)
        return [dict(baselines(document, analysis)) for document, analysis in pairs]

    def score(
        self,
        responses: Sequence[Chains],
        *,
        singletons: bool = True,
        linked: Sequence[Chains] | None = None,
        full: bool = True,
    ) -> CorefScores:
        """Score chains, one set a document. See `score_documents`."""
        answers = self._answers(responses)
        matching = self._matching
        headline = self._headline(singletons)
        names = [headline]
        if full:
            every = [
                way + ending
                for way in ("exact", *(["head"] if self.heads else []))
                for ending in ("", _WITHOUT)
            ]
            names += [name for name in every if name != headline]
        found = {name: self._counts(answers, name) for name in names}

        def scores(counts: Array) -> Scores:
            sums = by_group(counts, self.groups)
            return {name: estimate(sums, statistic, 0.0, 1.0) for name, statistic in STATISTICS.items()}

        without_model = {}
        types: list[dict[str, breakdown.Recall]] = []
        distances: list[dict[str, breakdown.Recall]] = []
        if full:
            for name in self._baselines[0] if self._baselines else ():
                without_model[name] = scores(self.counts([one[name] for one in self._baselines], singletons))
            for document, anaphors, answer in zip(self.documents, self._anaphors, answers, strict=True):
                key = _chains(document.clusters.values())
                hits = breakdown.linked(anaphors, self._as_key(key, answer, document.words, matching))
                types.append(breakdown.by_type(anaphors, hits))
                distances.append(breakdown.by_distance(anaphors, hits))
        return CorefScores(
            headline=headline,
            views={name: scores(one) for name, one in found.items()},
            gold=scores(self.counts(linked, singletons)) if linked is not None else {},
            baselines=without_model,
            types=breakdown.added(types),
            distances=breakdown.added(distances),
            counts=found[headline],
        )

    def counts(self, responses: Sequence[Chains], singletons: bool = True) -> Array:
        """Count chains, one set a document, in the headline's view: (documents, COLUMNS)."""
        return self._counts(self._answers(responses), self._headline(singletons))

    @property
    def _matching(self) -> str:
        return "head" if self.heads else "exact"

    def _headline(self, singletons: bool) -> str:
        return self._matching if singletons else self._matching + _WITHOUT

    def _answers(self, responses: Sequence[Chains]) -> list[list[list[Span]]]:
        answers = [_chains(chains) for chains in responses]
        if len(answers) != len(self.documents):
            raise ValueError(f"{len(answers)} responses to {len(self.documents)} documents")
        return answers

    def _counts(self, answers: Sequence[list[list[Span]]], view: str) -> Array:
        matching = view.removesuffix(_WITHOUT)
        pairs = []
        for document, answer in zip(self.documents, answers, strict=True):
            key: list[list[Span]] = _chains(document.clusters.values())
            if view != matching:
                # before mentions are matched, as the scorers do
                key, answer = _repeated(key), _repeated(answer)
            pairs.append((clusters_of(key), clusters_of(self._as_key(key, answer, document.words, matching))))
        return counts(pairs)

    @staticmethod
    def _as_key(
        key: list[list[Span]], answer: list[list[Span]], words: Words | None, matching: str
    ) -> list[list[Hashable]]:
        """Return response chains with each mention that matches a key mention named as that one."""
        if matching == "exact" or not words:
            return [list(chain) for chain in answer]
        spans = {
            mention: span
            for chain in key
            for span, mention in zip(chain, headed([chain], words)[0], strict=True)
        }
        # what is predicted has the tree's heads, as a system's output has in the scorer
        response = headed(answer, Words(words.spans, words.parents))
        match: dict[Headed, Headed] = by_head([list(spans)], response)
        return [
            [spans[match[one]] if one in match else ("unmatched", one) for one in chain] for chain in response
        ]


def score_documents(
    keys: Sequence[Document],
    responses: Sequence[Chains],
    *,
    singletons: bool = True,
    linked: Sequence[Chains] | None = None,
    groups: Sequence[str] | None = None,
    tokens: Sequence[Sequence[Span]] | None = None,
    full: bool = True,
) -> CorefScores:
    """Score predicted chains of documents; micro over documents, intervals over documents or their groups.

    Mentions match by their heads where every document has its words, else by equal spans. `singletons` tells whether
    they count in the headline: drop them where the training data have none. `linked` are chains of the gold mentions,
    for `gold`. `full=False` leaves out the other views, the baselines and the breakdown, and with them Kiwi. To score
    often against the same documents, keep a `Key`.
    """
    return Key(keys, groups=groups, tokens=tokens).score(
        responses, singletons=singletons, linked=linked, full=full
    )


def _chains(chains: Chains) -> list[list[Span]]:
    return [[(int(start), int(end)) for start, end in chain] for chain in chains]


def _repeated(chains: list[list[Span]]) -> list[list[Span]]:
    return [chain for chain in chains if len(set(chain)) > 1]
