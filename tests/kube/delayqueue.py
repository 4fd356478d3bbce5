"""A de-duplicating queue with delays, as controllers use: one key is never waiting twice."""

from __future__ import annotations

import heapq
import threading
import time
from typing import Generic, TypeVar

T = TypeVar("T")


class DelayQueue(Generic[T]):
    """`take` blocks until a key is due; None once closed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int, T]] = []
        self._due: dict[T, float] = {}
        self._count = 0
        self._closed = False

    def add(self, key: T, delay: float = 0.0) -> None:
        when = time.monotonic() + delay
        with self._changed:
            if key in self._due and self._due[key] <= when:
                return
            self._due[key] = when
            self._count += 1
            heapq.heappush(self._heap, (when, self._count, key))
            self._changed.notify()

    def take(self) -> T | None:
        with self._changed:
            while not self._closed:
                wait = None
                while self._heap:
                    when, _, key = self._heap[0]
                    if self._due.get(key) != when:
                        heapq.heappop(self._heap)  # overtaken by an earlier one
                        continue
                    wait = when - time.monotonic()
                    if wait <= 0:
                        heapq.heappop(self._heap)
                        del self._due[key]
                        return key
                    break
                self._changed.wait(wait)
            return None

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
