"""Cuts a document at sentence boundaries, where the fewest chains are torn."""

from __future__ import annotations

import numpy as np

from coref_k8s.corpus.encoding import Encoded

#: Last share of a chunk in which the cut is looked for: chains may cost a chunk this much of its length.
SEARCHED = 0.25


def chunk(encoded: Encoded, limit: int) -> list[tuple[int, int]]:
    """Return (start, end) token spans of at most `limit` tokens that cover the document.

    A cut lies at a sentence start in the last quarter of the limit, at the one that separates the
    fewest links between neighbouring mentions of an entity; of equals, the last. A sentence that is longer
    is cut at a word, or, within a word of such length, anywhere.
    """
    total = len(encoded.ids)
    if total <= limit:
        return [(0, total)] if total else []
    torn = links_across(encoded)
    chunks = []
    start = 0
    while total - start > limit:
        end = best_cut(encoded, torn, start, start + int(limit * (1 - SEARCHED)), start + limit)
        chunks.append((start, end))
        start = end
    return [*chunks, (start, total)]


def best_cut(encoded: Encoded, torn: np.ndarray, start: int, low: int, high: int) -> int:
    """Return where to cut after `start`: a sentence start in [low, high], else the last one before, else a word."""
    sentences = encoded.sentences
    first, last = np.searchsorted(sentences, [low, high + 1])
    if first < last:
        inside = sentences[first:last]
        costs = torn[inside]
        return int(inside[np.flatnonzero(costs == costs.min())[-1]])
    if first and sentences[first - 1] > start:
        return int(sentences[first - 1])
    words = np.flatnonzero(encoded.word_starts[start + 1 : high + 1])
    return int(start + 1 + words[-1]) if len(words) else high


def links_across(encoded: Encoded) -> np.ndarray:
    """Return, for every token index, how many links a cut before that token would tear, int32 (tokens + 1)."""
    change = np.zeros(len(encoded.ids) + 1, dtype=np.int32)
    last: dict[int, int] = {}
    for start, end, entity in encoded.mentions.tolist():
        if entity in last:
            # torn by a cut behind the first token of the mention before and up to the end of this one
            change[last[entity] + 1] += 1
            change[end] -= 1
        last[entity] = start
    return np.cumsum(change, dtype=np.int32)
