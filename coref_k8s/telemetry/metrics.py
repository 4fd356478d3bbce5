"""Prometheus metrics of controllers and studies: every name, unit and label; those of trials are beside it.

Series of a study are few and bounded: lengths × states, never trials. They end with `forget`.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

#: Seconds; a reconcile is some database reads, an ask and a few API calls.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
#: What a failed attempt is counted under; anything else is `Other`, so that texts never become labels.
REASONS = ("Invalid", "GpuOutOfMemory", "HostOutOfMemory", "Disrupted", "Crashed", "Other")


class StudyMetrics:
    """Metrics of studies. A controller on a cluster has many studies, one on this machine has one."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._of_studies: list[Gauge] = []
        study = ["namespace", "study"]
        length = [*study, "seq_len"]
        self.phase = self._gauge("coref_study_phase", "1 for the phase a study is in.", [*study, "phase"])
        self.trials = self._gauge("coref_study_trials", "Trials by length and state.", [*length, "state"])
        self.planned = self._gauge("coref_study_trials_planned", "Trials asked for.", length)
        self.best = self._gauge(
            "coref_study_best_score", "Best score so far (0 to 1); none before one is known.", length
        )
        self.runs = self._gauge(
            "coref_study_finalist_runs",
            "Runs of the best trials with fresh seeds, and of what they are compared with, by length and state.",
            [*length, "state"],
        )
        self.test = self._gauge(
            "coref_study_test_score",
            "Score on test documents of what a length delivers (0 to 1); none before it was tested.",
            length,
        )
        self.difference = self._gauge(
            "coref_study_test_difference",
            "That score minus that of another model (-1 to 1), paired by item, and its 95 % interval; "
            "against: untuned, defaults, single (best member of an ensemble); bound: low, value, high.",
            [*length, "against", "bound"],
        )
        self.gpu_seconds = self._gauge(
            "coref_study_gpu_seconds",
            "GPU time spent (seconds x GPUs) by trials and finalists, running ones until now.",
            study,
        )
        self.ended_gpu_seconds = self._gauge(
            "coref_study_ended_gpu_seconds",
            "GPU time of ended attempts (seconds x GPUs) by outcome; all but succeeded gave no result.",
            [*study, "outcome"],
        )
        self.failures = self._gauge(
            "coref_study_failed_attempts", f"Failed attempts by reason: {', '.join(REASONS)}.",
            [*study, "reason"],
        )  # fmt: skip
        self.remaining = self._gauge(
            "coref_study_remaining_seconds",
            "Estimated time to the end (seconds); none while nothing tells it.",
            study,
        )
        self.progress_time = self._gauge(
            "coref_study_progress_timestamp_seconds",
            "When the study last moved: an evaluation, an outcome, a new phase (Unix time, seconds).",
            study,
        )
        self.ask_seconds = Histogram(
            "coref_controller_ask_seconds",
            "Time in which the sampler chose the parameters of a trial (seconds).",
            buckets=BUCKETS,
            registry=self.registry,
        )

    def forget(self, namespace: str, study: str) -> None:
        """Remove the series of a study that is gone."""
        for metric in self._of_studies:
            metric.remove_by_labels({"namespace": namespace, "study": study})

    def forget_all(self) -> None:
        """Remove the series of every study: another controller has them now."""
        for metric in self._of_studies:
            metric.clear()

    def _gauge(self, name: str, text: str, labels: list[str]) -> Gauge:
        gauge = Gauge(name, text, labels, registry=self.registry)
        self._of_studies.append(gauge)
        return gauge


class ControllerMetrics(StudyMetrics):
    """Metrics of one controller process on a cluster and of its studies, in a registry of their own."""

    def __init__(self) -> None:
        super().__init__()
        on: dict[str, Any] = {"registry": self.registry}
        self.leading = Gauge("coref_controller_leading", "1 while this controller holds the lease.", **on)
        self.queue = Gauge("coref_controller_queue_depth", "Studies that wait to be looked at.", **on)
        self.reconcile_seconds = Histogram(
            "coref_controller_reconcile_seconds",
            "Time of one look at a study (seconds).",
            buckets=BUCKETS,
            **on,
        )
        self.errors = Counter(
            "coref_controller_errors_total", "Looks at a study that failed, by kind of error.", ["kind"], **on
        )
        self.database_errors = Counter(
            "coref_controller_database_errors_total",
            "Times the database could not be reached or answered with an error.",
            **on,
        )
        self.requests = Counter(
            "coref_controller_api_requests_total",
            "Requests to the Kubernetes API; code 0 is no answer.",
            ["verb", "resource", "code"],
            **on,
        )
        self.request_seconds = Histogram(
            "coref_controller_api_request_seconds", "Time of a request to the Kubernetes API (seconds).",
            ["verb"], buckets=BUCKETS, **on,
        )  # fmt: skip
        self.reflector_age = Gauge(
            "coref_controller_reflector_age_seconds",
            "Time since the API server was last heard (seconds), by resource.",
            ["resource"],
            **on,
        )

    def request(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Count a request to the Kubernetes API."""
        self.requests.labels(verb, resource, str(code)).inc()
        if verb not in ("watch", "logs"):
            self.request_seconds.labels(verb).observe(seconds)
