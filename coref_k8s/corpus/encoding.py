"""One document as tokens: ids, word starts, sentence starts and the mentions that match token boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from coref_k8s.text.alignment import token_spans
from coref_k8s.text.document import Document


@dataclass(frozen=True, slots=True)
class Encoded:
    """A document's tokens, without special tokens."""

    ids: np.ndarray
    """Token ids, int32 (tokens)."""
    word_starts: np.ndarray
    """Whether a token begins a word, bool (tokens)."""
    sentences: np.ndarray
    """Token index of every sentence start, ascending, int32 (sentences)."""
    mentions: np.ndarray
    """Rows of (start token, end token exclusive, entity), by start, int32 (mentions, 3)."""
    candidates: int
    """Mentions before those were dropped that do not match token boundaries."""


def encode(document: Document, noun_runs: Sequence[int], sentences: Sequence[int], tokenizer: Any) -> Encoded:
    """Tokenise a document. `noun_runs` and `sentences` are flat character offsets (start, end, ...).

    Mentions are the gold chains' where the document has them, else all noun runs, equal strings being one
    entity. Raises ModelError when the tokeniser gives no character offsets.
    """
    tokens = token_spans(tokenizer, document.text)
    sentence_starts = sorted({tokens.covering(char, char)[0] for char in sentences[::2]} | {0})
    spans: list[tuple[int, int, int]] = []
    candidates = 0
    for start, end, entity in _mentions(document, noun_runs):
        candidates += 1
        if span := tokens.exactly(start, end):
            spans.append((*span, entity))
    return Encoded(
        ids=np.asarray(tokens.ids, dtype=np.int32),
        word_starts=np.asarray(tokens.word_starts, dtype=bool),
        sentences=np.asarray([s for s in sentence_starts if s < len(tokens)] or [0], dtype=np.int32),
        mentions=np.asarray(spans, dtype=np.int32).reshape(-1, 3),
        candidates=candidates,
    )


def _mentions(document: Document, noun_runs: Sequence[int]) -> list[tuple[int, int, int]]:
    numbers: dict[str, int] = {}
    if document.clusters:
        return [(s, e, numbers.setdefault(name, len(numbers))) for s, e, name in document.mentions()]
    pairs = zip(noun_runs[::2], noun_runs[1::2], strict=True)
    return [(s, e, numbers.setdefault(document.text[s:e], len(numbers))) for s, e in pairs]
