"""Faults that a test injects: what a bad day does to an API server's answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.kube.errors import ApiError


@dataclass
class Fault:
    """One kind of trouble; `times` requests get it (None: until `clear`).

    kind: `error` answers `code` (with `retry_after` seconds when given), `cut` closes the connection
    before an answer, `lost` carries the request out and cuts the answer, `stall` leaves a watch open and
    silent, `drop` cuts a watch in the middle.
    """

    kind: str
    code: int = 500
    retry_after: int | None = None
    times: int | None = 1
    when: Callable[[str, str], bool] = field(default=lambda method, path: True)

    def answer(self) -> ApiError:
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        reason = {429: "TooManyRequests", 503: "ServiceUnavailable", 500: "InternalError"}.get(
            self.code, "Unknown"
        )
        return ApiError(self.code, reason, f"injected {self.code}", None, **headers)


class Faults:
    """The faults now in force; `take` uses one up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self.hits = 0

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def take(self, method: str, path: str, *kinds: str) -> Fault | None:
        """`path` includes the query, so `watch=1` can be told from a list."""
        with self._lock:
            for fault in self._faults:
                if fault.kind in kinds and fault.when(method, path):
                    self.hits += 1
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times <= 0:
                            self._faults.remove(fault)
                    return fault
        return None
