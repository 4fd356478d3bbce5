"""Prometheus metrics of the controller: every name, unit and label, in one place."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

#: Seconds; a reconcile is some database reads, an ask and a few API calls.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class ControllerMetrics:
    """Metrics of one controller process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        on: dict[str, Any] = {"registry": self.registry}
        self.leading = Gauge("coref_controller_leading", "1 while this controller holds the lease.", **on)
        self.queue = Gauge("coref_controller_queue_depth", "Studies that wait to be looked at.", **on)
        self.reconcile_seconds = Histogram(
            "coref_controller_reconcile_seconds", "Time of one look at a study.", buckets=BUCKETS, **on
        )
        self.errors = Counter(
            "coref_controller_errors_total", "Looks at a study that failed, by kind of error.", ["kind"], **on
        )
        self.requests = Counter(
            "coref_controller_api_requests_total",
            "Requests to the Kubernetes API; code 0 is no answer.",
            ["verb", "resource", "code"],
            **on,
        )
        self.request_seconds = Histogram(
            "coref_controller_api_request_seconds", "Time of a request to the Kubernetes API.",
            ["verb"], buckets=BUCKETS, **on,
        )  # fmt: skip
        self.reflector_age = Gauge(
            "coref_controller_reflector_age_seconds",
            "Time since the API server was last heard, by resource.",
            ["resource"],
            **on,
        )
        study = ["namespace", "study"]
        self.phase = Gauge("coref_study_phase", "1 for the phase a study is in.", [*study, "phase"], **on)
        self.trials = Gauge(
            "coref_study_trials", "Trials by length and state.", [*study, "seq_len", "state"], **on
        )
        self.planned = Gauge("coref_study_trials_planned", "Trials asked for.", [*study, "seq_len"], **on)
        self.best = Gauge("coref_study_best_score", "Best score so far.", [*study, "seq_len"], **on)
        self.gpu_seconds = Gauge(
            "coref_study_gpu_seconds",
            "GPU time spent (seconds x GPUs), running trials until now.",
            study,
            **on,
        )

    def request(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Count a request to the Kubernetes API."""
        self.requests.labels(verb, resource, str(code)).inc()
        if verb not in ("watch", "logs"):
            self.request_seconds.labels(verb).observe(seconds)

    def forget(self, namespace: str, study: str) -> None:
        """Remove the series of a study that is gone."""
        labels = {"namespace": namespace, "study": study}
        for metric in (self.phase, self.trials, self.planned, self.best, self.gpu_seconds):
            metric.remove_by_labels(labels)
