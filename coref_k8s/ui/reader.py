"""What the pages read, from one or several places: one read serves everybody who looks, however many trials there are."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from coref_k8s.client.backend import Backend
from coref_k8s.client.local import LocalBackend
from coref_k8s.client.where import Where, find_in, open_backends
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import CorefError, NotFoundError
from coref_k8s.search.records import TrialRecord
from coref_k8s.store.records import StudyRecord
from coref_k8s.wording import Message

#: What was read is shown for this long (seconds), and for as many times what the reading took.
_LEAST_SECONDS, _TIMES = 1.0, 4.0
#: Things that are kept.
_KEPT = 64


@dataclass(frozen=True)
class Listed:
    """A study in the list."""

    record: StudyRecord
    place: Message
    hidden: bool
    """Whether a study of the same name in an earlier place is the one that pages show."""


@dataclass(frozen=True)
class Seen:
    """A study as it was read."""

    backend: Backend
    view: StudyView
    at: datetime


def places(where: Where) -> list[Backend]:
    """Return where studies are read. Raises NotFoundError when this machine is meant, or nothing else there, and has none."""
    found = open_backends(where)
    here = [one for one in found if isinstance(one, LocalBackend)]
    for one in here:
        if not one.exists:
            if len(found) == 1:
                raise NotFoundError("ui.no-database", folder=one.root.rstrip("/"))
            found.remove(one)
        elif where.here:
            one.studies()  # a database that cannot be read is told now
    return found


class Reader:
    """Reads studies, logs and files. Methods that name a study raise NotFoundError, StorageError, ClusterError."""

    def __init__(self, places: Sequence[Backend]) -> None:
        self.places = places
        self._fresh = _Fresh()

    def studies(self) -> tuple[list[Listed], list[Message]]:
        """Return all studies, newest first, and why places could not be asked."""
        return self._fresh.get("studies", self._studies)

    def _studies(self) -> tuple[list[Listed], list[Message]]:
        found: list[Listed] = []
        problems = []
        names: set[str] = set()
        for backend in self.places:
            try:
                records = backend.studies()
                found += [Listed(record, backend.place, record.name in names) for record in records]
                names |= {record.name for record in records}
            except CorefError as error:
                problems.append(error.message)
        return sorted(found, key=lambda one: one.record.created_at, reverse=True), problems

    def study(self, name: str) -> Seen:
        """Return a study with its trials."""
        return self._fresh.get(("study", name), lambda: self._study(name))

    def _study(self, name: str) -> Seen:
        backend, view = find_in(self.places, name)
        return Seen(backend, view, datetime.now(UTC))

    def log(self, name: str, trial: TrialRecord) -> list[str]:
        """Return the lines of the log of a trial, or of a finalist's run."""
        backend = self.study(name).backend
        kind, seq_len, number = unit = trial.kind, trial.seq_len, trial.number
        return self._fresh.get(
            ("log", name, unit), lambda: list(backend.logs(name, seq_len, number, follow=False, kind=kind))
        )


class _Fresh:
    """Keeps what was read for a moment; who asks for the same thing meanwhile waits for the one who reads it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._guard = threading.Lock()

    def get(self, key: Hashable, read: Callable[[], Any]) -> Any:
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            began = self._clock()
            with self._guard:
                until, value = self._kept.get(key, (0.0, None))
            if began < until:
                return value
            value = read()
            now = self._clock()
            with self._guard:
                self._kept[key] = now + max(_LEAST_SECONDS, _TIMES * (now - began)), value
                self._kept.move_to_end(key)
                while len(self._kept) > _KEPT:
                    old, _ = self._kept.popitem(last=False)
                    self._locks.pop(old, None)
        return value
