"""Keeps a trial's metrics, for Prometheus to read: over HTTP in a pod, from a file on one machine."""

from __future__ import annotations

import contextlib
import logging
import resource
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import start_http_server, write_to_textfile

from coref_k8s.settings import Settings
from coref_k8s.study.order import Order
from coref_k8s.study.paths import TrialFolder
from coref_k8s.telemetry.trial_metrics import TrialMetrics
from coref_k8s.trial.observers import CheckpointReport, EvaluationReport, MemoryReport, StepReport

log = logging.getLogger(__name__)

#: Least time between two writes of it, and between two looks at the volume (seconds).
INTERVAL = 2.0


class MetricsObserver:
    """Keeps the metrics of a trial current. Serving starts with the object and ends with the process."""

    def __init__(self, order: Order, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.metrics = TrialMetrics(
            {
                "namespace": order.namespace,
                "study": order.study,
                "seq_len": str(order.seq_len),
                "kind": order.kind.value,
                "trial": str(order.trial),
                "attempt": str(order.attempt),
            }
        )
        self._data_dir = settings.data_dir
        self._clock, self._written = clock, -INTERVAL
        self._file = (
            TrialFolder(settings.data_dir / order.workdir).metrics if settings.metrics_textfile else None
        )
        if order.batch is not None:
            self.metrics.device_predicted.set(order.batch.predicted_bytes)
            self.metrics.device_budget.set(order.batch.budget_bytes)
        if order.resources.gpus and order.resources.gpu_memory_mb:
            # the node label counts MiB
            self.metrics.device_limit.set(order.resources.gpu_memory_mb * 2**20)
        if order.resources.memory_bytes:
            self.metrics.host_limit.set(order.resources.memory_bytes)
        if settings.metrics_port is not None:
            self._serve(settings.metrics_port)

    def _serve(self, port: int) -> None:
        try:
            start_http_server(port, registry=self.metrics.registry)
        except OSError as error:
            # a sidecar, or the host's network: hours of training are worth more than being watched
            log.warning("metrics are not served on port %d (%s); the trial goes on without", port, error)

    def on_begin(self, step: int, steps: int) -> None:
        """See `TrialObserver`."""
        self.metrics.step.set(step)
        if steps:  # an untuned model and an ensemble are only scored
            self.metrics.steps.set(steps)
        self._write()

    def on_step(self, report: StepReport) -> None:
        """See `TrialObserver`."""
        metrics = self.metrics
        metrics.step.set(report.step)
        metrics.steps.set(report.steps)
        metrics.loss.set(report.loss)
        metrics.learning_rate.set(report.learning_rate)
        metrics.tokens_per_second.set(report.tokens_per_second)
        metrics.step_seconds.set(report.step_seconds)
        metrics.data_wait.set(report.data_wait)
        metrics.device_peak.set(report.memory_bytes)
        # kilobytes on Linux
        metrics.host_peak.set(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        if self._clock() - self._written >= INTERVAL or report.step == report.steps:
            self._write()

    def on_evaluation(self, report: EvaluationReport) -> None:
        """See `TrialObserver`."""
        self.metrics.evaluation_seconds.set(report.seconds)
        if (
            report.split == "dev"
        ):  # what the test says at the end is in the result, not in the course of training
            self.metrics.evaluated({**report.metrics, "score": report.score})
        self._write()

    def on_checkpoint(self, report: CheckpointReport) -> None:
        """See `TrialObserver`."""
        if not report.seconds:
            return  # resumed from it, not written
        self.metrics.checkpoints.inc()
        self.metrics.checkpoint_seconds.set(report.seconds)
        self.metrics.checkpoint_bytes.set(report.size_bytes)

    def on_out_of_memory(self, report: MemoryReport) -> None:
        """See `TrialObserver`."""
        self.metrics.oom_retries.inc()

    def on_end(self, outcome: str, facts: Mapping[str, Any]) -> None:
        """See `TrialObserver`; the series end with the process."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def _write(self) -> None:
        self._written = self._clock()
        # a full or read-only disk must not end a trial
        with contextlib.suppress(OSError):
            volume = shutil.disk_usage(self._data_dir)
            self.metrics.volume_free.set(volume.free)
            self.metrics.volume_size.set(volume.total)
            if self._file is not None:
                _write_file(self._file, self.metrics)


def _write_file(path: Path, metrics: TrialMetrics) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), metrics.registry)
