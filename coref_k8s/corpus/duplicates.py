"""Near-duplicates: texts that share two thirds of the shorter one's letters, in runs of twelve.

Letters and digits alone count, so a copy without punctuation or with other blanks is one. A sketch of a text keeps the
hashes of its runs that lie below a bound: what part of one text stands in another can be told from two sketches
(containment, Broder 1997; the fraction kept is that of Irber et al. 2022), which MinHash signatures, of Jaccard
similarity, cannot do for a half or a chapter. tests/benchmarks/duplicates.py measures what is found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

#: Letters of a run, and the part of the shorter text's runs from which two texts are one. With 3 % of the words changed
#: 0.77 and more are left, with 10 % 0.49; unrelated novels share 0.006. Texts with much boilerplate (judgments, reports) share a half.
RUN, THRESHOLD = 12, 2 / 3
#: One in so many runs is kept of a text, but no fewer than these.
FRACTION, LEAST = 8, 64
#: Texts that a run leads to; one in more of them is a formula, and the texts of its kind have others.
_LED_TO = 8
#: A text shorter than this part of another that holds it is a piece of it.
_PIECE = 0.75
#: Shared runs from which two texts are compared, if both have more.
_SHARED = 2
_BEYOND = 1 << 32
_FACTORS = [np.uint64(factor) for factor in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)]
_SHIFT = np.uint64(32)
_SIGNS = re.compile(r"[\W_]+")

Hashes = npt.NDArray[np.uint32]


def sketch(text: str) -> bytes:
    """Return the sketch of a text: sorted little-endian uint32, before them the bound below which all of its hashes are kept."""
    letters = _SIGNS.sub("", text.casefold())
    if not letters:
        return np.array([_BEYOND - 1], "<u4").tobytes()
    codes = np.frombuffer(letters.encode("utf-32-le").ljust(4 * RUN, b"\0"), "<u4").astype(np.uint64)
    hashes = codes
    for width, factor in zip((1, 2, 4), _FACTORS, strict=True):  # of runs of 2, 4 and 8 letters
        hashes = hashes[:-width] * factor + hashes[width:]
        if width == 2:
            fours = hashes
    hashes = hashes[:-4] * _FACTORS[0] + fours[8:]
    hashes ^= hashes >> _SHIFT
    found = ((hashes * _FACTORS[1]) >> _SHIFT).astype(np.uint32)
    bound = _BEYOND // FRACTION
    kept = np.unique(found[found < bound])
    if len(kept) < LEAST:
        kept = np.unique(found)[:LEAST]
        bound = int(kept[-1]) + 1 if len(kept) == LEAST else _BEYOND
    return np.array([bound - 1, *kept], "<u4").tobytes()


def near_duplicates(sketches: Iterable[tuple[int, bytes]]) -> set[int]:
    """Return the keys of texts that are near-duplicates of one that came earlier in the order given.

    Where a text goes that holds an earlier one, its other pieces go too: the second half beside the first. Time and memory
    grow with the number of texts: 4 bytes for one of 8 letters.
    """
    keys, kept = [], []
    for key, one in sketches:
        keys.append(key)
        kept.append(np.frombuffer(one, "<u4"))
    pairs = [divmod(pair, len(kept)) for pair in _pairs([one[1:] for one in kept]).tolist()]
    copied: dict[int, int] = {}  # of which earlier one
    for later, earlier in pairs:
        if (
            later not in copied
            and earlier not in copied
            and _contained(kept[later], kept[earlier]) >= THRESHOLD
        ):
            copied[later] = earlier
    pieces = set()
    for pair in pairs:
        for whole, piece in (pair, pair[::-1]):
            if (
                copied.get(whole, piece) < piece
                and piece not in copied
                and _size(kept[piece]) < _PIECE * _size(kept[whole])
                and _contained(kept[piece], kept[whole]) >= THRESHOLD
            ):
                pieces.add(piece)
    return {keys[number] for number in {*copied, *pieces}}


def _pairs(sketches: list[Hashes]) -> npt.NDArray[np.int64]:
    """Return the pairs of texts that have runs in common, sorted: number of the later one * texts + the earlier one."""
    sizes = np.array([len(one) for one in sketches], dtype=np.int64)
    owners = np.repeat(np.arange(len(sketches), dtype=np.int64), sizes)
    if not len(owners):
        return owners
    hashes = np.concatenate(sketches)
    order = np.argsort(hashes, kind="stable")  # of equal hashes the earlier text's comes first
    hashes, owners = hashes[order], owners[order]
    first = np.maximum.accumulate(
        np.where(np.diff(hashes, prepend=hashes[0]) != 0, np.arange(len(hashes)), 0)
    )
    place = np.arange(len(hashes)) - first
    found = []
    for step in range(_LED_TO):
        later = np.flatnonzero(place > step)
        found.append(owners[later] * len(sketches) + owners[first[later] + step])
    pairs, shared = np.unique(np.concatenate(found), return_counts=True)
    enough = np.minimum(_SHARED, np.minimum(*(sizes[side] for side in divmod(pairs, len(sketches)))))
    return pairs[shared >= enough]


def contained(a: bytes, b: bytes) -> float:
    """Return which part of the shorter text's runs the other one has, by what both sketches keep."""
    return _contained(np.frombuffer(a, "<u4"), np.frombuffer(b, "<u4"))


def _contained(a: Hashes, b: Hashes) -> float:
    bound = min(a[0], b[0])
    left, right = (one[1 : 1 + np.searchsorted(one[1:], bound, "right")] for one in (a, b))
    shorter = min(len(left), len(right))
    return len(np.intersect1d(left, right, assume_unique=True)) / shorter if shorter else 0.0


def _size(one: Hashes) -> float:
    """Return about how many runs a text has."""
    return (len(one) - 1) * _BEYOND / (int(one[0]) + 1)
