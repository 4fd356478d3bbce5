"""What two mentions' words say about whether they are one: the categories that have scorers of their own.

After Otmazgin, Cattan, Goldberg 2023 (LingMess): pairs that differ in kind (two pronouns, a pronoun and a name, equal
names, names that share a part) are told apart by different evidence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

#: Categories of a pair, in the order of their numbers.
CATEGORIES = (
    "equal pronouns",
    "two pronouns",
    "a pronoun and a noun",
    "equal nouns",
    "nouns that share words",
    "other nouns",
)
#: How a pair stands to quotations: neither in one, only the later, only the earlier, both in one, in two.
QUOTED = 5
#: Distances (tokens) are told apart by their powers of two, up to this.
DISTANCES = 15

_PRONOUNS = frozenset(
    [
        "나",
        "내",
        "난",
        "날",
        "저",
        "제",
        "전",
        "너",
        "네",
        "넌",
        "널",
        "자네",
        "그대",
        "당신",
        "댁",
        "임자",
        "자기",
        "자신",
        "자기자신",
        "스스로",
        "우리",
        "우린",
        "저희",
        "너희",
        "니",
        "지",
        "그",
        "그녀",
        "그이",
        "그들",
        "그녀들",
        "그네",
        "그네들",
        "이",
        "이들",
        "저들",
        "저이",
        "이이",
        "우리들",
        "너희들",
        "저희들",
        "자기들",
        "당신들",
        "이것",
        "그것",
        "저것",
        "이것들",
        "그것들",
        "저것들",
        "이거",
        "그거",
        "저거",
        "이게",
        "그게",
        "저게",
        "이건",
        "그건",
        "저건",
        "여기",
        "거기",
        "저기",
        "이곳",
        "그곳",
        "저곳",
        "얘",
        "걔",
        "쟤",
        "얘들",
        "걔들",
        "누구",
        "누",
        "아무",
        "서로",
        "피차",
        "본인",
        "이분",
        "그분",
        "저분",
        "이놈",
        "그놈",
        "저놈",
        "이년",
        "그년",
        "저년",
    ]
)


@dataclass(frozen=True)
class Surfaces:
    """The words of a document's mentions, ready to be compared in blocks."""

    strings: np.ndarray
    """Number of each mention's string, int (mentions)."""
    pronouns: np.ndarray
    """Whether the string is a pronoun, bool (mentions)."""
    related: csr_matrix
    """Which strings hold one another or share their last word, (strings, strings)."""
    spans: np.ndarray
    """Tokens of each mention in its document (first, end exclusive), in reading order: int (mentions, 2)."""
    quotes: np.ndarray
    """Number of the quotation of each mention, 0 for none, int (mentions)."""

    def categories(self, rows: slice, columns: slice) -> np.ndarray:
        """Return the category of each pair: uint8 (rows, columns)."""
        pronouns = self.pronouns[rows, None].astype(np.uint8) + self.pronouns[None, columns]
        equal = self.strings[rows, None] == self.strings[None, columns]
        related = self.related[self.strings[rows]][:, self.strings[columns]].toarray() > 0
        nouns = np.where(equal, 3, np.where(related, 4, 5))
        return np.where(pronouns == 0, nouns, np.where(pronouns == 1, 2, np.where(equal, 0, 1))).astype(
            np.uint8
        )

    def quoted(self, rows: slice, columns: slice) -> np.ndarray:
        """Return how each pair stands to quotations: uint8 (rows, columns), below QUOTED."""
        later, earlier = self.quotes[rows, None], self.quotes[None, columns]
        both = np.where(later == earlier, 3, 4)
        return np.where(
            (later > 0) & (earlier > 0), both, np.where(later > 0, 1, np.where(earlier > 0, 2, 0))
        ).astype(np.uint8)

    def distances(self, rows: slice, columns: slice) -> np.ndarray:
        """Return log2 of the tokens between each pair's beginnings, rounded down: uint8 (rows, columns)."""
        tokens = np.abs(self.spans[rows, None, 0] - self.spans[None, columns, 0])
        return np.minimum(np.log2(tokens + 1), DISTANCES - 1).astype(np.uint8)

    def before(self, rows: slice, columns: slice) -> np.ndarray:
        """Return whether a column's mention ends before a row's begins, bool (rows, columns).

        Of two mentions one of which lies in the other none refers to the other.
        """
        before: np.ndarray = self.spans[None, columns, 1] <= self.spans[rows, None, 0]
        return before


def surfaces(strings: Sequence[str], spans: np.ndarray, quotes: np.ndarray) -> Surfaces:
    """Compare the strings of mentions, given with their tokens and quotations."""
    distinct = list(dict.fromkeys(strings))
    numbers = {string: number for number, string in enumerate(distinct)}
    return Surfaces(
        strings=np.asarray([numbers[string] for string in strings], dtype=np.int64),
        pronouns=np.asarray([is_pronoun(string) for string in strings], dtype=bool),
        related=_related(distinct, numbers),
        spans=np.asarray(spans, dtype=np.int64).reshape(-1, 2),
        quotes=np.asarray(quotes, dtype=np.int64),
    )


def is_pronoun(string: str) -> bool:
    """Whether a mention's words are a pronoun and nothing else."""
    return string in _PRONOUNS


def _related(distinct: Sequence[str], numbers: dict[str, int]) -> csr_matrix:
    """Pairs of strings of which one holds the other (two syllables or more), or whose last words are equal."""
    pairs: set[tuple[int, int]] = set()
    by_head: dict[str, list[int]] = defaultdict(list)
    for string, number in numbers.items():
        by_head[string.rsplit(maxsplit=1)[-1] if string.strip() else string].append(number)
        # longer ones are clauses: what they hold says nothing of what they name
        for start in range(min(len(string), 24)):
            for end in range(start + 2, min(len(string), 24) + 1):
                other = numbers.get(string[start:end])
                if other is not None and other != number:
                    pairs |= {(number, other), (other, number)}
    for group in by_head.values():
        # a head that everybody has tells nothing, and would cost the square
        if 1 < len(group) <= 256:
            pairs |= {(one, other) for one in group for other in group if one != other}
    rows, columns = np.asarray(sorted(pairs), dtype=np.int64).reshape(-1, 2).T
    return csr_matrix((np.ones(len(rows), np.uint8), (rows, columns)), shape=(len(distinct), len(distinct)))
