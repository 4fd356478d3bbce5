"""Packs chunks of several documents into sequences, so that little padding is computed.

Best-fit decreasing over a buffer of chunks; what then leaves more than 5 % of a sequence empty is topped up
with the first sentences of a chunk that fits nowhere. Each chunk keeps its own [CLS] and [SEP] and its own
segment number, by which attention keeps documents apart.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from random import Random

import numpy as np

from coref_k8s.corpus.chunking import links_across
from coref_k8s.corpus.encoding import Encoded

#: Special tokens that each chunk brings ([CLS] and [SEP]).
SPECIALS = 2
#: Share of a sequence that may stay empty.
SLACK = 0.05
#: Sequences' worth of chunks that are packed at a time: more pack better and take more memory.
BUFFER = 256
#: Fewest tokens that are worth a segment of their own.
SHORTEST = 16


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens [start, end) of a document."""

    encoded: Encoded
    start: int
    end: int

    @property
    def size(self) -> int:
        """Positions it takes, with its special tokens."""
        return self.end - self.start + SPECIALS


class Packer:
    """Takes pieces one by one and gives sequences: lists of pieces of at most `seq_len` positions together.

    Every token of every piece comes out exactly once; only the last sequence may be much emptier than the rest.
    """

    def __init__(self, seq_len: int, seed: int) -> None:
        self._seq_len = seq_len
        self._rng = Random(f"pack:{seed}:{seq_len}")
        self._waiting: list[Piece] = []
        self._size = 0

    def add(self, piece: Piece) -> list[list[Piece]]:
        """Take a piece; return the sequences that are complete, mostly none."""
        self._waiting.append(piece)
        self._size += piece.size
        if self._size < BUFFER * self._seq_len:
            return []
        full, self._waiting = _pack(self._waiting, self._seq_len)
        self._size = sum(piece.size for piece in self._waiting)
        self._rng.shuffle(full)
        return full

    def finish(self) -> list[list[Piece]]:
        """Return the sequences of what is left."""
        full, rest = _pack(self._waiting, self._seq_len)
        self._waiting, self._size = [], 0
        self._rng.shuffle(full)
        return full + _best_fit(rest, self._seq_len)


def _pack(pieces: list[Piece], seq_len: int) -> tuple[list[list[Piece]], list[Piece]]:
    """Return sequences that are full up to the slack, and the pieces that are left."""
    bins = sorted(_best_fit(pieces, seq_len), key=_size)
    full: list[list[Piece]] = []
    slack = int(SLACK * seq_len)
    while bins:
        fullest = bins.pop()
        if seq_len - _size(fullest) > slack:
            _top_up(fullest, bins, seq_len)
        if seq_len - _size(fullest) > slack and not bins:
            return full, fullest
        full.append(fullest)
    return full, []


def _best_fit(pieces: list[Piece], seq_len: int) -> list[list[Piece]]:
    bins: list[list[Piece]] = []
    room: list[tuple[int, int]] = []  # (free positions, number of the bin), ascending
    for piece in sorted(pieces, key=lambda piece: -piece.size):
        place = bisect_left(room, (piece.size, -1))
        if place == len(room):
            bins.append([piece])
            free, number = seq_len, len(bins) - 1
        else:
            free, number = room.pop(place)
            bins[number].append(piece)
        insort(room, (free - piece.size, number))
    return bins


def _top_up(target: list[Piece], bins: list[list[Piece]], seq_len: int) -> None:
    """Fill `target` with the first sentences of pieces from the emptiest bins."""
    tried = 0
    while bins and tried < 8 and seq_len - _size(target) > int(SLACK * seq_len):
        donor = bins[0]
        room = seq_len - _size(target)
        piece = donor.pop()
        if piece.size <= room:
            target.append(piece)
        elif cut := _cut(piece, room - SPECIALS):
            target.append(Piece(piece.encoded, piece.start, cut))
            donor.append(Piece(piece.encoded, cut, piece.end))
            tried += 1
        else:
            donor.append(piece)
            tried += 1
            bins.append(bins.pop(0))
        if donor == []:
            bins.remove(donor)
    bins.sort(key=_size)


def _cut(piece: Piece, room: int) -> int | None:
    """Return the sentence start that fills `room` best with the fewest torn links, or None."""
    encoded = piece.encoded
    low = max(piece.start + SHORTEST, piece.start + room // 2)
    high = min(piece.start + room, piece.end - SHORTEST)
    first, last = np.searchsorted(encoded.sentences, [low, high + 1])
    if first >= last:
        return None
    inside = encoded.sentences[first:last]
    costs = links_across(encoded)[inside]
    return int(inside[np.flatnonzero(costs == costs.min())[-1]])


def _size(sequence: list[Piece]) -> int:
    return sum(piece.size for piece in sequence)
