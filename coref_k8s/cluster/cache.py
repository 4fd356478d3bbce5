"""`JobCache`: live copies of our Jobs and pods, found by study without a request and without a search."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from coref_k8s.cluster import names
from coref_k8s.cluster.api import ClusterApi
from coref_k8s.cluster.observed import (
    is_disrupted,
    job_news,
    job_of,
    pod_news,
    ran_seconds,
    slim_job,
    slim_pod,
)
from coref_k8s.cluster.reflector import Reflector
from coref_k8s.cluster.resources import JOBS, PODS
from coref_k8s.errors import ClusterError
from coref_k8s.wording import Message

#: Selects our Jobs and pods.
SELECTOR = f"{names.MANAGED_BY_LABEL}={names.APP}"

#: Of those, the Jobs whose outcome is still to be written down.
LIVE_SELECTOR = f"{SELECTOR},!{names.RECORDED_LABEL}"

#: Namespace and name.
Key = tuple[str, str]
#: A Job, and its pods. What the Job has lost is under `lost`, how long pods ran that are gone under `spent`.
Copy = tuple[dict[str, Any], list[dict[str, Any]]]


class JobCache:
    """Two reflectors and the indexes over them; lives between `open` and `close`.

    `on_change(namespace, study)` is called in a reflector's thread when a Job or pod of the study changed in a
    way that may need doing something; what merely takes time is seen at the next look.
    """

    def __init__(
        self,
        api: ClusterApi,
        *,
        all_namespaces: bool = False,
        on_change: Callable[[str, str], None] = lambda namespace, study: None,
        **reflecting: Any,
    ) -> None:
        reflecting |= {"all_namespaces": all_namespaces}
        self.jobs = Reflector(
            api, JOBS, labels=LIVE_SELECTOR, transform=slim_job, on_change=self._job_changed, **reflecting
        )
        self.pods = Reflector(
            api, PODS, labels=SELECTOR, transform=slim_pod, on_change=self._pod_changed, **reflecting
        )
        self._on_change = on_change
        self._lock = threading.Lock()
        self._jobs_of: dict[Key, set[Key]] = defaultdict(set)  # study: its Jobs
        self._study_of: dict[Key, Key] = {}
        self._pods_of: dict[Key, set[Key]] = defaultdict(set)  # Job: its pods
        self._lost: dict[Key, set[str]] = defaultdict(set)  # Job: pods that it lost without fault
        self._last: dict[Key, Any] = {}  # pods as they were last seen
        self._spent: dict[Key, dict[str, float]] = defaultdict(dict)  # Job: seconds that its gone pods ran
        self._copies: dict[Key, Copy] = {}  # of Jobs that have not changed since they were asked for
        self._told: dict[tuple[str, Key], tuple[Any, ...]] = {}  # what was worth a call, last time

    def open(self, timeout: float = 60.0) -> JobCache:
        """Start the reflectors and wait for their first lists. Raises ClusterError."""
        for reflector in (self.jobs, self.pods):
            reflector.start()
        for reflector in (self.jobs, self.pods):
            if not reflector.wait_synced(timeout):
                why = reflector.trouble or Message.of("cluster.no-answer")
                raise ClusterError("cluster.not-listed", plural=reflector.resource.plural, why=why)
        return self

    def close(self) -> None:
        """Stop the reflectors."""
        for reflector in (self.jobs, self.pods):
            reflector.stop()

    def of(self, namespace: str, study: str) -> list[Copy]:
        """Return the Jobs of a study by name, each with its pods. Do not change them.

        A copy is the same object as the last time while neither the Job nor a pod of it has changed.
        """
        with self._lock:
            jobs = sorted(self._jobs_of.get((namespace, study), ()))
            return [copy for key in jobs if (copy := self._copies.get(key) or self._copy(key)) is not None]

    def _copy(self, key: Key) -> Copy | None:
        job = self.jobs.get(key)
        if job is None:
            return None
        pods = [self.pods.get(pod) for pod in self._pods_of.get(key, ())]
        lost = frozenset(self._lost.get(key, ()))
        gone = {"lost": lost, "spent": dict(self._spent.get(key, ()))}
        copy = self._copies[key] = {**job, **gone}, [pod for pod in pods if pod is not None]
        return copy

    def job(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return one Job; None when there is none."""
        return self.jobs.get((namespace, name))

    def _job_changed(self, key: Key) -> None:
        job = self.jobs.get(key)
        with self._lock:
            self._copies.pop(key, None)
            if job is None:
                study = self._study_of.pop(key, (key[0], ""))
                _discard(self._jobs_of, study, key)
                self._lost.pop(key, None)
                self._spent.pop(key, None)
            else:
                study = self._study_of[key] = key[0], job["metadata"]["labels"].get(names.STUDY_LABEL, "")
                self._jobs_of[study].add(key)
            news = self._is_news("job", key, job_news(job) if job else None)
        if news:
            self._on_change(*study)

    def _pod_changed(self, key: Key) -> None:
        pod, gone = self.pods.get(key), False
        with self._lock:
            if pod is None:
                last = self._last.pop(key, None)
                job = key[0], job_of(last) if last else ""
                _discard(self._pods_of, job, key)
                if job in self._study_of and last and (ran := ran_seconds(last, datetime.now(UTC))):
                    self._spent[job][key[1]], gone = ran, True
            else:
                job = key[0], job_of(pod)
                self._pods_of[job].add(key)
                self._last[key] = pod
                if is_disrupted(pod) and job in self._study_of:
                    self._lost[job].add(key[1])
            self._copies.pop(job, None)
            study = self._study_of.get(job)
            told = pod_news(pod, self.jobs.get(job)) if pod else None
            news = self._is_news("pod", key, told) or gone
        if study is not None and news:
            self._on_change(*study)

    def _is_news(self, kind: str, key: Key, now: tuple[Any, ...] | None) -> bool:
        """Return whether there is something to do; an ending trial changes its Job and pod about eight times."""
        before = self._told.pop((kind, key), None)
        if now is None:
            return kind == "job"
        self._told[kind, key] = now
        return before != now


def _discard(index: dict[Key, set[Key]], key: Key, member: Key) -> None:
    index[key].discard(member)
    if not index[key]:
        del index[key]
