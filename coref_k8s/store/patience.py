"""Waiting for a database that is away: for jobs, whose work would be lost with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from coref_k8s.errors import StorageError
from coref_k8s.wording import Message

T = TypeVar("T")

#: First and longest pause between two tries; it doubles in between (seconds).
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
#: Time after which a job gives up (seconds): a database may be closed to it alone, and somebody is to hear of that.
PATIENCE = 3600.0


def patiently(
    call: Callable[[], T],
    *,
    sleep: Callable[[float], None],
    on_wait: Callable[[Message], None],
    most: float | None = None,
) -> T:
    """Return what a call gives that needs the database; `on_wait` is told why before each pause.

    Raises StorageError when it was away for `most` seconds of pauses; without, it is waited for as long as it takes.
    """
    pause, waited = FIRST_PAUSE, 0.0
    while True:
        try:
            return call()
        except StorageError as error:
            if most is not None and waited >= most:
                raise
            on_wait(error.message)
        sleep(pause)
        waited += pause
        pause = min(2 * pause, LONGEST_PAUSE)
