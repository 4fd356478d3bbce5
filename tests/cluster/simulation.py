"""Trials that only pretend: the stand-in kubelet calls this instead of starting a process.

What a real trial pod does to the database is done for real, through the same classes.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState as OptunaState

from coref_k8s.cluster.database import Database
from coref_k8s.evaluation.result import EvaluationResult, ItemScores
from coref_k8s.search.finalist_study import read_runs, write_verdict
from coref_k8s.search.records import TrialState
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order
from coref_k8s.trial.verdict_job import judge

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
        if order.kind is Kind.VERDICT:
            self._judge(order)
            return
        assert order.trial is not None
        # any fixed function of the parameters will do
        value = 0.3 + (hash(json.dumps(order.params, sort_keys=True)) % 1000) / 2000
        storage = self.database.storage()
        with suppress(UpdateFinishedTrialError):  # as a trial does that has its outcome already
            storage.set_trial_user_attr(order.trial_id, "metrics", {"coref_f1": value})
            storage.set_trial_state_values(order.trial_id, OptunaState.COMPLETE, [value])

    def _judge(self, order: Order) -> None:
        """Do what the verdict's job does, with made-up items: the pods have left no files."""
        assert order.seq_len is not None
        storage = self.database.storage()
        runs = read_runs(storage, order.study, order.seq_len, order.namespace)
        done = [run for run in runs if run.state is TrialState.COMPLETE]
        names, documents = [f"i{n}" for n in range(40)], [f"d{n // 4}" for n in range(40)]
        results = {
            run.number: EvaluationResult(
                metrics={"score": 0.5, "lbd_top1": 0.5}, counts={}, buckets=[], thresholds={"tau": 0.0}, warnings=[],
                item_scores={"lambada": ItemScores(names, documents, {"lbd_top1": [share] * 40})},
                items_sha256="", tokenizer="", seq_len=order.seq_len, weights={"lbd_top1": 1.0}, full=True,
            )
            for run in done
            for share in [0.1 if run.attrs["role"] == "untuned" else 0.5]
        }  # fmt: skip
        seeds = order.spec.search.finalist_seeds
        verdict = judge(order.seq_len, done, results, asked=seeds, now=datetime.now(UTC))
        write_verdict(storage, order.study, verdict, order.namespace)


def order_of(pod: dict[str, Any]) -> Order:
    """Return the order in a pod."""
    env = pod["spec"]["containers"][0]["env"]
    text = next(entry["value"] for entry in env if entry["name"] == "COREF_ORDER")
    return Order.model_validate_json(text.replace("$$", "$"))
