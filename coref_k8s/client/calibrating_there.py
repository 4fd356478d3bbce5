"""`calibrate --on cluster`: a Job for each kind of GPU, whose pod measures the card and writes to the studies' database."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from coref_k8s.client.logs import followed
from coref_k8s.cluster.api import ClusterApi
from coref_k8s.cluster.calibration import calibration_job, create_or_join, kinds_of_gpu
from coref_k8s.cluster.doctor import Answer, ask
from coref_k8s.cluster.errors import NotFound
from coref_k8s.cluster.observed import DEADLINE, JOB_NAME_LABEL, has_ended, observed
from coref_k8s.cluster.podlogs import job_log
from coref_k8s.cluster.resources import JOBS, PODS
from coref_k8s.cluster.settings import ClusterSettings, JobSettings
from coref_k8s.controller.runner import ObservedJob, State
from coref_k8s.errors import EXIT_INVALID, ClusterError, NotFoundError, RequestError
from coref_k8s.sizing.calibration import Calibration
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import NOTHING, Message

#: Jobs are looked at this often (seconds).
_LOOK_SECONDS = 2.0


def calibrations_there(api: ClusterApi) -> list[Calibration]:
    """Return what was measured in a cluster, newest first. Raises ClusterError when its controller does not answer."""
    service = _asked(api).service
    try:
        found = json.loads(api.proxied(service, "api/v1/calibrations"))
    except NotFound as error:
        raise ClusterError("client.old-controller") from error
    return [Calibration.from_json(json.dumps(one)) for one in found]


def calibrate_there(
    api: ClusterApi,
    spec: StudySpec,
    kinds: Sequence[str],
    deadline: float,
    tell: Callable[[Message], None],
) -> list[Calibration]:
    """Measure what a request's steps take on each kind of GPU of a cluster, or on those named, and return what was measured.

    Each kind has a Job of its own, which goes on when this process ends; whoever asks for the same meanwhile follows it.
    `deadline` is the time that a pod measures (seconds). Raises RequestError when there is nothing to measure or the
    controller does not say how it makes pods, and ClusterError with the reason of a Job that has failed.
    """
    settings = _settings(api)
    if spec.pod.gpus and not kinds:
        kinds = kinds_of_gpu(api, spec)
    before = {one.to_json() for one in calibrations_there(api)}
    jobs: dict[str, str] = {}
    for kind in kinds if spec.pod.gpus else ("",):
        job = calibration_job(spec, settings, kind, deadline, namespace=api.namespace)
        name = job["metadata"]["name"]
        jobs[name] = kind or ("GPU" if spec.pod.gpus else "CPU")
        code = "client.job-measures" if create_or_join(api, job) else "client.job-joined"
        tell(Message.of(code, job=name, kind=jobs[name]))
    waited = _Waiting(api, list(jobs), tell)

    def log(job: str, follow: bool) -> Iterator[str]:
        # removed since it was listed, or cut off: what was measured is in the database
        with suppress(NotFoundError, ClusterError):
            yield from job_log(api, api.namespace, job, follow=follow)

    for line in followed(waited.jobs, log, "calibrate", waited.ended):
        tell(Message.verbatim(line))
    if why := waited.failure():
        failed = ClusterError(why)
        failed.exit_code = EXIT_INVALID  # for the chart's Job: asking again does not help
        raise failed
    return [one for one in calibrations_there(api) if one.to_json() not in before]


class _Waiting:
    """The Jobs that are waited for."""

    def __init__(self, api: ClusterApi, names: list[str], tell: Callable[[Message], None]) -> None:
        self._api, self._names, self._tell = api, names, tell
        self._seen: dict[str, ObservedJob | None] = {}
        self._late: set[str] = set()
        self._said: dict[str, Message] = {}
        self._looked = float("-inf")

    def jobs(self) -> list[str]:
        """Return the Jobs that have a pod to read."""
        return [name for name, seen in self._seen.items() if seen and seen.state is not State.PENDING]

    def ended(self) -> bool:
        """Look at the Jobs, say what keeps one, and return whether all have ended."""
        if time.monotonic() - self._looked >= _LOOK_SECONDS:
            for name in self._names:
                self._look(name)
            self._looked = time.monotonic()
        return all(seen is None or not seen.live for seen in self._seen.values())

    def _look(self, name: str) -> None:
        try:
            job = self._api.get(JOBS, name)
        except NotFound:
            self._seen[name] = None
            return
        pods, _ = self._api.list(PODS, labels=f"{JOB_NAME_LABEL}={name}")
        seen = self._seen[name] = observed(job, pods, datetime.now(UTC))
        conditions = (job.get("status") or {}).get("conditions") or ()
        if has_ended(job) and any(one.get("reason") == DEADLINE for one in conditions):
            self._late.add(name)
        elif seen.state is State.PENDING and seen.message and seen.message != self._said.get(name):
            self._said[name] = seen.message
            self._tell(Message.of("client.job-waits", job=name, why=seen.message))

    def failure(self) -> Message:
        """Return why the first of the Jobs that have failed did; empty when none has."""
        for name, seen in self._seen.items():
            if seen is None:
                return Message.of("client.job-gone", job=name)
            if name in self._late:
                return Message.of("client.job-late", job=name, why=self._said.get(name, NOTHING))
            if seen.state is State.FAILED:
                why = Message.verbatim(seen.said) if seen.said else seen.message
                return Message.of("client.job-failed", job=name, why=why)
        return NOTHING


def _asked(api: ClusterApi) -> Answer:
    answer = ask(api)
    if answer.trouble is not None:
        raise ClusterError(answer.trouble.what)
    return answer


def _settings(api: ClusterApi) -> JobSettings:
    """Return how the controller makes pods. Raises ClusterError when it has no database yet, or is too old to say it."""
    health = _asked(api).health
    if health["database"]:
        raise ClusterError(Message.load(health["database"]))
    if "jobs" not in health:
        raise ClusterError("client.old-controller")
    try:
        return ClusterSettings.parse({"jobs": health["jobs"]}).jobs
    except RequestError as error:
        raise ClusterError("client.new-controller", why=error.message) from error
