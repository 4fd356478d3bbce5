"""How long one round at a study may last: whatever is done many times in it is done `within` its turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

#: Time after which a round begins nothing more (seconds). What it has begun, the look before and the status after fit into
#: what is left of the 5 s in which a study hears of a cancellation.
LONGEST = 2.5
#: Share of it for what is only looked at: whatever that takes, there is time to do something.
LOOKING = 0.5


class Turn:
    """One round at one study. What is left when its time is over is found again by the next one."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._began = monotonic()
        self.left_off = False
        """Whether something was left to the next round."""

    @property
    def seconds(self) -> float:
        """Time since it began."""
        return self._monotonic() - self._began

    def within(self, things: Iterable[T], share: float = 1.0) -> Iterator[T]:
        """Yield things while there is time, the first in any case, so that every round gets further."""
        for place, thing in enumerate(things):
            if place and self.seconds >= share * LONGEST:
                self.left_off = True
                return
            yield thing
