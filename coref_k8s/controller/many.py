"""Many studies in one controller: a queue of their keys, and `reconcile(key)` for an event or a timer to call."""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from coref_k8s.controller.loop import FIRST_PAUSE, LONGEST_PAUSE, Step, StudyLoop
from coref_k8s.errors import NotFoundError

#: Time after which a study is looked at without an event (seconds): reports and limits make none.
RESYNC_SECONDS = 10.0


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
        self._busy: set[Key] = set()
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
                wake = end
                for due, key in sorted(self._heap):
                    if self._due.get(key) != due:
                        continue  # was added again with an earlier time
                    if due > now:
                        wake = due if wake is None else min(wake, due)
                        break
                    if key not in self._busy:
                        del self._due[key]
                        self._busy.add(key)
                        self._drop_stale()
                        return key
                if end is not None and now >= end:
                    return None
                self._changed.wait(None if wake is None else max(0.0, wake - now))
            return None

    def done(self, key: Key) -> None:
        """Say that the key is not worked on any more."""
        with self._changed:
            self._busy.discard(key)
            self._changed.notify()

    def close(self) -> None:
        """Let every `get` return None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._due)

    def _drop_stale(self) -> None:
        self._heap = [(due, key) for due, key in self._heap if self._due.get(key) == due]
        heapq.heapify(self._heap)


class Controller:
    """Reconciles studies by key, each with its own memory and its own back-off."""

    def __init__(
        self,
        make_loop: Callable[[Key], StudyLoop],
        *,
        resync: float = RESYNC_SECONDS,
        jitter: Callable[[float], float] = lambda most: random.uniform(0, most),
        on_step: Callable[[Key, Step], None] = lambda _key, _step: None,
    ) -> None:
        self._make_loop = make_loop
        self._on_step = on_step
        self._resync = resync
        self._jitter = jitter
        self._loops: dict[Key, StudyLoop] = {}
        self._failures: dict[Key, int] = {}

    def reconcile(self, key: Key) -> float | None:
        """Do what is to be done for a study; return when to look again (seconds), None when it is over.

        Raises what went wrong (`pause` says how long to wait). A study that was deleted is over.
        """
        loop = self._loops.get(key)
        if loop is None:
            loop = self._loops[key] = self._make_loop(key)
        try:
            step = self._step(key, loop)
            while step.actions and step.ends:
                step = self._step(
                    key, loop
                )  # the end was written; what is left is to see that nothing is left
        except NotFoundError:
            self.forget(key)
            return None
        self._failures.pop(key, None)
        if step.finished:
            self.forget(key)
            return None
        return self._resync

    def _step(self, key: Key, loop: StudyLoop) -> Step:
        step = loop.step()
        self._on_step(key, step)
        return step

    def pause(self, key: Key) -> float:
        """Count a failure and return how long to wait after it (seconds): full jitter below a doubling bound.

        Counted here, since what goes wrong around `reconcile` (a database that is away) is a failure as well.
        """
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        doubled = FIRST_PAUSE * 2 ** min(failures, 16)
        return self._jitter(min(doubled, LONGEST_PAUSE))

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a study; it is read again when the study is looked at again."""
        self._loops.pop(key, None)
        self._failures.pop(key, None)

    def forget_all(self) -> None:
        """Drop everything, as a controller must that has lost its lease."""
        self._loops.clear()
        self._failures.clear()


class Reconciler(Protocol):
    """What `work` needs: `Controller`, or something around it."""

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
