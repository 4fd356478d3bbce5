"""A resolved text cut where mentions begin and end: what formats with nested marks are made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar


class Marked(Protocol):
    """Characters [start, end) of a text."""

    @property
    def start(self) -> int:
        """Where it begins."""

    @property
    def end(self) -> int:
        """Where it ends."""


M = TypeVar("M", bound=Marked)
M_co = TypeVar("M_co", bound=Marked, covariant=True)


class MarkedText(Protocol[M_co]):
    """A text with its mentions by start, longer first."""

    @property
    def text(self) -> str:
        """The whole text."""

    @property
    def mentions(self) -> Sequence[M_co]:
        """What is marked in it."""


class Piece(NamedTuple, Generic[M]):
    """Text, or a mention that is opened or closed. What crosses is closed and opened again (`again`)."""

    kind: Literal["text", "open", "close"]
    text: str = ""
    mention: M | None = None
    again: bool = False


def pieces(document: MarkedText[M]) -> Iterator[Piece[M]]:
    """Yield the text and its mentions, properly nested even where mentions cross."""
    text = document.text
    waiting = list(reversed(document.mentions))
    stack: list[M] = []
    at = 0
    while waiting or stack:
        following = waiting[-1].start if waiting else len(text) + 1
        ending = min((mention.end for mention in stack), default=len(text) + 1)
        edge = min(following, ending)
        if edge > at:
            yield Piece("text", text[at:edge])
            at = edge
        if ending <= following:
            crossed: list[M] = []
            while any(mention.end == edge for mention in stack):
                mention = stack.pop()
                done = mention.end == edge
                yield Piece("close", mention=mention, again=not done)
                if not done:
                    crossed.append(mention)
            for mention in reversed(crossed):
                stack.append(mention)
                yield Piece("open", mention=mention, again=True)
        else:
            mention = waiting.pop()
            stack.append(mention)
            yield Piece("open", mention=mention)
    if at < len(text):
        yield Piece("text", text[at:])
