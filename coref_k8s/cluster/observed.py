"""What a Job and its pods say, as an `ObservedJob`: pure, and from slim copies, so thousands fit in memory.

Job conditions decide whether a job has ended; pods only say why, since they may be gone by then. One that is there
and not seen to have ended is waited for: Jobs and pods are watched apart, and their news come in any order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from coref_k8s.cluster import names
from coref_k8s.cluster.jobs import CONTAINER, EXIT_KILLED
from coref_k8s.controller.runner import ObservedJob, Reason, State
from coref_k8s.errors import EXIT_INVALID, EXIT_OUT_OF_MEMORY, EXIT_TERMINATED
from coref_k8s.study.names import Kind
from coref_k8s.telemetry.bus import last_words
from coref_k8s.wording import NOTHING, Message

Json = Mapping[str, Any]

#: Label that the Job controller puts on pods.
JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
#: Who manages Jobs whose `managedBy` names nobody else.
JOB_CONTROLLER = "kubernetes.io/job-controller"
#: Reason of a Job that `ClusterRunner.stop` has ended: it moves the deadline into the past.
DEADLINE = "DeadlineExceeded"
#: A pod that is still there this long after its grace period sits on a node that nobody answers for. What it may still do is no
#: reason to wait: the next attempt takes its token (`store/fence.py`).
LOST_AFTER = timedelta(seconds=30)
#: A pod that has a node but no running container for so long is worth a word: a volume or Secret is missing.
STARTING_FOR = timedelta(minutes=5)
#: So long after a pod has failed by itself its job shows how, while the next one tries again: by then that one has got past it, or has
#: failed as well.
FAILURE_SHOWN = timedelta(minutes=5)

_KEPT_ANNOTATIONS = (
    names.DISRUPTED_ANNOTATION,
    names.SPENT_ANNOTATION,
    names.MAX_DISRUPTIONS_ANNOTATION,
    names.STOPPED_ANNOTATION,
    names.POD_ANNOTATION,
)

_IMAGE_TROUBLE = {
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "RegistryUnavailable",
}
_BY_EXIT = {
    EXIT_KILLED: Reason.HOST_OUT_OF_MEMORY,
    EXIT_INVALID: Reason.INVALID,
    EXIT_OUT_OF_MEMORY: Reason.GPU_OUT_OF_MEMORY,
    EXIT_TERMINATED: Reason.DISRUPTED,
}
#: Most of a container's last log lines that a kubelet puts into its status (bytes).
_LONGEST_END = 2048
#: Most that is read of why a Job was stopped (characters).
_LONGEST_REASON = 1024
_EXIT_IN_MESSAGE = re.compile(r"exit code (\d+)")


def slim_job(job: dict[str, Any]) -> dict[str, Any]:
    """Return what is read of a Job; the template, with the order in it, is most of its size."""
    spec, metadata = job.get("spec", {}), job["metadata"]
    annotations = metadata.get("annotations") or {}
    return {
        "metadata": _metadata(metadata)
        | {"annotations": {k: v for k, v in annotations.items() if k in _KEPT_ANNOTATIONS}},
        "spec": {"suspend": spec.get("suspend", False)}
        | {key: spec[key] for key in ("managedBy",) if key in spec},
        "status": job.get("status") or {},
    }


def slim_pod(pod: dict[str, Any]) -> dict[str, Any]:
    """Return what is read of a pod."""
    status = pod.get("status") or {}
    kept = ("phase", "reason", "message", "conditions", "containerStatuses")
    return {
        "metadata": _metadata(pod["metadata"]),
        "spec": {"nodeName": pod.get("spec", {}).get("nodeName", "")},
        "status": {key: status[key] for key in kept if key in status},
    }


def _metadata(metadata: Json) -> dict[str, Any]:
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp",
            "deletionGracePeriodSeconds")  # fmt: skip
    ours = (f"{names.GROUP}/", JOB_NAME_LABEL, names.QUEUE_LABEL)
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k.startswith(ours)}
    return {key: metadata[key] for key in kept if key in metadata} | {"labels": labels}


def job_of(pod: Json) -> str:
    """Return the name of a pod's job; empty when it has none."""
    return str(pod["metadata"].get("labels", {}).get(JOB_NAME_LABEL, ""))


