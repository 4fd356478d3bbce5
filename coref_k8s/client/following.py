"""Following a study: what is new of it, about once a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from coref_k8s.client.changes import changes
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import CorefError
from coref_k8s.telemetry.bus import Section
from coref_k8s.wording import NOTHING, Message

#: Time between two moments (seconds).
MOMENT_SECONDS = 1.0
#: Longest time between two looks at the database while no event comes.
SYNC_TIME = timedelta(seconds=5)


@dataclass(frozen=True)
class Moment:
    """What is new of a study that is followed."""

    events: Sequence[dict[str, Any]] = ()
    """Events since the moment before; on this machine those of other studies are among them."""
    view: StudyView | None = None
    """The whole study, when it was read anew."""
    problem: Message = NOTHING
    """What keeps the study from going on right now."""
    stopping: bool = False
    """Whether it was told to stop, and its trials write their checkpoints."""


class Look:
    """Makes moments: reads the events each time, the study itself when something has happened or it is time."""

    def __init__(
        self, load: Callable[[], StudyView], events: Callable[[], Sequence[dict[str, Any]]] | None
    ) -> None:
        """`events` reads those of a bus; without, they are what has changed since the look before."""
        self._load = load
        self._events = events
        self._looked: datetime | None = None
        self._known: StudyView | None = None
        self._trouble = NOTHING

    def __call__(self, *, last: bool = False, problem: Message = NOTHING, stopping: bool = False) -> Moment:
        """Return what is new; `last` when nothing comes after."""
        events = self._events() if self._events is not None else ()
        now = datetime.now(UTC)
        # Reading many trials costs the database more than a line of the bus: not for every step of a trial.
        due = last or self._looked is None or now - self._looked > SYNC_TIME
        view = None
        if due or any(event.get("section") != Section.TRAIN_STEP for event in events):
            self._looked = now
            try:
                view, self._trouble = self._load(), NOTHING
            except CorefError as error:  # what is known stays
                self._trouble = error.message
        if self._events is None and view is not None:
            events = list(changes(self._known, view, now))
            self._known = view
        return Moment(events, view, problem or self._trouble, stopping)


def watched(look: Look, goes_on: Callable[[], bool]) -> Generator[Moment, None, None]:
    """Yield moments of a study that somebody else works on, until it does not go on any more."""
    yield look()
    while goes_on():
        time.sleep(MOMENT_SECONDS)
        yield look()
    yield look(last=True)
