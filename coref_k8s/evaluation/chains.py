"""Scores a coreference model end to end on whole documents with gold chains: `evaluate`'s counterpart.

chains = ChainSet.of(documents, model)
dev = evaluate_chains(model, chains, weights={"conll_f1": 1.0}, full=True)
model.settle(dev.thresholds)
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import accumulate

import torch

from coref_k8s.coref.encoded import EncodedDocument, encode_document
from coref_k8s.coref.model import CorefModel, Thresholds
from coref_k8s.coref.prediction import WINDOWS, Check, Found, link_gold, nothing, predict_at
from coref_k8s.errors import OutOfMemoryError, UnusableTextError
from coref_k8s.evaluation import registry
from coref_k8s.evaluation.composite import Composite, available
from coref_k8s.evaluation.coreference.scoring import Key
from coref_k8s.evaluation.coreference.statistics import COLUMNS, STATISTICS
from coref_k8s.evaluation.result import EvaluationResult, ItemScores, Sample
from coref_k8s.evaluation.sharing import Together, answered
from coref_k8s.text.document import Document
from coref_k8s.text.tokenisers import rules_of
from coref_k8s.text.words import Span

#: Chains of each document, as character spans.
Chains = Sequence[Sequence[Sequence[Span]]]
#: What is found in each document, by the threshold of linked mentions.
Findings = Mapping[float, Sequence[Found]]

#: What thresholds are looked for among, one after the other; of equals the first serves.
LINKED = (0.25, 0.15, 0.35, 0.5)
ALONE = (0.6, 0.4, 0.5, 0.7, 0.8)
#: A quick evaluation reads documents from the first on until it has this share of the tokens, but no fewer documents
#: than this.
QUICK_SHARE, QUICK_DOCUMENTS = 0.25, 4
#: Most characters of a document that a result shows.
SAMPLE = 600


class ChainSet:
    """Whole documents with gold chains, encoded for the models of one tokeniser and window."""

    def __init__(self, documents: Sequence[Document], encoded: Sequence[EncodedDocument]) -> None:
        """Raise UnusableTextError when no document has a gold chain."""
        self.documents = list(documents)
        self.mentions = sum(len(spans) for document in documents for spans in document.clusters.values())
        """Gold mentions."""
        if not self.mentions:
            raise UnusableTextError("evaluation.no-chains", documents=len(documents))
        self.encoded = list(encoded)
        spans = [list(zip(one.tokens.starts, one.tokens.ends, strict=True)) for one in encoded]
        self.key = Key(self.documents, tokens=spans)

    @classmethod
    def of(cls, documents: Iterable[Document], model: CorefModel) -> ChainSet:
        """Encode documents as a model reads them, with particles or without as it learnt."""
        documents = list(documents)
        trims, longest = model.config.trims, model.longest_sentence
        return cls(documents, [encode_document(one, model.tokenizer, trims, longest) for one in documents])

    @cached_property
    def sha256(self) -> str:
        """Hash of the texts and their chains, whatever the tokeniser."""
        return sha256_of(self.documents)

    @cached_property
    def beginning(self) -> ChainSet:
        """What a quick evaluation reads."""
        sums = list(accumulate(map(len, self.encoded)))
        count = sum(total <= QUICK_SHARE * sums[-1] for total in sums)
        with_chains = next(number for number, one in enumerate(self.documents) if any(one.clusters.values()))
        count = max(count, QUICK_DOCUMENTS, with_chains + 1)
        return ChainSet(self.documents[:count], self.encoded[:count])

    @cached_property
    def exact(self) -> int:
        """Gold mentions that whole tokens, cut as the model cuts them, give back exactly: no model finds more."""
        found = 0
        for document, encoded in zip(self.documents, self.encoded, strict=True):
            for start, end, _ in document.mentions():
                first, stop = encoded.tokens.covering(start, end)
                found += first < stop and encoded.characters(first, stop) == (start, end)
        return found


def sha256_of(documents: Iterable[Document]) -> str:
    """Return a hash of texts and their chains."""
    rows = [[one.doc_id, one.group, one.text, list(one.mentions())] for one in documents]
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()


def evaluate_chains(
    model: CorefModel,
    chain_set: ChainSet,
    *,
    weights: Mapping[str, float],
    full: bool,
    thresholds: Mapping[str, float] | None = None,
    check: Check | None = None,
    windows: int = WINDOWS,
    together: Together | None = None,
) -> EvaluationResult:
    """Score a model in evaluation mode.

    `full=False` is the quick evaluation between training steps: the first documents, by the model's thresholds; no
    intervals, the same names. A full one scores all documents, gold mentions linked, and what needs no model.
    `thresholds` (`linked`, `alone`) are those of the dev result when test documents are scored; found on these documents
    when None. `check` is called between forward passes and may raise. `windows`: windows of a forward pass, fewer
    where they do not fit. Processes that are `together` share the documents out, and each returns the whole result.

    Raises RequestError for an unknown weight, OutOfMemoryError when a single window does not fit.
    """
    registry.check_weights(weights, "coreference")
    begun = time.monotonic()
    asked = chain_set if full else chain_set.beginning
    singletons = model.config.singletons
    given = Thresholds(**thresholds) if thresholds else None if full else model.config.thresholds
    tried = [given.linked] if given else LINKED
    found, linked = _read(model, asked, tried, full, check or nothing, windows, together)
    used = given or _best(asked, found, weights, singletons)
    chains = _chains(asked, found, used)
    scores = asked.key.score(chains, singletons=singletons, linked=linked, full=full)
    metrics = scores.metrics() if full else {name: one.value for name, one in scores.scores.items()}
    counts = {"documents": len(asked.documents), "mentions": asked.mentions}
    if full:
        metrics["representable"] = asked.exact / asked.mentions
        counts |= {name: one.n for name, one in scores.recalls.items()}
    custom, warnings = registry.computed(weights, model, model.tokenizer, asked, full=full)
    metrics |= custom
    metrics["score"] = sum(weight * metrics[name] for name, weight in weights.items())
    columns = dict(zip(COLUMNS, scores.counts.T.tolist(), strict=True))
    items = {
        "chains": ItemScores(
            [f"{one.doc_id}@{one.digest}" for one in asked.documents], asked.key.groups, columns
        )
    }
    if full and all(available(name, [items]) for name in weights):
        metrics |= Composite(weights, [items]).estimate().named("score")
    return EvaluationResult(
        metrics=metrics,
        counts=counts,
        buckets=[],
        thresholds={"linked": used.linked, "alone": used.alone},
        warnings=warnings,
        item_scores=items,
        items_sha256=asked.sha256,
        tokenizer=hashlib.sha256(rules_of(model.tokenizer).encode()).hexdigest(),
        seq_len=model.config.seq_len,
        weights=dict(weights),
        full=full,
        seconds=time.monotonic() - begun,
        view=scores.headline,
        sample=_sample(asked, chains, singletons) if full else None,
    )


def _sample(asked: ChainSet, chains: Chains, singletons: bool) -> Sample:
    """Return where the first document with chains begins, up to the end of a sentence."""
    number = next(number for number, one in enumerate(asked.documents) if any(one.clusters.values()))
    document = asked.documents[number]
    ends = [end for _, end in asked.encoded[number].reading.sentences if end <= SAMPLE]
    until = max(ends, default=SAMPLE)

    def shown(chains: Iterable[Sequence[Span]]) -> list[list[list[int]]]:
        sizes = [(len(spans), [list(span) for span in spans if span[1] <= until]) for spans in chains]
        return [inside for size, inside in sizes if inside and (singletons or size > 1)]

    return Sample(
        document.doc_id, document.text[:until], shown(chains[number]), shown(document.clusters.values())
    )


def _read(
    model: CorefModel,
    asked: ChainSet,
    tried: Sequence[float],
    gold: bool,
    check: Check,
    windows: int,
    together: Together | None,
) -> tuple[Findings, Chains | None]:
    """Return what the model finds at each threshold tried, and with `gold` how it links the gold mentions."""
    parts = 1 if together is None else together.size
    numbers = [range(first, len(asked.encoded), parts) for first in range(parts)]

    def link(number: int) -> Sequence[Sequence[Span]]:
        mentions = (mention[:2] for mention in asked.documents[number].mentions())
        return link_gold(model, asked.encoded[number], mentions, windows=windows, check=check)

    def read(part: range) -> list[tuple[list[Found], Sequence[Sequence[Span]] | None]]:
        found = list(predict_at(model, [asked.encoded[n] for n in part], tried, windows=windows, check=check))
        linked = [link(number) if gold else None for number in part]
        return list(zip(found, linked, strict=True))

    try:
        answers = {
            number: one
            for part, some in zip(numbers, answered(numbers, read, together), strict=True)
            for number, one in zip(part, some, strict=True)
        }
        ordered = [answers[number] for number in range(len(asked.encoded))]
        found = {threshold: [one[place] for one, _ in ordered] for place, threshold in enumerate(tried)}
        return found, [one for _, one in ordered if one is not None] if gold else None
    except torch.OutOfMemoryError as error:
        if windows == 1:
            why = str(error).splitlines()[0]
            raise OutOfMemoryError("trial.evaluation-out-of-memory", why=why) from None
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return _read(model, asked, tried, gold, check, windows // 2, together)


def _chains(asked: ChainSet, found: Findings, thresholds: Thresholds) -> Chains:
    pairs = zip(found[thresholds.linked], asked.encoded, strict=True)
    return [one.settled(thresholds.alone).chains(encoded) for one, encoded in pairs]


def _best(asked: ChainSet, found: Findings, weights: Mapping[str, float], singletons: bool) -> Thresholds:
    """Return the thresholds with the highest objective, by CoNLL F1 where only custom metrics count."""
    wanted = {name: weight for name, weight in weights.items() if name in STATISTICS} or {"conll_f1": 1.0}

    def value(thresholds: Thresholds) -> float:
        sums = asked.key.counts(_chains(asked, found, thresholds), singletons).sum(axis=0)
        return sum(weight * float(STATISTICS[name](sums)) for name, weight in wanted.items())

    best = max((Thresholds(linked=linked) for linked in LINKED), key=value)
    if singletons:  # otherwise mentions alone are no part of an answer
        best = max((Thresholds(best.linked, alone) for alone in ALONE), key=value)
    return best
