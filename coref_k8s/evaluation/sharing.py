"""An evaluation shared out over processes that hold the same model: each answers a part, and all know all answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

P = TypeVar("P")
A = TypeVar("A")


class Together(Protocol):
    """Processes that evaluate the same model on the same items, as one of them sees them."""

    @property
    def rank(self) -> int:
        """Which of them this is."""

    @property
    def size(self) -> int:
        """How many they are."""

    def gather(self, mine: Any) -> list[Any]:
        """Return what each of them has brought, in the order of their ranks; waits for all."""


def answered(parts: Sequence[P], answer: Callable[[P], A], together: Together | None = None) -> Iterator[A]:
    """Yield the answer to every part, in order, as soon as those of its round are there.

    What one process raises is raised in all, which then go on alike: a lack of memory, or that it was told to stop.
    """
    if together is None:
        yield from map(answer, parts)
        return
    for first in range(0, len(parts), together.size):
        here = parts[first : first + together.size]
        mine: Any = None
        failed: BaseException | None = None
        try:
            if together.rank < len(here):
                mine = answer(here[together.rank])
        except BaseException as error:  # the others wait for an answer of this process
            failed = error
        found = together.gather((mine, failed))
        failed = failed or next((one for _, one in found if one is not None), None)
        if failed is not None:
            raise failed
        yield from (one for one, _ in found[: len(here)])