def pod_age(pod: Json) -> tuple[str, int]:
    """Sort key: oldest first. Times have whole seconds; of two pods of one second the later one changed last."""
    metadata = pod["metadata"]
    version = str(metadata.get("resourceVersion") or "")
    return metadata.get("creationTimestamp") or "", int(version) if version.isdigit() else 0


def has_ended(job: Json) -> bool:
    """Return whether a Job itself says that it has ended."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)


def pod_has_ended(pod: Json) -> bool:
    """Return whether none of a pod's containers will run again."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def job_news(job: Json) -> tuple[Any, ...]:
    """Return what of a Job is worth looking at the study for."""
    deleted = bool(job["metadata"].get("deletionTimestamp"))
    return job["metadata"]["uid"], has_ended(job), deleted, job["spec"].get("suspend")


def pod_news(pod: Json, job: Json | None) -> tuple[Any, ...]:
    """Return what of a pod is worth looking at the study for; that it ended is only news when its Job has told before."""
    waiting = [
        ((c.get("state") or {}).get("waiting") or {}).get("reason")
        for c in pod["status"].get("containerStatuses") or ()
    ]
    unplaced = any(
        c["type"] == "PodScheduled" and c["status"] == "False" for c in pod["status"].get("conditions") or ()
    )
    awaited = job is not None and has_ended(job) and pod_has_ended(pod)
    silent = _is_silent(pod)
    lost = silent and "deletionTimestamp" in pod["metadata"]
    return (
        silent,
        lost,
        is_disrupted(pod),
        pod["status"].get("phase") == "Pending",
        unplaced,
        waiting,
        awaited,
    )


def observed(job: Json, pods: Iterable[Json], now: datetime) -> ObservedJob:
    """Return a job as its manifest and its pods show it.

    While it is pending, `created_at` is when the pod was created that waits: a job that was disrupted waits anew.
    """
    ordered = sorted(pods, key=pod_age)
    metadata, status = job["metadata"], job.get("status") or {}
    labels = metadata.get("labels") or {}
    end = _tried_again(_seen(job, ordered, now), ordered, now)
    state = end.state
    started, earlier = _started_at(job, ordered, state)
    finished = None
    if state in (State.SUCCEEDED, State.FAILED):
        finished = _finished_at(status) or now
    return ObservedJob(
        name=metadata["name"],
        uid=metadata["uid"],
        study=labels.get(names.STUDY_LABEL, ""),
        kind=Kind(labels.get(names.KIND_LABEL, Kind.TRIAL)),
        seq_len=_number(labels.get(names.SEQ_LEN_LABEL)),
        trial=_number(labels.get(names.TRIAL_LABEL)),
        attempt=_number(labels.get(names.ATTEMPT_LABEL)) or 1,
        state=state,
        reason=end.reason,
        message=end.message,
        said=end.said,
        exit_code=end.exit_code,
        retries=_retries(status, state, end.reason),
        disruptions=len(disrupted_names(job, ordered) - end.pods),
        pod=(metadata.get("annotations") or {}).get(names.POD_ANNOTATION, ""),
        created_at=_created_at(metadata, ordered, state),
        started_at=started,
        finished_at=finished,
        earlier_seconds=earlier,
        node=next((node for pod in reversed(ordered) if (node := pod["spec"].get("nodeName"))), ""),
        stopped=why_stopped(job),
    )


def time_tells(seen: ObservedJob, job: Json, pods: Iterable[Json]) -> bool:
    """Return whether a job can come to show something else than `seen` though neither it nor its pods change.

    What waits may wait for too long, a pod that is being deleted may stay for too long, and so may the news of its end. How its last pod failed
    is shown for a while only.
    """
    awaited = seen.state is State.RUNNING and (has_ended(job) or seen.reason is Reason.CRASHED)
    return (
        seen.state is State.PENDING or awaited or any("deletionTimestamp" in pod["metadata"] for pod in pods)
    )


