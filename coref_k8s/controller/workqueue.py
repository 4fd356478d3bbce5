"""Many studies in one controller: a queue of their keys, and the threads that work on what it gives."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol


class Key(NamedTuple):
    """Names a study."""

    namespace: str
    name: str


class KeyQueue:
    """A de-duplicating queue with delays: a key waits once, however often it is added, and is worked on by one.

    A key added while it is being worked on comes again afterwards. All methods may be called from any thread.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        """Times to come, soonest first; one that is not in `_due` any more counts for nothing."""
        self._busy: set[Key] = set()
        self._held: set[Key] = set()
        """Due, but still worked on."""
        self._closed = False

    def add(self, key: Key, after: float = 0.0) -> None:
        """Let the key come after a delay (seconds); the earlier of two times counts."""
        with self._changed:
            due = self._clock() + after
            if key in self._due and self._due[key] <= due:
                return
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))
            self._changed.notify()

    def get(self, timeout: float | None = None) -> Key | None:
        """Return the next key and mark it busy, until `done`; None when closed, or after `timeout` seconds."""
        end = None if timeout is None else self._clock() + timeout
        with self._changed:
            while not self._closed:
                now = self._clock()
                if (key := self._take(now)) is not None:
                    return key
                if end is not None and now >= end:
                    return None
                times = [time for time in (end, self._heap[0][0] if self._heap else None) if time is not None]
                self._changed.wait(max(0.0, min(times) - now) if times else None)
            return None

    def done(self, key: Key) -> None:
        """Say that the key is not worked on any more."""
        with self._changed:
            self._busy.discard(key)
            if key in self._held:
                self._held.remove(key)
                heapq.heappush(self._heap, (self._due[key], key))
            self._changed.notify()

    def close(self) -> None:
        """Let every `get` return None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._due)

    def _take(self, now: float) -> Key | None:
        """Return the next key that is due and free, and mark it busy."""
        while self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            if self._due.get(key) != due:
                continue  # was added again with an earlier time
            if key in self._busy:
                self._held.add(key)
                continue
            del self._due[key]
            self._busy.add(key)
            return key
        return None


class Reconciler(Protocol):
    """What `work` needs."""

    def reconcile(self, key: Key) -> float | None:
        """Do what is to be done; return when to look again (seconds), None when nothing is left."""
        ...

    def pause(self, key: Key) -> float:
        """Return how long to wait after a failure (seconds)."""
        ...


def work(
    queue: KeyQueue,
    controller: Reconciler,
    on_error: Callable[[Key, Exception], None] = lambda _key, _error: None,
) -> None:
    """Reconcile what the queue gives until it is closed. A study that fails holds up no other."""
    while (key := queue.get()) is not None:
        try:
            after = controller.reconcile(key)
        except Exception as error:
            on_error(key, error)
            after = controller.pause(key)
        finally:
            queue.done(key)
        if after is not None:
            queue.add(key, after)
