"""The stand-in Job controller: pods from Jobs, counted and replaced as the controller of Kubernetes 1.36 does.

A port of the parts of its syncJob that one-completion and parallel, non-indexed Jobs go through: tracking finalizers,
podFailurePolicy, podReplacementPolicy, back-off, suspend, deadlines, the two-step FailureTarget/Failed and
SuccessCriteriaMet/Complete conditions, and the TTL. Used with the fake only: a real cluster has its own.
"""

from __future__ import annotations

import copy
import threading
import time
from datetime import UTC, datetime
from typing import Any

from tests.kube.delayqueue import DelayQueue
from tests.kube.errors import ApiError
from tests.kube.podpolicy import match
from tests.kube.recording import event_about
from tests.kube.registry import Registry
from tests.kube.resources import Resource
from tests.kube.store import Event, now
from tests.kube.strategies import TRACKING

Json = dict[str, Any]
Key = tuple[str, str]
_MANAGER = "kube-controller-manager"


class JobController:
    """One worker thread over job keys. `backoff_seconds` is 10 on a real cluster."""

    def __init__(self, registry: Registry, backoff_seconds: float = 0.2, backoff_cap: float = 600.0):
        self._registry, self._store = registry, registry.store
        self._backoff_base, self._backoff_cap = backoff_seconds, backoff_cap
        self._jobs, self._pods = registry.resource("jobs"), registry.resource("pods")
        self._failures: dict[
            str, tuple[int, float, set[str]]
        ] = {}  # job uid: failures in a row, last, pods seen
        self._queue: DelayQueue[Key] = DelayQueue()
        with self._store.lock:
            self._store.listeners.append(self._notice)
            for stored in self._store.list(self._jobs):
                self._queue.add(_place(stored.obj))
        self._thread = threading.Thread(target=self._run, name="job-controller", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._queue.close()
        self._thread.join(5)

    def _notice(self, resource: Resource, event: Event) -> None:
        obj = event.current.obj
        if resource.key == self._jobs.key:
            self._queue.add(_place(obj))
        elif resource.key == self._pods.key:
            for owner in obj["metadata"].get("ownerReferences") or ():
                if owner["kind"] == "Job":
                    self._queue.add((obj["metadata"]["namespace"], owner["name"]))
            if event.type != "DELETED" and TRACKING in (obj["metadata"].get("finalizers") or ()):
                self._release_orphan(obj)

    def _run(self) -> None:
        while (key := self._queue.take()) is not None:
            try:
                with self._store.lock:
                    self._sync(key)
            except ApiError:
                self._queue.add(key, 0.05)

    def _release_orphan(self, pod: Json) -> None:
        """A pod whose Job is gone must not keep its tracking finalizer."""
        owners = pod["metadata"].get("ownerReferences") or ()
        if not any(self._store.exists(o["uid"]) for o in owners):
            self._queue.add((pod["metadata"]["namespace"], "/" + pod["metadata"]["name"]))

    # One look at one Job

    def _sync(self, key: Key) -> None:
        if key[1].startswith("/"):
            orphan = self._store.get(self._pods, (key[0], key[1][1:]))
            if orphan and not any(
                self._store.exists(o["uid"]) for o in orphan.obj["metadata"].get("ownerReferences") or ()
            ):
                self._remove_finalizer(orphan.obj)
            return
        stored = self._store.get(self._jobs, key)
        if stored is None or "managedBy" in stored.obj["spec"]:
            return
        job = copy.deepcopy(stored.obj)
        if _finished(job):
            self._expire(job)
            for pod in self._pods_of(job):
                self._remove_finalizer(pod)
            return
        status, spec = job["status"], job["spec"]
        before = copy.deepcopy(status)
        pods = self._pods_of(job)
        active = [p for p in pods if _is_active(p)]
        terminating = sum(1 for p in pods if _is_terminating(p))
        # Those without the finalizer are in the counters already.
        fresh = [p for p in pods if TRACKING in (p["metadata"].get("finalizers") or ())]
        succeeded = [p for p in fresh if p["status"].get("phase") == "Succeeded"]
        failed = [p for p in fresh if _is_failed(p, job)]
        counted = [p for p in failed if match(job, p)[1]]
        self._remember_failures(job, succeeded, failed)
        total_failed = status.get("failed", 0) + len(counted)
        total_succeeded = status.get("succeeded", 0) + len(succeeded)
        if "startTime" not in status and not spec.get("suspend"):
            status["startTime"] = now()
        final = self._verdict(job, failed, total_failed)
        if final is not None and final["type"] in ("Failed", "FailureTarget"):
            for pod in active:
                self._delete_pod(pod)
            terminating += len(active)
            active = []
        else:
            if "deletionTimestamp" not in job["metadata"]:
                active, terminating = self._manage(job, active, terminating, total_succeeded)
            if final is None and total_succeeded >= spec.get("completions", 1) and not active:
                text = "Reached expected number of succeeded pods"
                final = _condition("SuccessCriteriaMet", "CompletionsReached", text)
            elif final is None:
                self._suspend_condition(job)
        status["active"], status["terminating"] = len(active), terminating
        status["ready"] = sum(1 for p in active if _ready(p))
        self._count(job, fresh, succeeded, counted, failed, final)
        self._finish(job, final, terminating)
        for field in ("active", "succeeded", "failed"):  # omitempty
            if not status.get(field):
                status.pop(field, None)
        status.setdefault("uncountedTerminatedPods", {})
        if status != before:
            self._registry.update(self._jobs, *key, lambda _: job, status=True, manager=_MANAGER)
        deadline = spec.get("activeDeadlineSeconds")
        if deadline and not spec.get("suspend") and "startTime" in status:
            self._queue.add(key, max(0.05, deadline - _age(status["startTime"])))

    def _verdict(self, job: Json, failed: list[Json], total_failed: int) -> Json | None:
        """The terminal condition in its first, interim form; or in its last when the interim one is there."""
        status, spec = job["status"], job["spec"]
        conditions = {c["type"]: c for c in status.get("conditions", ()) if c["status"] == "True"}
        if met := conditions.get("SuccessCriteriaMet"):
            return met
        if target := conditions.get("FailureTarget"):
            return _condition("Failed", target["reason"], target["message"])
        for pod in failed:
            message = match(job, pod)[0]
            if message:
                return _condition("FailureTarget", "PodFailurePolicy", message)
        if total_failed > spec["backoffLimit"]:
            text = "Job has reached the specified backoff limit"
            return _condition("FailureTarget", "BackoffLimitExceeded", text)
        deadline = spec.get("activeDeadlineSeconds")
        if (
            deadline
            and not spec.get("suspend")
            and "startTime" in status
            and _age(status["startTime"]) >= deadline
        ):
            text = "Job was active longer than specified deadline"
            return _condition("FailureTarget", "DeadlineExceeded", text)
        return None

    def _manage(
        self, job: Json, active: list[Json], terminating: int, succeeded: int
    ) -> tuple[list[Json], int]:
        """Create or delete pods; the active ones and the number terminating afterwards."""
        spec = job["spec"]
        wanted = (
            0
            if spec.get("suspend")
            else max(0, min(spec["parallelism"], spec.get("completions", 1) - succeeded))
        )
        surplus = active[wanted:]
        for pod in surplus:
            # Finalizer first: pods removed on purpose are not counted as failures.
            self._remove_finalizer(pod)
            self._delete_pod(pod)
        if surplus:
            return active[:wanted], terminating + len(surplus)
        waiting = terminating if spec.get("podReplacementPolicy") == "Failed" else 0
        missing = wanted - len(active) - waiting
        if missing > 0:
            if delay := self._backoff(job):
                self._queue.add(_place(job), delay)
                return active, terminating
            try:
                active = active + [self._create_pod(job) for _ in range(missing)]
            except ApiError as error:
                self._event(job, "FailedCreate", f"Error creating: {error.message}", kind="Warning")
                self._queue.add(_place(job), 1.0)
        return active, terminating

    def _suspend_condition(self, job: Json) -> None:
        """`Suspended` True, or False once resumed; a resumed Job starts anew."""
        status = job["status"]
        old = next((c for c in status.get("conditions", ()) if c["type"] == "Suspended"), None)
        if job["spec"].get("suspend"):
            new = _condition("Suspended", "JobSuspended", "Job suspended")
            if not old or old["status"] != "True":
                status.pop("startTime", None)
        elif old and old["status"] == "True":
            new = _condition("Suspended", "JobResumed", "Job resumed", "False")
            status["startTime"] = now()
        else:
            return
        if old is None or old["status"] != new["status"]:
            status["conditions"] = [c for c in status.get("conditions", ()) if c["type"] != "Suspended"] + [
                new
            ]
            self._event(job, "Suspended" if new["status"] == "True" else "Resumed", new["message"])

    def _count(
        self,
        job: Json,
        fresh: list[Json],
        succeeded: list[Json],
        counted: list[Json],
        failed: list[Json],
        final: Json | None,
    ) -> None:
        """Move finished pods into the counters and take their finalizers off."""
        status = job["status"]
        ending = final is not None and final["type"] in ("Failed", "FailureTarget")
        status["succeeded"] = status.get("succeeded", 0) + len(succeeded)
        status["failed"] = status.get("failed", 0) + len(counted)
        leaving = final is not None or "deletionTimestamp" in job["metadata"]
        for pod in fresh:
            done = pod in succeeded or pod in failed
            if ending and not done and match(job, pod)[1]:
                status["failed"] += 1  # a finished Job counts every pod that still ran as failed
            if done or leaving:
                self._remove_finalizer(pod)

    def _finish(self, job: Json, final: Json | None, terminating: int) -> None:
        if final is None:
            return
        status = job["status"]
        conditions = status.setdefault("conditions", [])
        if final["type"] in ("FailureTarget", "SuccessCriteriaMet") and final not in conditions:
            conditions.append(final)
        if terminating:
            return  # the terminal condition waits for the last pod to stop
        last = {"FailureTarget": "Failed", "SuccessCriteriaMet": "Complete"}.get(final["type"], final["type"])
        conditions.append(_condition(last, final["reason"], final["message"]))
        if last == "Complete":
            status["completionTime"] = now()
        event = ("Completed", "Job completed") if last == "Complete" else (final["reason"], final["message"])
        self._event(job, *event, kind="Normal" if last == "Complete" else "Warning")

    # Effects

    def _pods_of(self, job: Json) -> list[Json]:
        found = [
            self._store.by_resource_key(resource_key, key)
            for resource_key, key in self._store.dependents(job["metadata"]["uid"])
            if resource_key == self._pods.key
        ]
        return [s.obj for s in found if s and _controlled(s.obj, job)]

    def _create_pod(self, job: Json) -> Json:
        template, meta = copy.deepcopy(job["spec"]["template"]), job["metadata"]
        reference = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": meta["name"],
            "uid": meta["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        metadata = {
            **template.get("metadata", {}),
            "generateName": meta["name"][:57] + "-",
            "finalizers": [TRACKING],
            "ownerReferences": [reference],
        }
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        self._check_quota(metadata["generateName"], meta["namespace"])
        pod = self._registry.create(self._pods, meta["namespace"], body, manager=_MANAGER).obj
        self._event(job, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
        return pod

    def _check_quota(self, pod: str, namespace: str) -> None:
        """The admission of a ResourceQuota, as far as it counts pods."""
        pods = [s for s in self._store.list(self._pods) if s.obj["metadata"]["namespace"] == namespace]
        used = sum(_phase(one.obj) not in ("Succeeded", "Failed") for one in pods)
        for quota in self._store.list(self._registry.resource("resourcequotas")):
            meta, most = quota.obj["metadata"], quota.obj["spec"].get("hard", {}).get("pods")
            if meta["namespace"] == namespace and most is not None and used >= int(most):
                told = f"exceeded quota: {meta['name']}, requested: pods=1, used: pods={used}, limited: pods={most}"
                raise ApiError(403, "Forbidden", f'pods "{pod}" is forbidden: {told}')

    def _delete_pod(self, pod: Json) -> None:
        options = {"preconditions": {"uid": pod["metadata"]["uid"]}}
        try:
            self._registry.delete(self._pods, *_place(pod), options)
        except ApiError as error:
            if error.code != 404:
                raise

    def _remove_finalizer(self, pod: Json) -> None:
        def without(live: Json) -> Json:
            left = [f for f in live["metadata"].get("finalizers") or () if f != TRACKING]
            live["metadata"]["finalizers"] = left
            if not left:
                del live["metadata"]["finalizers"]
            return live

        if TRACKING not in (pod["metadata"].get("finalizers") or ()):
            return
        try:
            self._registry.update(self._pods, *_place(pod), without, manager=_MANAGER)
        except ApiError as error:
            if error.code != 404:
                raise

    def _expire(self, job: Json) -> None:
        """ttlSecondsAfterFinished."""
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        if ttl is None or "deletionTimestamp" in job["metadata"]:
            return
        finished = next(c for c in job["status"]["conditions"] if c["type"] in ("Complete", "Failed"))
        left = ttl - _age(finished["lastTransitionTime"])
        if left > 0:
            self._queue.add(_place(job), left)
        else:
            options = {"propagationPolicy": "Foreground", "preconditions": {"uid": job["metadata"]["uid"]}}
            self._registry.delete(self._jobs, *_place(job), options)

    def _remember_failures(self, job: Json, succeeded: list[Json], failed: list[Json]) -> None:
        uid = job["metadata"]["uid"]
        count, last, seen = self._failures.get(uid, (0, 0.0, set()))
        if succeeded:
            count = 0
        for pod in failed:
            if pod["metadata"]["uid"] not in seen:
                seen.add(pod["metadata"]["uid"])
                count, last = count + 1, time.monotonic()
        self._failures[uid] = (count, last, seen)

    def _backoff(self, job: Json) -> float:
        """Seconds until the next pod may be created: 10, 20, 40… after failures in a row, on a real cluster."""
        count, last, _ = self._failures.get(job["metadata"]["uid"], (0, 0.0, set()))
        if not count:
            return 0.0
        wait = min(self._backoff_cap, self._backoff_base * 2 ** (count - 1))
        return max(0.0, last + wait - time.monotonic())

    def _event(self, job: Json, reason: str, message: str, kind: str = "Normal") -> None:
        of = {"apiVersion": "batch/v1", "kind": "Job"}
        body = event_about(job, of, reason, message, kind=kind, source="job-controller")
        self._registry.create(
            self._registry.resource("events", ""), job["metadata"]["namespace"], body, manager=_MANAGER
        )


def _place(obj: Json) -> Key:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _controlled(pod: Json, job: Json) -> bool:
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(o.get("controller") and o["uid"] == job["metadata"]["uid"] for o in owners)


def _age(timestamp: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds()


def _condition(kind: str, reason: str, message: str, status: str = "True") -> Json:
    times = {"lastProbeTime": now(), "lastTransitionTime": now()}
    return {"type": kind, "status": status, **times, "reason": reason, "message": message}


def _finished(job: Json) -> bool:
    conditions = job.get("status", {}).get("conditions") or ()
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)


def _phase(pod: Json) -> str:
    return str(pod["status"].get("phase", "Pending"))


def _is_active(pod: Json) -> bool:
    return _phase(pod) not in ("Succeeded", "Failed") and "deletionTimestamp" not in pod["metadata"]


def _is_terminating(pod: Json) -> bool:
    return _phase(pod) not in ("Succeeded", "Failed") and "deletionTimestamp" in pod["metadata"]


def _is_failed(pod: Json, job: Json) -> bool:
    """A deleted pod counts as failed at once, unless only failed pods are to be replaced."""
    if _phase(pod) == "Failed":
        return True
    if job["spec"].get("podReplacementPolicy") == "Failed":
        return False
    return "deletionTimestamp" in pod["metadata"] and _phase(pod) != "Succeeded"


def _ready(pod: Json) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or ())