def why_stopped(job: Json) -> str:
    """Return why we told the job to end; empty when we did not."""
    why = str((job["metadata"].get("annotations") or {}).get(names.STOPPED_ANNOTATION, ""))
    return why[:_LONGEST_REASON]


def noted_names(job: Json) -> set[str]:
    """Return the names of lost pods that are written on the Job."""
    noted = (job["metadata"].get("annotations") or {}).get(names.DISRUPTED_ANNOTATION, "")
    return set(filter(None, noted.split(",")))


def disrupted_names(job: Json, pods: Iterable[Json]) -> set[str]:
    """Return the names of the pods that this job lost without fault: noted, remembered (`lost`) or seen.

    The pod that ends because we stopped the job looks lost too; from then on only what was noted before counts.
    """
    if why_stopped(job):
        return noted_names(job)
    seen = {pod["metadata"]["name"] for pod in pods if is_disrupted(pod)}
    return noted_names(job) | set(job.get("lost", ())) | seen


def is_disrupted(pod: Json) -> bool:
    """Return whether a pod was ended by somebody else: preempted, evicted, deleted, its node lost."""
    status = pod.get("status") or {}
    if status.get("phase") == "Succeeded":
        return False
    if any(c["type"] == "DisruptionTarget" and c["status"] == "True" for c in status.get("conditions") or ()):
        return True
    return status.get("phase") == "Failed" and _terminated(pod).get("exitCode") == EXIT_TERMINATED


class _Seen(NamedTuple):
    """What a Job and its pods show."""

    state: State
    reason: Reason | None = None
    message: Message = NOTHING
    exit_code: int | None = None
    said: str = ""
    pods: frozenset[str] = frozenset()
    """Pods with whose loss the job itself has ended."""


def _seen(job: Json, pods: list[Json], now: datetime) -> _Seen:
    status = job.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or () if c["status"] == "True"}
    last = pods[-1] if pods else None
    ended = conditions.get("Complete") or conditions.get("Failed")
    if ended and last is not None and not pod_has_ended(last):
        since = parse_time(ended.get("lastTransitionTime"))
        if since is not None and now - since < LOST_AFTER:
            return _Seen(State.RUNNING)
    if "Complete" in conditions:
        if last is not None and _terminated(last).get("reason") == "OOMKilled":
            # the kernel killed a child; the container still exited 0
            why = Message.of("cluster.part-killed")
            return _Seen(State.FAILED, Reason.HOST_OUT_OF_MEMORY, why, EXIT_KILLED)
        return _Seen(State.SUCCEEDED, exit_code=0)
    if failed := conditions.get("Failed"):
        return _failure(failed, last)
    limit = _number((job["metadata"].get("annotations") or {}).get(names.MAX_DISRUPTIONS_ANNOTATION))
    disruptions = len(disrupted_names(job, pods))
    if limit is not None and disruptions > limit:
        why = Message.of("cluster.disrupted", n=disruptions)
        return _Seen(State.FAILED, Reason.DISRUPTED, why, EXIT_TERMINATED)
    silent = next((pod for pod in pods if _is_silent(pod, now)), None)
    node = silent["spec"].get("nodeName") or "unknown" if silent else ""
    if silent and "deletionTimestamp" in silent["metadata"]:
        # its Job may wait for ever for it to end (kubernetes/enhancements#6262)
        why = Message.of("cluster.node-lost", node=node)
        gone = frozenset([silent["metadata"]["name"]])
        return _Seen(State.FAILED, Reason.DISRUPTED, why, pods=gone)
    if job.get("spec", {}).get("suspend") and not status.get("active"):
        queue = (job["metadata"].get("labels") or {}).get(names.QUEUE_LABEL)
        why = Message.of("cluster.not-admitted", queue=queue) if queue else Message.of("cluster.suspended")
        return _Seen(State.PENDING, Reason.SUSPENDED, why)
    if silent:
        return _Seen(State.RUNNING, Reason.DISRUPTED, Message.of("cluster.node-silent", node=node))
    # one that has succeeded ends its Job, which only has to say so: nothing waits
    at_work = any(pod["status"].get("phase") in ("Running", "Succeeded") for pod in pods)
    # a queue over several clusters runs its pods elsewhere: then only the Job's own status tells of them
    at_work = at_work or (not pods and bool(status.get("ready")))
    if at_work or job["metadata"].get("deletionTimestamp"):
        return _Seen(State.RUNNING)
    waiting = next((pod for pod in reversed(pods) if pod["status"].get("phase") == "Pending"), None)
    if waiting is None:
        return _Seen(State.PENDING)
    return _Seen(State.PENDING, *_waits_for(waiting, now))


