"""Trials that only pretend: the stand-in kubelet calls this instead of starting a process.

What a real trial pod does to the database is done for real, through the same classes.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from coref_k8s.cluster.database import Database
from coref_k8s.runner import Kind, Order

#: What a pod does: how long it "runs" (seconds), its exit code, whether it reports a result.
Behaviour = tuple[float, int, bool]
WELL: Behaviour = (0.05, 0, True)


class Trials:
    """Call it with a pod. `behave(order, start)` may give another behaviour; `start` counts the pods of a job."""

    def __init__(self, url: str, namespace: str) -> None:
        self.database = Database(url)
        self.namespace = namespace
        self.behave: Callable[[Order, int], Behaviour | None] = lambda order, start: None
        self.orders: list[Order] = []
        self._starts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, pod: dict[str, Any]) -> tuple[float, int]:
        if pod["metadata"]["namespace"] != self.namespace:
            return 0.0, 0  # left over from another test, whose namespace is going
        order = order_of(pod)
        with self._lock:
            self.orders.append(order)
            self._starts[order.name] += 1
            start = self._starts[order.name]
        seconds, code, reports = self.behave(order, start) or WELL
        if reports:
            self._report(order)
        return seconds, code

    def _report(self, order: Order) -> None:
        if order.kind is Kind.PREPARE:
            self.database.store().set_prepared(order.namespace, order.study, "prepared/0123", {"chunks": 7})
            return
        assert order.trial is not None
        # any fixed function of the parameters will do
        value = 0.3 + (hash(json.dumps(order.params, sort_keys=True)) % 1000) / 2000
        storage = self.database.storage()
        storage.set_trial_user_attr(order.trial_id, "metrics", {"coref_f1": value})
        from optuna.trial import TrialState

        storage.set_trial_state_values(order.trial_id, TrialState.COMPLETE, [value])


def order_of(pod: dict[str, Any]) -> Order:
    """Return the order in a pod."""
    env = pod["spec"]["containers"][0]["env"]
    text = next(entry["value"] for entry in env if entry["name"] == "COREF_ORDER")
    return Order.model_validate_json(text.replace("$$", "$"))
