"""`Words`: the words of a treebank's text, what each depends on, and the heads of mentions."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

Span = tuple[int, int]


@dataclass(frozen=True)
class Words:
    """Words in text order. Words that share a token (`del` = `de el`) share its characters."""

    spans: Sequence[Span]
    """Characters [start, end) of each word."""
    parents: Sequence[int]
    """Number of the word that each depends on, -1 for none."""
    heads: Mapping[Span, int] = field(default_factory=dict)
    """Number of the head of gold mentions, by span, where the data name it."""

    @cached_property
    def _starts(self) -> list[int]:
        return [start for start, _ in self.spans]

    @cached_property
    def _ends(self) -> list[int]:
        return [end for _, end in self.spans]

    def inside(self, span: Span) -> range:
        """Return the numbers of the words that a span of characters touches."""
        return range(bisect_right(self._ends, span[0]), bisect_left(self._starts, span[1]))

    def head(self, span: Span) -> int | None:
        """Return the number of a span's head; None when it touches no word.

        That which the data name, else the first word that depends on none inside, as udapi's `corefud.MoveHead` does.
        """
        if span in self.heads:
            return self.heads[span]
        inside = self.inside(span)
        return next((word for word in inside if self.parents[word] not in inside), next(iter(inside), None))

    def moved(self, carry: Callable[[int, int], Span]) -> Words:
        """Return the same words of a text whose characters stand elsewhere; `carry(start, end)` says where."""
        return replace(
            self,
            spans=[carry(*span) for span in self.spans],
            heads={carry(*span): word for span, word in self.heads.items()},
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        heads = [[*span, word] for span, word in self.heads.items()]
        return {"spans": list(self.spans), "parents": list(self.parents), "heads": heads}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Words:
        """Read what `to_dict` gave."""
        return Words(
            spans=[(start, end) for start, end in data["spans"]],
            parents=data["parents"],
            heads={(start, end): word for start, end, word in data["heads"]},
        )
