"""Prometheus metrics of one trial, finalist's run or final training: every name, unit and label. They go away with its process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from coref_k8s.study.tasks import SHOWN

#: Labels of every series: which trial speaks. A finalist's run is of another `kind` and counts from 0 again.
TRIAL_LABELS = ("namespace", "study", "seq_len", "kind", "trial", "attempt")
#: Metrics of the last evaluation that are exported: few and always the same; the rest is in the database.
EXPORTED = ("score", *SHOWN["mentions"], "coref_top5_gain", "lbd_top1_gain", *SHOWN["coreference"])


class TrialMetrics:
    """Metrics of one trial process, in a registry of their own."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.registry = CollectorRegistry()
        self._labels = {name: labels[name] for name in TRIAL_LABELS}
        gauge, counter = self._gauge, self._counter
        self.step = gauge("coref_trial_step", "Optimiser steps done.")
        self.steps = gauge(
            "coref_trial_steps", "Optimiser steps in the whole trial; none where nothing is trained."
        )
        self.loss = gauge("coref_trial_loss", "Mean training loss since the last report (nats).")
        self.learning_rate = gauge("coref_trial_learning_rate", "Learning rate of the head.")
        self.tokens_per_second = gauge(
            "coref_trial_tokens_per_second", "Real tokens trained on per second, padding not counted."
        )
        self.step_seconds = gauge(
            "coref_trial_step_seconds", "Mean time of an optimiser step since the last report (seconds)."
        )
        self.data_wait = gauge(
            "coref_trial_data_wait_ratio", "Share of the time in which training waited for data (0 to 1)."
        )
        device = "coref_trial_device_memory"
        self.device_peak = gauge(
            f"{device}_peak_bytes", "Peak memory of what trains: the GPU, or the process on CPU (bytes)."
        )
        self.device_predicted = gauge(
            f"{device}_predicted_bytes", "Peak GPU memory that sizing predicted (bytes)."
        )
        self.device_budget = gauge(
            f"{device}_budget_bytes", "GPU memory that sizing planned with, a share of the limit (bytes)."
        )
        self.device_limit = gauge(f"{device}_limit_bytes", "Memory of the GPU (bytes); none on CPU.")
        self.host_peak = gauge(
            "coref_trial_host_memory_peak_bytes", "Peak host memory of the process so far (bytes)."
        )
        self.host_limit = gauge(
            "coref_trial_host_memory_limit_bytes", "Host memory that the trial may use (bytes)."
        )
        self.volume_free = gauge("coref_trial_volume_free_bytes", "Free space of the data volume (bytes).")
        self.volume_size = gauge("coref_trial_volume_size_bytes", "Size of the data volume (bytes).")
        self.evaluation_seconds = gauge(
            "coref_trial_evaluation_seconds", "Time of the last evaluation (seconds)."
        )
        self.checkpoint_seconds = gauge(
            "coref_trial_checkpoint_seconds", "Time of the last checkpoint (seconds)."
        )
        self.checkpoint_bytes = gauge("coref_trial_checkpoint_bytes", "Size of the last checkpoint (bytes).")
        self.checkpoints = counter("coref_trial_checkpoints_total", "Checkpoints written.")
        self.oom_retries = counter(
            "coref_trial_oom_retries_total", "Times the batch was halved because GPU memory ran out."
        )
        self.metric = Gauge(
            "coref_trial_metric",
            f"Metrics of the last evaluation on dev (0 to 1; gains -1 to 1): {', '.join(EXPORTED)}.",
            [*TRIAL_LABELS, "metric"],
            registry=self.registry,
        )

    def evaluated(self, metrics: Mapping[str, Any]) -> None:
        """Take over the metrics of an evaluation."""
        for name in EXPORTED:
            if isinstance(value := metrics.get(name), int | float):
                self.metric.labels(*self._labels.values(), name).set(value)

    def _gauge(self, name: str, text: str) -> LateGauge:
        return LateGauge(Gauge(name, text, TRIAL_LABELS, registry=self.registry), self._labels)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, TRIAL_LABELS, registry=self.registry).labels(*self._labels.values())


class LateGauge:
    """A gauge with its labels that has no series before it is set: 0 would be taken for a measurement."""

    def __init__(self, gauge: Gauge, labels: Mapping[str, str]) -> None:
        self._gauge, self._labels = gauge, labels

    def set(self, value: float) -> None:
        """Set the value."""
        self._gauge.labels(*self._labels.values()).set(value)
