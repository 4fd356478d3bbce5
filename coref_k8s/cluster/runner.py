"""`ClusterRunner`: the `Runner` contract over the Jobs of one namespace.

Reads come from the cache and cost a request only for what waits; that it may lag behind what was just written is the
controller's `JobMemory` to bridge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from coref_k8s.cluster import names
from coref_k8s.cluster.api import ClusterApi
from coref_k8s.cluster.cache import Copy, JobCache
from coref_k8s.cluster.errors import AlreadyExists, Invalid, NotFound, unless_replaced
from coref_k8s.cluster.explain import Explainer
from coref_k8s.cluster.jobs import job_manifest, pod_digest
from coref_k8s.cluster.observed import (
    JOB_CONTROLLER,
    disrupted_names,
    has_ended,
    noted_names,
    noted_spent,
    observed,
    spent,
    time_tells,
)
from coref_k8s.cluster.podlogs import job_log
from coref_k8s.cluster.resources import JOBS
from coref_k8s.cluster.settings import JobSettings
from coref_k8s.controller.runner import ObservedJob, Reason
from coref_k8s.controller.turn import Turn
from coref_k8s.errors import RequestError
from coref_k8s.study.order import Order, Resources
from coref_k8s.study.spec import PodSpec
from coref_k8s.telemetry.bus import utc_now


class _Seen(NamedTuple):
    """What a copy showed when it was last looked at."""

    copy: Copy
    job: ObservedJob
    unwritten: dict[str, str]
    """Annotations that its pods leave behind and that are not on it yet."""


class ClusterRunner:
    """Jobs of `namespace`, that of the connection by default.

    `owner_of` gives the UID of a study's custom resource. `guard` is called before every write and raises
    when this process may write no more (its lease is lost).
    """

    def __init__(
        self,
        api: ClusterApi,
        cache: JobCache,
        settings: JobSettings,
        *,
        namespace: str | None = None,
        owner_of: Callable[[str], str | None] = lambda study: None,
        guard: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.namespace = namespace or api.namespace
        self._api, self._cache, self._settings = api, cache, settings
        self._owner_of, self._guard, self._now = owner_of, guard, now
        self._seen: dict[str, dict[str, _Seen]] = {}  # study: Job: what it showed
        self._explainer = Explainer(api, self.namespace, settings.data_claim)

    def capacity(self) -> int | None:
        """The bound of this installation; None when the cluster's scheduler decides alone."""
        return self._settings.max_parallelism

    def pod_digest(self, pod: PodSpec, resources: Resources) -> str:
        """Return what tells pods apart that were asked for otherwise, by the request or the chart's values."""
        return pod_digest(pod, resources, self._settings)

    def list(self, study: str) -> list[ObservedJob]:
        """Return the jobs of a study, from the cache; what waits for long is asked about (`Explainer`)."""
        return [seen.job for seen in self._look(study)]

    def _look(self, study: str) -> tuple[_Seen, ...]:
        """Look at the Jobs that have changed, or that time changes: a look at a thousand live ones is a look at few."""
        before, now = self._seen.get(study, {}), self._now()
        after: dict[str, _Seen] = {}
        self._explainer.look()
        for copy in self._cache.of(self.namespace, study):
            job, pods = copy
            name = job["metadata"]["name"]
            seen = before.get(name)
            if seen is None or seen.copy is not copy or time_tells(seen.job, job, pods):
                shown = self._explainer.explained(observed(job, pods, now), job, pods, now)
                seen = _Seen(copy, shown, _unwritten(copy, live=shown.live))
            after[name] = seen
        if after:
            self._seen[study] = after
        else:
            self._seen.pop(study, None)
        return tuple(after.values())

    def start(self, order: Order) -> None:
        """Create the Job; one of that name that exists already is success.

        Raises RequestError when there can be no such Job, ClusterError when it cannot be created now.
        """
        self._guard()
        owner = self._owner_of(order.study)
        manifest = job_manifest(order, self._settings, namespace=self.namespace, owner_uid=owner)
        try:
            try:
                self._api.create(JOBS, manifest)
            except AlreadyExists:
                if self._make_room(order):
                    self._api.create(JOBS, manifest)
        except Invalid as error:
            raise RequestError(error.message) from error

    def _make_room(self, order: Order) -> bool:
        """Delete a Job of this name that is only kept for its log; return whether there was one.

        Raises RequestError when it belongs to somebody else: another program, or another study under names of 0.1.
        """
        with suppress(NotFound):
            found = self._api.get(JOBS, order.name, self.namespace)["metadata"]
            labels = found.get("labels", {})
            if (other := labels.get(names.STUDY_LABEL, "")) != order.study:
                code = "cluster.job-name-taken" if other else "cluster.job-of-others"
                raise RequestError(code, job=order.name, other=other)
            if names.RECORDED_LABEL not in labels:
                return False
            self._api.delete(JOBS, order.name, self.namespace, uid=found["uid"])
        return True

    def stop(self, job: ObservedJob, why: str = "stopped") -> None:
        """End the Job's pods by SIGTERM and keep the Job, as failed, until it is removed.

        A deadline in the past does that for good: a suspended Job would go on again, and a queue such as
        Kueue would see to it. A Job that is suspended has no pods and no clock: it is deleted. So is one that another
        controller manages: MultiKueue copies a Job into a worker cluster once, and takes the copy back with the Job.
        """
        if job.reason is Reason.SUSPENDED or self._is_managed(job):
            self.remove(job)
            return
        # in the same write: a controller that comes after this one must not take it for a disruption
        note = {"metadata": {"annotations": {names.STOPPED_ANNOTATION: why}}}
        self._patch(job.name, job.uid, {**note, "spec": {"activeDeadlineSeconds": 1}})

    def _is_managed(self, job: ObservedJob) -> bool:
        known = self._cache.job(self.namespace, job.name)
        return bool(known and known["spec"].get("managedBy", JOB_CONTROLLER) != JOB_CONTROLLER)

    def remove(self, job: ObservedJob) -> None:
        """Forget the Job. One that has ended stays a while for its log; any other is deleted with its pods."""
        known, keep = self._cache.job(self.namespace, job.name), self._settings.keep_seconds
        if keep and known is not None and known["metadata"]["uid"] == job.uid and has_ended(known):
            labels = {"metadata": {"labels": {names.RECORDED_LABEL: "true"}}}
            self._patch(job.name, job.uid, {**labels, "spec": {"ttlSecondsAfterFinished": keep}})
            return
        self._guard()
        with unless_replaced():
            self._api.delete(JOBS, job.name, self.namespace, uid=job.uid)

    def logs(self, job: str, *, tail: int | None = None, follow: bool = False) -> Iterator[str]:
        """Return the lines of the Job's pods, oldest first. Raises NotFoundError."""
        return job_log(self._api, self.namespace, job, tail=tail, follow=follow)

    def note_disruptions(self, study: str, turn: Turn) -> None:
        """Write on the Jobs which pods they lost without fault, so that a restarted controller can count them.

        Also how long they ran. Lost pods are deleted soon; remembering them costs two requests a disruption: one when a
        pod is about to go, one when it is gone.
        """
        for seen in turn.within(seen for seen in self._look(study) if seen.unwritten):
            self._patch(seen.job.name, seen.job.uid, {"metadata": {"annotations": seen.unwritten}})

    def remove_all(self, study: str, turn: Turn) -> None:
        """Remove the Jobs of a study."""
        for job in turn.within(self.list(study)):
            self.remove(job)

    def _patch(self, name: str, uid: str, body: dict[str, Any]) -> None:
        self._guard()
        body = {**body, "metadata": {**body.get("metadata", {}), "uid": uid}}
        with unless_replaced():
            self._api.patch(JOBS, name, body, self.namespace)


def _unwritten(copy: Copy, *, live: bool) -> dict[str, str]:
    """Return the annotations that say which pods a Job lost without fault and how long those ran that are gone."""
    job, pods = copy
    found = {}
    lost, gone = disrupted_names(job, pods), spent(job)
    if lost > noted_names(job):
        found[names.DISRUPTED_ANNOTATION] = ",".join(sorted(lost))
    if live and gone != noted_spent(job):
        found[names.SPENT_ANNOTATION] = ",".join(f"{pod}={gone[pod]:.0f}" for pod in sorted(gone))
    return found
