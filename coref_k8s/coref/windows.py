"""Windows over a document that is longer than the encoder reads at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from random import Random

import numpy as np

from coref_k8s.coref.encoded import EncodedDocument


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens [start, end) of a document that are encoded together, and the sentences that are read from it."""

    document: EncodedDocument
    start: int
    end: int
    sentences: np.ndarray
    """Token spans in the document (sentences, 2), all within the window."""


def overlapping(document: EncodedDocument, size: int) -> list[Window]:
    """Cover a document with windows of `size` tokens that overlap by half.

    A sentence is read from the window in which it has most context on its poorer side; the edge of the document
    is no lack of context. Sentences are at most `size` // 2 long, so each lies whole in a window.
    """
    sentences = document.sentences
    if not len(sentences):
        return []
    length = int(sentences[-1, 1])
    stride = size - size // 2
    starts = np.unique(np.minimum(np.arange(0, length, stride), max(0, length - size)))
    ends = np.minimum(starts + size, length)
    left = np.where(starts == 0, length, sentences[:, :1] - starts)
    right = np.where(ends == length, length, ends - sentences[:, 1:])
    inside = (sentences[:, :1] >= starts) & (sentences[:, 1:] <= ends)
    best = np.where(inside, np.minimum(left, right), -1).argmax(axis=1)
    return [
        Window(document, int(starts[number]), int(ends[number]), sentences[best == number])
        for number in np.unique(best).tolist()
    ]


def disjoint(document: EncodedDocument, size: int, rng: Random) -> list[Window]:
    """Cut a document into windows of whole sentences and at most `size` tokens, to train on.

    The first cut is drawn, so that every pass over a document sees other windows.
    """
    sentences = document.sentences
    if not len(sentences):
        return []
    lengths = np.diff(sentences, axis=1)[:, 0]
    windows: list[Window] = []
    first = taken = 0
    room = rng.randint(size // 4, size)
    for number, length in enumerate(lengths.tolist()):
        if number > first and taken + length > room:
            windows.append(_of(document, sentences[first:number]))
            first, taken, room = number, 0, size
        taken += length
    windows.append(_of(document, sentences[first:]))
    return windows


def passes(
    windows: Sequence[Window], length: Callable[[Window], int], most: int
) -> Iterator[Sequence[Window]]:
    """Share windows out to forward passes: those of one `length` (tokens, padding included), `most` tokens together.

    What stands beside a window changes neither its padding nor, therefore, its states.
    """
    for tokens, equal in groupby(sorted(windows, key=length), key=length):
        group, size = list(equal), max(1, most // tokens)
        yield from (group[first : first + size] for first in range(0, len(group), size))


def pools(
    documents: Iterable[EncodedDocument], size: int, tokens: int
) -> Iterator[list[tuple[EncodedDocument, list[Window]]]]:
    """Yield documents with their overlapping windows, as many together as have so many tokens."""
    pool: list[tuple[EncodedDocument, list[Window]]] = []
    waiting = 0
    for document in documents:
        plan = overlapping(document, size)
        pool.append((document, plan))
        waiting += sum(window.end - window.start for window in plan)
        if waiting >= tokens:
            yield pool
            pool, waiting = [], 0
    if pool:
        yield pool


def _of(document: EncodedDocument, sentences: np.ndarray) -> Window:
    return Window(document, int(sentences[0, 0]), int(sentences[-1, 1]), sentences)
