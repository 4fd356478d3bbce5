"""Near-duplicates: texts that share two thirds of the shorter one's letters, in runs of twelve.

Letters and digits alone count, so a copy without punctuation or with other blanks is one. A sketch of a text keeps the
hashes of its runs that lie below a bound: what part of one text stands in another can be told from two sketches
(containment, Broder 1997; the fraction kept is that of Irber et al. 2022), which MinHash signatures, of Jaccard
similarity, cannot do for a half or a chapter. tests/benchmarks/duplicates.py measures what is found.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

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
#: Runs that are compared at a time, which takes about 40 MB, and pairs of texts that are looked at.
_AT_ONCE, _LOOKED_AT = 1 << 20, 1 << 16
_FACTORS = [np.uint64(factor) for factor in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)]
_SHIFT = np.uint64(32)
_SIGNS = re.compile(r"[\W_]+")

Hashes = npt.NDArray[np.uint32]
#: Two numbers below 2**32 in one: what is sorted by comes first.
Twos = npt.NDArray[np.uint64]


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


def near_duplicates(sketches: Iterable[tuple[int, bytes]], folder: Path | None = None) -> set[int]:
    """Return the keys of texts that are near-duplicates of one that came earlier in the order given.

    Where a text goes that holds an earlier one, its other pieces go too: the second half beside the first. Time, and space in
    `folder` (by default where temporary files are), grow with the texts: some 15 bytes for one of 8 letters. Memory grows by some 40 bytes a text.
    """
    with TemporaryDirectory(dir=folder) as aside:
        kept = _Sketches(sketches, Path(aside) / "sketches")
        pairs = _pairs(kept, Path(aside))
        copied: dict[int, int] = {}  # of which earlier one
        for later, earlier in _each(pairs):
            if (
                later not in copied
                and earlier not in copied
                and _contained(kept[later], kept[earlier]) >= THRESHOLD
            ):
                copied[later] = earlier
        pieces = set()
        for pair in _each(pairs):
            for whole, piece in (pair, pair[::-1]):
                if (
                    copied.get(whole, piece) < piece
                    and piece not in copied
                    and _size(kept[piece]) < _PIECE * _size(kept[whole])
                    and _contained(kept[piece], kept[whole]) >= THRESHOLD
                ):
                    pieces.add(piece)
        return {kept.keys[number] for number in {*copied, *pieces}}


class _Sketches:
    """Sketches in a file, by number; in memory are the keys of their texts and where each one ends."""

    def __init__(self, sketches: Iterable[tuple[int, bytes]], file: Path) -> None:
        self.keys, self.ends = array("q"), array("Q", [0])
        with file.open("wb") as out:
            for key, one in sketches:
                self.keys.append(key)
                self.ends.append(self.ends[-1] + out.write(one) // 4)
        self._all: Hashes = _mapped(file, "<u4")

    def __getitem__(self, number: int) -> Hashes:
        return self._all[self.ends[number] : self.ends[number + 1]]

    def blocks(self) -> Iterator[Twos]:
        """Yield the runs of all texts, some at a time: hash and number of the text."""
        ends = np.frombuffer(self.ends, "u8")
        for begin in range(0, len(self._all), _AT_ONCE):
            places = np.arange(begin, min(begin + _AT_ONCE, len(self._all)), dtype=np.uint64)
            owners = np.searchsorted(ends, places, "right") - 1
            run = places != ends[owners]  # the first number of a sketch is its bound
            yield _two(self._all[places[run]], owners[run])


class _Aside:
    """Numbers that wait in files, each in that of its part."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder

    def put(self, numbers: Twos, parts: npt.NDArray[np.int64]) -> None:
        """Put numbers aside."""
        order = np.argsort(parts, kind="stable")
        found, begins = np.unique(parts[order], return_index=True)
        for part, some in zip(found.tolist(), np.split(numbers[order], begins[1:]), strict=False):
            with (self._folder / f"{part:08}").open("ab") as file:
                some.tofile(file)

    def __iter__(self) -> Iterator[Twos]:
        """Yield the numbers of each part, sorted; parts come in their order."""
        for file in sorted(self._folder.iterdir()):
            yield np.sort(np.fromfile(file, np.uint64))


def _pairs(sketches: _Sketches, folder: Path) -> Twos:
    """Return the pairs of texts that have runs in common, sorted: the later one and the earlier one."""
    runs, pairs = _Aside(folder / "runs"), _Aside(folder / "pairs")
    ends = np.frombuffer(sketches.ends, "u8").astype(np.int64)
    parts, sizes = 1 + ends[-1] // _AT_ONCE, np.maximum(np.diff(ends) - 1, 0)
    for block in sketches.blocks():
        runs.put(block, (block >> _SHIFT).astype(np.int64) % parts)
    # the later texts of a part have so many runs together, each of which leads to few others
    for some in runs:
        for found in _meetings(some):
            pairs.put(found, ends[found >> _SHIFT] // _AT_ONCE)
    with (folder / "found").open("wb") as out:
        for some in pairs:
            met, shared = np.unique(some, return_counts=True)
            shorter = np.minimum(*(sizes[side] for side in _sides(met)))
            met[shared >= np.minimum(_SHARED, shorter)].tofile(out)
    return _mapped(folder / "found", np.uint64)


def _meetings(runs: Twos) -> Iterator[Twos]:
    """Yield the pairs of texts that one run is in, of sorted runs: of equal ones the earlier text's comes first."""
    hashes, owners = _sides(runs)
    number = np.arange(len(runs))
    first = np.maximum.accumulate(np.where(np.diff(hashes, prepend=hashes[0]) != 0, number, 0))
    for step in range(_LED_TO):
        later = np.flatnonzero(number - first > step)
        if len(later):
            yield _two(owners[later], owners[first[later] + step])


def _two(one: npt.NDArray[np.integer], other: npt.NDArray[np.integer]) -> Twos:
    return one.astype(np.uint64) << _SHIFT | other.astype(np.uint64)


def _sides(twos: Twos) -> tuple[Twos, Twos]:
    return twos >> _SHIFT, twos & np.uint64(_BEYOND - 1)


def _each(pairs: Twos) -> Iterator[tuple[int, int]]:
    for begin in range(0, len(pairs), _LOOKED_AT):
        yield from zip(*(side.tolist() for side in _sides(pairs[begin : begin + _LOOKED_AT])), strict=True)


def _mapped(file: Path, dtype: npt.DTypeLike) -> npt.NDArray:
    """Return the numbers of a file without reading them."""
    return np.memmap(file, dtype, "r") if file.stat().st_size else np.zeros(0, dtype)


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
