"""Hands each step its batches: made in the background where the device would have to wait."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from typing import Any

import torch

from coref_k8s.trial.batches import StepData, StepSource

#: Steps made ahead of training.
_AHEAD = 2

#: Batches of a step, each as the loss takes it, with its weight.
Batches = list[tuple[Any, float]]


@dataclass(frozen=True)
class _Made:
    step: int
    batch_size: int
    data: StepData
    batches: Batches


class Feed:
    """The steps from `first` to `last` (exclusive), in order.

    On a GPU a thread makes them ahead, in pinned memory; on a CPU there is no core to spare for that, and
    they are made when they are asked for.
    """

    def __init__(
        self, source: StepSource, device: torch.device, *, first: int, last: int, batch_size: int
    ) -> None:
        self._source = source
        self._pin = device.type == "cuda"
        self._batch_size = batch_size
        self._stopped = threading.Event()
        self._queue: queue.Queue[_Made | BaseException] = queue.Queue(_AHEAD)
        self._thread: threading.Thread | None = None
        self.waited = 0.0
        """Time that training waited for data so far (seconds)."""
        if device.type == "cuda":
            self._thread = threading.Thread(target=self._produce, args=(first, last), daemon=True)
            self._thread.start()

    def take(self, step: int, batch_size: int) -> tuple[StepData, Batches]:
        """Return the data of the next step, cut into batches of at most `batch_size` sequences."""
        began = time.perf_counter()
        made = self._next(step, batch_size)
        if made.batch_size == batch_size:
            batches = made.batches
        else:
            batches = self.cut(made.data, batch_size)
        self.waited += time.perf_counter() - began
        return made.data, batches

    def cut(self, data: StepData, batch_size: int) -> Batches:
        """Return the step's data in batches of at most `batch_size` sequences."""
        return list(data.batches(batch_size, pin=self._pin))

    def close(self) -> None:
        """Stop the thread and wait for its end."""
        self._stopped.set()
        if self._thread is not None:
            while self._thread.is_alive():
                try:
                    self._queue.get_nowait()
                except queue.Empty:
                    self._thread.join(0.05)

    def _next(self, step: int, batch_size: int) -> _Made:
        if self._thread is None:
            return self._make(step, batch_size)
        made = self._queue.get()
        if isinstance(made, BaseException):
            raise made
        assert made.step == step
        return made

    def _make(self, step: int, batch_size: int) -> _Made:
        data = self._source.step(step)
        return _Made(step, batch_size, data, self.cut(data, batch_size))

    def _produce(self, first: int, last: int) -> None:
        try:
            for step in range(first, last):
                made = self._make(step, self._batch_size)
                if not self._put(made):
                    return
        except BaseException as error:
            self._put(error)

    def _put(self, item: _Made | BaseException) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.5)
            except queue.Full:
                continue
            return True
        return False