def _tried_again(seen: _Seen, pods: list[Json], now: datetime) -> _Seen:
    """Return what a job shows that tries again after one of its pods has failed by itself: how that one did."""
    if seen.reason is not None or seen.state not in (State.PENDING, State.RUNNING):
        return seen
    failed = (
        pod for pod in reversed(pods) if pod["status"].get("phase") == "Failed" and not is_disrupted(pod)
    )
    if (pod := next(failed, None)) is None or not (times := _times(pod, "finishedAt")):
        return seen
    ended = _terminated(pod)
    ends_the_job = ended.get("exitCode") in _BY_EXIT or ended.get("reason") == "OOMKilled"
    if ends_the_job or now - max(times) > FAILURE_SHOWN:
        return seen
    said = _last_words(ended)
    why = Message.verbatim(said) if said else Message.of("controller.exit-code", exit=ended.get("exitCode"))
    return seen._replace(reason=Reason.CRASHED, message=why)


def _failure(condition: Json, last: Json | None) -> _Seen:
    if condition.get("reason") == DEADLINE:
        return _Seen(State.FAILED, Reason.DISRUPTED, Message.of("controller.stopped"), EXIT_TERMINATED)
    said = str(condition.get("message") or condition.get("reason") or "")
    ended = _terminated(last) if last is not None else {}
    code: int | None = ended.get("exitCode")
    if condition.get("reason") == "PodFailurePolicy" and (match := _EXIT_IN_MESSAGE.search(said)):
        code = int(match[1])
    message = Message.verbatim(said)
    if code is not None:
        message, said = Message.of("controller.exit-code", exit=code), _last_words(ended)
    reason = Reason.CRASHED if code is None else _BY_EXIT.get(code, Reason.CRASHED)
    if ended.get("reason") == "OOMKilled":
        reason = Reason.HOST_OUT_OF_MEMORY
    elif reason is Reason.CRASHED and last is not None and is_disrupted(last):
        reason = Reason.DISRUPTED
    return _Seen(State.FAILED, reason, message, code, "" if code is None else said)


def _last_words(ended: Json) -> str:
    """Return what a container said last: the end of its log, which the kubelet cuts off anywhere."""
    text = str(ended.get("message") or "")
    cut = len(text.encode()) >= _LONGEST_END
    return str(last_words(text.partition("\n")[2] if cut else text))


def _waits_for(pod: Json, now: datetime) -> tuple[Reason | None, Message]:
    """Return why a pod does not run yet; no reason when nothing is wrong so far."""
    status = pod["status"]
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting") or {}
        why = waiting.get("reason")
        image = why in _IMAGE_TROUBLE
        if image or (why and why not in ("ContainerCreating", "PodInitializing")):
            told = f"{why}: {waiting.get('message') or (container.get('image', '') if image else '')}"
            return Reason.IMAGE if image else Reason.NOT_STARTED, Message.verbatim(told)
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            told = str(condition.get("message") or condition.get("reason") or "")
            return Reason.UNSCHEDULABLE, Message.verbatim(told)
    if node := pod["spec"].get("nodeName"):
        created = parse_time(pod["metadata"].get("creationTimestamp"))
        if created is not None and now - created > STARTING_FOR:
            why = Message.of("cluster.starting", node=node, pod=pod["metadata"]["name"])
            return Reason.NOT_STARTED, why
    return None, NOTHING


