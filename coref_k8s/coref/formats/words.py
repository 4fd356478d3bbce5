"""A resolved text as sentences of words, for formats that know no characters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coref_k8s.coref.resolved import Mention, ResolvedDocument

#: What belongs to the character before it: accents, tone marks of old Hangul, variation selectors, keycaps, skin tones, tags.
_MARK = r"[\u0300-\u036f\u1ab0-\u1aff\u302a-\u302f\u20d0-\u20ff\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e01ef]"
#: Letters and digits, a flag (two letters of its own), or one sign, emoji that are joined into one included.
_WORD = re.compile(rf"(?:\w{_MARK}*)+|(?:[\U0001f1e6-\U0001f1ff]{{2}}|[^\w\s])(?:{_MARK}|\u200d[^\w\s])*")


@dataclass
class Word:
    """A word: characters [start, end), and the mentions that begin or end with it."""

    start: int
    end: int
    opening: list[Mention] = field(default_factory=list)
    """Mentions of several words that begin here, longer first."""
    single: list[Mention] = field(default_factory=list)
    closing: list[Mention] = field(default_factory=list)
    """Mentions of several words that end here, inner first."""


def sentences_of(document: ResolvedDocument) -> Iterator[list[Word]]:
    """Yield each sentence's words: letters and digits together, each sign alone, with their marks, cut where a mention begins or ends."""
    text = document.text
    bounds = sorted({0, len(text), *(start for start, _ in document.sentences)})
    mentions = iter(document.mentions)
    mention = next(mentions, None)
    for begin, stop in pairwise(bounds):
        inside: list[Mention] = []
        while mention is not None and mention.start < stop:
            inside.append(mention)
            mention = next(mentions, None)
        edges = {edge for one in inside for edge in (one.start, one.end)}
        words = [word for match in _WORD.finditer(text, begin, stop) for word in _cut(match.span(), edges)]
        _place(words, inside)
        if words:
            yield words


def _cut(span: tuple[int, int], edges: set[int]) -> Iterator[Word]:
    start, end = span
    for at in range(start + 1, end):
        if at in edges:
            yield Word(start, at)
            start = at
    yield Word(start, end)


def _place(words: list[Word], mentions: list[Mention]) -> None:
    first = {word.start: word for word in words}
    last = {word.end: word for word in words}
    for mention in mentions:
        begins, ends = first.get(mention.start), last.get(mention.end)
        if begins is None or ends is None:
            continue  # a mention of signs and blanks only
        if begins is ends:
            begins.single.append(mention)
        else:
            begins.opening.append(mention)
            ends.closing.insert(0, mention)
