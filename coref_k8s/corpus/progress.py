"""Progress of a preparation: to the bus and to whoever draws a bar, at most twice a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from coref_k8s.corpus.sources import Emitter

T = TypeVar("T")
_INTERVAL = 0.5
_BUS_INTERVAL = 5.0


@dataclass(frozen=True)
class Progress:
    """How far one stage is. `done` and `total` are in `unit`; `total` and `eta` (seconds) may be unknown."""

    stage: str
    done: int
    total: int | None
    eta: float | None
    unit: str = "documents"


ProgressCallback = Callable[[Progress], None]


class Reporter:
    """Sends progress on; the clock is injected."""

    def __init__(
        self,
        callback: ProgressCallback | None,
        bus: Emitter | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._callback = callback
        self._bus = bus
        self._clock = clock

    def track(
        self,
        items: Iterable[T],
        stage: str,
        *,
        total: int | None = None,
        unit: str = "documents",
    ) -> Iterator[T]:
        """Yield `items`, reporting as they pass."""
        began = shown = sent = self._clock()
        done = 0
        for item in items:
            yield item
            done += 1
            now = self._clock()
            if now - shown >= _INTERVAL:
                shown = now
                progress = Progress(stage, done, total, _eta(done, total, now - began), unit)
                if self._callback:
                    self._callback(progress)
                if now - sent >= _BUS_INTERVAL:
                    sent = now
                    self._emit(progress)
        final = Progress(stage, done, done if total is None else total, 0.0, unit)
        if self._callback:
            self._callback(final)
        self._emit(final)

    def _emit(self, progress: Progress) -> None:
        if self._bus:
            self._bus.emit(
                "dataset_progress",
                stage=progress.stage,
                done=progress.done,
                total=progress.total,
                eta_seconds=None if progress.eta is None else round(progress.eta, 1),
                unit=progress.unit,
            )


def _eta(done: int, total: int | None, elapsed: float) -> float | None:
    return None if total is None or not done else max(0.0, elapsed * (total - done) / done)
