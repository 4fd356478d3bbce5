"""The log of a Job: that of its pods, one after the other."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator

from coref_k8s.cluster.api import ClusterApi
from coref_k8s.cluster.errors import ApiRefusal, NotFound
from coref_k8s.cluster.jobs import CONTAINER
from coref_k8s.cluster.observed import JOB_NAME_LABEL, has_ended, pod_age
from coref_k8s.cluster.resources import JOBS, PODS
from coref_k8s.errors import NotFoundError

#: Pause between two looks for a pod that is not there yet, while following (seconds).
LOOK_SECONDS = 1.0


def job_log(
    api: ClusterApi,
    namespace: str,
    job: str,
    *,
    tail: int | None = None,
    follow: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[str]:
    """Yield the log lines of a Job's pods, oldest pod first; `follow` waits for more until the Job has ended.

    Raises NotFoundError, at once and not at the first line, when there is neither Job nor pod.
    """
    pods = _pods(api, namespace, job)
    if not pods and _ended(api, namespace, job) is None:
        raise NotFoundError("cluster.no-job", job=job, namespace=namespace)
    if follow:
        return _followed(api, namespace, job, tail, sleep)
    lines = (line for pod in pods for line in _lines(api, namespace, pod, tail))
    return lines if tail is None else iter(deque(lines, maxlen=tail))


def _followed(
    api: ClusterApi, namespace: str, job: str, tail: int | None, sleep: Callable[[float], None]
) -> Iterator[str]:
    told: set[str] = set()
    while True:
        # asked before the pods are listed: a pod that came with the end is not missed
        over = _ended(api, namespace, job) is not False
        fresh = [pod for pod in _pods(api, namespace, job) if pod not in told]
        for pod in fresh:
            yield from _lines(api, namespace, pod, tail if not told else None, follow=True)
            told.add(pod)
        if over and not fresh:
            return
        if not fresh:
            sleep(LOOK_SECONDS)


def _lines(
    api: ClusterApi, namespace: str, pod: str, tail: int | None, *, follow: bool = False
) -> Iterator[str]:
    while True:
        try:
            yield from api.logs(pod, namespace, container=CONTAINER, tail_lines=tail, follow=follow)
            return
        except NotFound:
            return  # it went with its node
        except ApiRefusal as error:
            # 400: the container has not started yet
            if error.code != 400 or not follow or not _waiting(api, namespace, pod):
                return
        time.sleep(LOOK_SECONDS)


def _waiting(api: ClusterApi, namespace: str, pod: str) -> bool:
    try:
        return api.get(PODS, pod, namespace).get("status", {}).get("phase") == "Pending"
    except NotFound:
        return False


def _pods(api: ClusterApi, namespace: str, job: str) -> list[str]:
    found, _ = api.list(PODS, namespace, labels=f"{JOB_NAME_LABEL}={job}")
    return [pod["metadata"]["name"] for pod in sorted(found, key=pod_age)]


def _ended(api: ClusterApi, namespace: str, job: str) -> bool | None:
    """Return whether the Job has ended; None when there is no such Job."""
    try:
        return has_ended(api.get(JOBS, job, namespace))
    except NotFound:
        return None
