"""From a study's progress to its metrics: after every look, here as on a cluster."""

from __future__ import annotations

from coref_k8s.controller.progress import LengthProgress, Progress
from coref_k8s.controller.workqueue import Key
from coref_k8s.search.tested import tested
from coref_k8s.store.records import Outcome, Phase
from coref_k8s.telemetry.metrics import REASONS, StudyMetrics


class StudyMeter:
    """Writes progress into metrics. Remembers only when each study last moved."""

    def __init__(self, metrics: StudyMetrics) -> None:
        self.metrics = metrics
        self._moved: dict[Key, object] = {}

    def measure(self, progress: Progress) -> None:
        """Bring the series of a study up to date."""
        metrics, key = self.metrics, Key(progress.namespace, progress.name)
        for phase in Phase:
            metrics.phase.labels(*key, phase.value).set(phase is progress.phase)
        metrics.gpu_seconds.labels(*key).set(progress.gpu_seconds)
        for outcome in Outcome:
            metrics.ended_gpu_seconds.labels(*key, outcome.value).set(progress.ended_gpu_seconds[outcome])
        failures = dict.fromkeys(REASONS, 0)
        for reason, count in progress.failures.items():
            failures[reason if reason in failures else "Other"] += count
        for reason, count in failures.items():
            metrics.failures.labels(*key, reason).set(count)
        for length in progress.lengths:
            labels = (*key, str(length.seq_len))
            metrics.planned.labels(*labels).set(length.planned)
            for state in ("complete", "pruned", "failed", "running", "waiting"):
                metrics.trials.labels(*labels, state).set(getattr(length, state))
            if length.best is not None and length.best.value is not None:
                metrics.best.labels(*labels).set(length.best.value)
            for state, count in length.runs.items():
                metrics.runs.labels(*labels, state).set(count)
            self._test(labels, length)
        left = 0.0 if progress.ended else None
        if left is None and progress.remaining is not None:
            left = progress.remaining.total_seconds()
        if left is not None:
            metrics.remaining.labels(*key).set(left)
        self._note_movement(key, progress)

    def _test(self, labels: tuple[str, str, str], length: LengthProgress) -> None:
        found = tested(length.winner, length.verdict)
        if found is None:  # also when more trials were asked for, and finalists are chosen again
            here = dict(zip(("namespace", "study", "seq_len"), labels, strict=True))
            self.metrics.test.remove_by_labels(here)
            self.metrics.difference.remove_by_labels(here)
            return
        self.metrics.test.labels(*labels).set(found.score)
        for one in found.comparisons:
            if (score := one.score) is not None:
                for bound, value in (("low", score.low), ("value", score.difference), ("high", score.high)):
                    if value is not None:
                        self.metrics.difference.labels(*labels, one.against, bound).set(value)

    def forget(self, key: Key) -> None:
        """Drop a study that is gone."""
        self._moved.pop(key, None)
        self.metrics.forget(*key)

    def forget_all(self) -> None:
        """Drop every study, as a controller must that has lost its lease."""
        self._moved.clear()
        self.metrics.forget_all()

    def _note_movement(self, key: Key, progress: Progress) -> None:
        # a controller that has just begun counts from now: it cannot know better
        state = (
            progress.phase,
            [(n.complete, n.pruned, n.failed, n.running, n.runs) for n in progress.lengths],
            sorted((one.job.name, one.step or 0) for one in progress.running),
        )
        if self._moved.get(key) != state:
            self._moved[key] = state
            self.metrics.progress_time.labels(*key).set(progress.now.timestamp())
