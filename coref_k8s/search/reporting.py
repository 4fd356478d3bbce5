"""How a trial reports from inside its pod: by trial id, without loading the study.

A database that is away loses nothing: reports wait in memory, in order, and go out when it is back.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import TrialState as OptunaState

from coref_k8s.errors import StorageError, TrialError
from coref_k8s.search.records import METRICS_ATTR, REASON_ATTR
from coref_k8s.search.storage import guarded, open_storage
from coref_k8s.search.trials import finite
from coref_k8s.search.wilcoxon import items_attr
from coref_k8s.store.fence import Fence
from coref_k8s.store.patience import patiently
from coref_k8s.wording import Message


class TrialReporter:
    """Writes the reports of one trial. Opening is lazy: a pod may start while the database is away.

    With a `fence` every method raises SupersededError once another process has taken over the trial.
    """

    def __init__(
        self,
        storage_url: str,
        trial_id: int,
        fence: Fence | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        on_wait: Callable[[Message], None] = lambda _: None,
    ) -> None:
        self._url = storage_url
        self._trial_id = trial_id
        self._fence = fence
        self._sleep = sleep
        self._on_wait = on_wait
        self._storage: RDBStorage | None = None
        self._waiting: deque[Callable[[RDBStorage], None]] = deque()
        self.closed = False
        """Set once the storage says that the trial has an outcome: nothing more is written."""

    def report(
        self, step: int, value: float, metrics: dict[str, Any], items: Mapping[str, float] | None = None
    ) -> None:
        """Report the score and all metrics of evaluation `step` (1 is the first), and what each item added to it."""

        def write(storage: RDBStorage) -> None:
            if items:  # before the report: whoever sees that looks for them
                storage.set_trial_user_attr(self._trial_id, items_attr(step), dict(items))
            storage.set_trial_intermediate_value(self._trial_id, step, value)
            storage.set_trial_user_attr(self._trial_id, METRICS_ATTR, metrics)

        self._waiting.append(write)
        self._try()

    def note(self, **facts: Any) -> None:
        """Store facts about the trial, such as measured peaks."""

        def write(storage: RDBStorage) -> None:
            for name, fact in facts.items():
                storage.set_trial_user_attr(self._trial_id, name, fact)

        self._waiting.append(write)
        self._try()

    def result(self, value: float, metrics: dict[str, Any]) -> None:
        """Close the trial as complete; waits as long as the database is away. Raises TrialError for NaN."""
        score = finite(value)

        def write(storage: RDBStorage) -> None:
            storage.set_trial_user_attr(self._trial_id, METRICS_ATTR, metrics)
            storage.set_trial_state_values(self._trial_id, OptunaState.COMPLETE, [score])

        self._waiting.append(write)
        self.flush()

    def pruned(self, reason: Message) -> None:
        """Close the trial as pruned, for a reason it saw itself, such as a diverged loss."""

        def write(storage: RDBStorage) -> None:
            storage.set_trial_user_attr(self._trial_id, REASON_ATTR, reason.to_text())
            frozen = storage.get_trial(self._trial_id)
            last = frozen.intermediate_values
            storage.set_trial_state_values(
                self._trial_id, OptunaState.PRUNED, [last[max(last)]] if last else None
            )

        self._waiting.append(write)
        self.flush()

    def is_closed(self) -> bool:
        """Return whether the trial has an outcome already; False while the database is away."""
        try:
            with guarded(), self._existing():
                self.closed = self.closed or self._open().get_trial(self._trial_id).state.is_finished()
        except StorageError:
            pass
        return self.closed

    def flush(self) -> None:
        """Write everything that waits; retries with growing pauses until it is written."""
        patiently(self._write, sleep=self._sleep, on_wait=self._on_wait)

    def _try(self) -> None:
        try:
            self._write()
        except StorageError as error:
            self._on_wait(error.message)

    def _write(self) -> None:
        while self._waiting and not self.closed:
            with guarded():
                try:
                    with self._existing():
                        self._waiting[0](self._open())
                except UpdateFinishedTrialError:
                    self.closed = True  # pruned or cancelled by the controller
            if self._waiting:
                self._waiting.popleft()

    @contextmanager
    def _existing(self) -> Iterator[None]:
        """Raise TrialError when the database does not know the trial: no retry will bring it back."""
        try:
            yield
        except KeyError as error:
            raise TrialError("search.no-trial", trial=self._trial_id) from error

    def _open(self) -> RDBStorage:
        if self._storage is None:
            self._storage = open_storage(self._url)
            if self._fence is not None:
                self._fence.guard(self._storage.engine)
        return self._storage
