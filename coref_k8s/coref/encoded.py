"""A document as the coreference head sees it: tokens, sentences in tokens, gold mentions as the tokens that cover them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from coref_k8s.coref.reading import Reading, quotations, read
from coref_k8s.text.alignment import Tokens, token_spans
from coref_k8s.text.document import Document


@dataclass(eq=False)
class EncodedDocument:
    """A tokenised text with its sentences and gold mentions. Token spans are (first, end exclusive)."""

    doc_id: str
    reading: Reading
    tokens: Tokens
    trims: bool
    """Whether mentions end before particles, as the model's training data have them."""
    sentences: np.ndarray
    """Token spans, int32 (sentences, 2), in order and without overlap; a mention lies in one of them."""
    mentions: np.ndarray
    """Rows of (first, end, entity) of the gold mentions, by first, longer first: int32 (mentions, 3)."""
    lost: int = 0
    """Gold mentions that share their tokens with another or cross a sentence, and so are not learnt."""

    @property
    def text(self) -> str:
        """The text itself."""
        return self.reading.text

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def _cut(self) -> dict[tuple[int, int], tuple[int, int]]:
        return {}

    @cached_property
    def ids(self) -> np.ndarray:
        """Token ids, int64 (tokens), without special tokens."""
        return np.asarray(self.tokens.ids, dtype=np.int64)

    @cached_property
    def quotes(self) -> np.ndarray:
        """Number of the quotation that a token stands in, 0 for none: int32 (tokens)."""
        numbers = np.zeros(len(self), dtype=np.int32)
        for number, (start, end) in enumerate(quotations(self.text), start=1):
            first, stop = self.tokens.covering(start, end)
            numbers[first:stop] = number
        return numbers

    def holds(self, first: int, stop: int) -> bool:
        """Return whether these tokens lie in one sentence, as every mention does."""
        place = int(np.searchsorted(self.sentences[:, 0], first, side="right")) - 1
        return place >= 0 and first < stop <= int(self.sentences[place, 1])

    def characters(self, first: int, stop: int) -> tuple[int, int]:
        """Return the characters of a mention that covers these tokens."""
        span = self._cut.get((first, stop))
        if span is None:
            start, end = self.tokens.starts[first], self.tokens.ends[stop - 1]
            span = self.reading.cut(start, end) if self.trims else (start, end)
            self._cut[first, stop] = span
        return span

    def surface(self, first: int, stop: int) -> str:
        """Return the words of a mention that covers these tokens."""
        start, end = self.characters(first, stop)
        return self.text[start:end]


def encode_document(document: Document, tokenizer: Any, trims: bool, longest: int) -> EncodedDocument:
    """Tokenise and analyse a document of any length.

    `longest` (tokens) bounds a sentence: a longer one is cut, so that a window can hold it. Raises ModelError when
    the tokeniser gives no offsets, MissingDependencyError without Kiwi.
    """
    return _encode(document, read(document.text), tokenizer, trims, longest)


def encode_documents(
    documents: Iterable[Document], tokenizer: Any, longest: int
) -> tuple[list[EncodedDocument], Coverage]:
    """Encode documents to train on, and decide by their gold mentions whether mentions end before particles."""
    readings = [(document, read(document.text)) for document in documents]
    coverage = _coverage(readings, tokenizer)
    return [
        _encode(document, reading, tokenizer, coverage.trims, longest) for document, reading in readings
    ], (coverage)


@dataclass(frozen=True)
class Coverage:
    """What a model has to know of its training data: whether mentions hold particles, whether entities stand alone.

    The counts are of gold mentions that can be given back exactly from the tokens that cover them.
    """

    mentions: int
    whole: int
    """As the covering tokens stand."""
    trimmed: int
    """After particles and endings are cut off."""
    alone: int = 0
    """Entities with a single mention."""

    @property
    def trims(self) -> bool:
        """Whether cutting particles off gives back more of them."""
        return self.trimmed > self.whole

    @property
    def singletons(self) -> bool:
        """Whether the data have entities with a single mention."""
        return self.alone > 0

    @property
    def share(self) -> float:
        """Share that can be represented: the ceiling of exact scores. 1 when there are no mentions."""
        return max(self.whole, self.trimmed) / self.mentions if self.mentions else 1.0


def representable(documents: Iterable[Document], tokenizer: Any) -> Coverage:
    """Count the gold mentions that can be given back exactly from whole tokens, with and without their particles."""
    return _coverage([(document, read(document.text)) for document in documents], tokenizer)


def _coverage(readings: Sequence[tuple[Document, Reading]], tokenizer: Any) -> Coverage:
    count = whole = trimmed = 0
    for document, reading in readings:
        tokens = token_spans(tokenizer, document.text)
        for start, end, _ in document.mentions():
            count += 1
            first, stop = tokens.covering(start, end)
            if first < stop:
                span = tokens.starts[first], tokens.ends[stop - 1]
                whole += span == (start, end)
                trimmed += reading.cut(*span) == (start, end)
    alone = sum(len(spans) == 1 for document, _ in readings for spans in document.clusters.values())
    return Coverage(count, whole, trimmed, alone)


def _encode(
    document: Document, reading: Reading, tokenizer: Any, trims: bool, longest: int
) -> EncodedDocument:
    tokens = token_spans(tokenizer, document.text)
    sentences = _sentences(reading.sentences, tokens, longest)
    firsts = sentences[:, 0].tolist()
    numbers: dict[str, int] = {}
    found: dict[tuple[int, int], int] = {}
    lost = 0
    for start, end, name in document.mentions():
        first, stop = tokens.covering(start, end)
        place = bisect_right(firsts, first) - 1
        if first >= stop or place < 0 or stop > sentences[place, 1] or (first, stop) in found:
            lost += 1
        else:
            found[first, stop] = numbers.setdefault(name, len(numbers))
    rows = sorted(((first, stop, entity) for (first, stop), entity in found.items()), key=_reading_order)
    mentions = np.asarray(rows, dtype=np.int32).reshape(-1, 3)
    return EncodedDocument(document.doc_id, reading, tokens, trims, sentences, mentions, lost)


def _reading_order(mention: tuple[int, int, int]) -> tuple[int, int]:
    return mention[0], -mention[1]


def _sentences(sentences: Sequence[tuple[int, int]], tokens: Tokens, longest: int) -> np.ndarray:
    """Turn sentences into token spans that cover every token once, each of at most `longest` tokens."""
    bounds = sorted({tokens.covering(start, start)[0] for start, _ in sentences} | {0, len(tokens)})
    rows = []
    for first, stop in pairwise(bounds):
        rows += [(at, min(at + longest, stop)) for at in range(first, stop, longest)]
    return np.asarray(rows, dtype=np.int32).reshape(-1, 2)