def _is_silent(pod: Json, now: datetime | None = None) -> bool:
    """Return whether nobody answers for the node of a pod.

    The control plane then takes a pod's readiness away and leaves that of its containers, as no kubelet does. What is still
    there long after it should have been killed is on such a node, too.
    """
    if pod["status"].get("phase") != "Running":
        return False
    holds = {c["type"]: c["status"] for c in pod["status"].get("conditions") or ()}
    # the API server sets it to when the grace period ends
    ends = parse_time(pod["metadata"].get("deletionTimestamp"))
    overdue = now is not None and ends is not None and now - ends > LOST_AFTER
    return overdue or (holds.get("Ready") == "False" and holds.get("ContainersReady") == "True")


def _terminated(pod: Json) -> Json:
    for container in pod["status"].get("containerStatuses") or ():
        if container.get("name") == CONTAINER:
            return (container.get("state") or {}).get("terminated") or {}
    return {}


def _retries(status: Json, state: State, reason: Reason | None) -> int:
    """Return how often it was started again: every failed pod but the one that ended it."""
    failed = int(status.get("failed") or 0)
    return max(0, failed - 1) if state is State.FAILED and failed else failed


def _created_at(metadata: Json, pods: list[Json], state: State) -> datetime | None:
    source = pods[-1]["metadata"] if state is State.PENDING and pods else metadata
    return parse_time(source.get("creationTimestamp"))


def _started_at(job: Json, pods: list[Json], state: State) -> tuple[datetime | None, float]:
    """Return when the first of its pods that are still there began, and how long those ran that are gone."""
    there = {pod["metadata"]["name"] for pod in pods}
    gone = [seconds for pod, seconds in spent(job).items() if pod not in there]
    if known := [start for pod in pods for start in _times(pod, "startedAt")]:
        return min(known), sum(gone)
    if state is State.PENDING or job.get("spent"):
        return None, sum(gone)
    # nobody saw its pods: all of its time at most
    return parse_time((job.get("status") or {}).get("startTime")), 0.0


def noted_spent(job: Json) -> dict[str, float]:
    """Return how long pods ran that are gone (seconds), as it is written on the Job."""
    text = (job["metadata"].get("annotations") or {}).get(names.SPENT_ANNOTATION, "")
    parts = (part.partition("=") for part in text.split(","))
    return {pod: float(seconds) for pod, _, text in parts if (seconds := _number(text)) is not None}


def spent(job: Json) -> dict[str, float]:
    """Return how long pods ran that are gone (seconds): written on the Job, or remembered (`spent`)."""
    return noted_spent(job) | job.get("spent", {})


def ran_seconds(pod: Json, now: datetime) -> int:
    """Return how long a pod's container ran: until now when it has not ended; 0 when it never began."""
    if not (starts := _times(pod, "startedAt")):
        return 0
    return max(0, round((max(_times(pod, "finishedAt"), default=now) - min(starts)).total_seconds()))


def _times(pod: Json, which: str) -> list[datetime]:
    shown = (container.get("state") or {} for container in pod["status"].get("containerStatuses") or ())
    found = ((one.get("running") or one.get("terminated") or {}).get(which) for one in shown)
    return [time for text in found if text and (time := parse_time(text)) is not None]


def _finished_at(status: Json) -> datetime | None:
    """Return when the Job ended at the latest.

    The API cuts times to whole seconds: a failure right after the study was resumed must not seem to be older.
    """
    found = parse_time(status.get("completionTime"))
    for condition in status.get("conditions") or ():
        if condition["type"] in ("Failed", "Complete") and condition["status"] == "True":
            found = found or parse_time(condition.get("lastTransitionTime"))
    return found and found + timedelta(microseconds=999_999)


def _number(text: str | None) -> int | None:
    """Return the number that a label or an annotation of ours holds; anybody may have changed it."""
    return int(text) if text and text.isdecimal() and len(text) < 10 else None


def parse_time(text: str | None) -> datetime | None:
    """Return an API timestamp as UTC."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC) if text else None
