"""What Jobs and pods say, case by case: statuses as a real cluster wrote them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coref_k8s.cluster.observed import (
    LOST_AFTER,
    STARTING_FOR,
    job_news,
    observed,
    pod_news,
    slim_job,
    slim_pod,
    time_tells,
)
from coref_k8s.controller.runner import ObservedJob, Reason, State
from coref_k8s.controller.snapshot import gpu_seconds

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BEGAN = "2026-11-22T11:00:00Z"


def at(age: timedelta) -> str:
    return f"{NOW - age:%Y-%m-%dT%H:%M:%SZ}"


def job(*conditions: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    """A Job with conditions as (type, reason, message)."""
    labels = {
        "corefk8s.dev/study": "korean",
        "corefk8s.dev/kind": "trial",
        "corefk8s.dev/seq-len": "2048",
        "corefk8s.dev/trial": "3",
        "corefk8s.dev/attempt": "2",
        "unrelated": "x",
    }
    found = [
        {"type": t, "status": "True", "reason": r, "message": m, "lastTransitionTime": "2026-11-22T11:30:00Z"}
        for t, r, m in conditions
    ]
    return slim_job(
        {
            "metadata": {
                "name": "korean-2048-3-2",
                "uid": "u",
                "resourceVersion": "1",
                "creationTimestamp": BEGAN,
                "labels": labels,
                "annotations": more.get("annotations", {}),
            },
            "spec": {"suspend": more.get("suspend", False), "template": {"big": "x" * 1000}},
            "status": {"startTime": BEGAN, "conditions": found, **more.get("status", {})},
        }
    )


def pod(
    name: str = "p1", phase: str = "Running", *, age: timedelta = timedelta(hours=1), **more: Any
) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "trial",
        "state": more.get("state", {"running": {"startedAt": BEGAN}}),
    }
    metadata = {
        "name": name,
        "uid": name,
        "resourceVersion": more.get("version", "1"),
        "creationTimestamp": at(age),
    }
    if "deleted" in more:
        metadata |= {"deletionTimestamp": at(more["deleted"]), "deletionGracePeriodSeconds": 30}
    return slim_pod(
        {
            "metadata": metadata,
            "spec": {"nodeName": more.get("node", "n1")},
            "status": {
                "phase": phase,
                "conditions": more.get("conditions", []),
                "containerStatuses": [container] if phase != "Pending" or "state" in more else [],
            },
        }
    )


def ended(
    code: int, reason: str = "Error", message: str = "", *, at: timedelta | None = None
) -> dict[str, Any]:
    """How a container ended, and how long ago."""
    finished = {} if at is None else {"finishedAt": f"{NOW - at:%Y-%m-%dT%H:%M:%SZ}"}
    return {
        "terminated": {
            "exitCode": code,
            "reason": reason,
            "message": message,
            "startedAt": BEGAN,
            **finished,
        }
    }


def see(found: dict[str, Any], *pods: dict[str, Any]) -> ObservedJob:
    return observed(found, pods, NOW)


POLICY = "Container trial for pod lab/p1 failed with exit code {} matching FailJob rule at index 0"
DISRUPTED = [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]
SILENT = [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}]


def test_who_it_is() -> None:
    seen = see(job())
    assert (seen.study, seen.seq_len, seen.trial, seen.attempt) == ("korean", 2048, 3, 2)
    assert "template" not in job()["spec"]


@pytest.mark.parametrize(
    ("found", "pods", "state", "reason", "code"),
    [
        (job(("Complete", "", "")), [pod(phase="Succeeded", state=ended(0))], State.SUCCEEDED, None, 0),
        # the kernel killed a child of it: the container exits 0, the Job is complete
        (job(("Complete", "", "")), [pod(phase="Succeeded", state=ended(0, "OOMKilled"))], State.FAILED, Reason.HOST_OUT_OF_MEMORY, 137),
        # the pod may be gone: the condition's words are enough
        (job(("Failed", "PodFailurePolicy", POLICY.format(42))), [], State.FAILED, Reason.INVALID, 42),
        (job(("Failed", "PodFailurePolicy", POLICY.format(43))), [], State.FAILED, Reason.GPU_OUT_OF_MEMORY, 43),
        (job(("Failed", "PodFailurePolicy", POLICY.format(137))), [], State.FAILED, Reason.HOST_OUT_OF_MEMORY, 137),
        (job(("Failed", "BackoffLimitExceeded", "too often")), [pod(phase="Failed", state=ended(1))], State.FAILED, Reason.CRASHED, 1),
        (job(("Failed", "BackoffLimitExceeded", "too often")), [], State.FAILED, Reason.CRASHED, None),
        (job(("Failed", "DeadlineExceeded", "late")), [], State.FAILED, Reason.DISRUPTED, 143),
        # the pods of a Job that will fail are still ending
        (job(("FailureTarget", "PodFailurePolicy", POLICY.format(42))), [pod()], State.RUNNING, None, None),
        (job(suspend=True), [], State.PENDING, Reason.SUSPENDED, None),
        (job(), [pod()], State.RUNNING, None, None),
        # its pod is in another cluster, as MultiKueue has it: the Job alone tells of it
        (job(status={"active": 1, "ready": 1}), [], State.RUNNING, None, None),
        (job(status={"active": 1, "ready": 0}), [], State.PENDING, None, None),
        # it is tried again: how the last one failed is shown, for a while
        (job(), [pod(phase="Failed", state=ended(1, at=timedelta(seconds=5)))], State.PENDING, Reason.CRASHED, None),
        (job(), [pod(phase="Failed", state=ended(1, at=timedelta(minutes=2))), pod("p2")], State.RUNNING, Reason.CRASHED, None),
        (job(), [pod(phase="Failed", state=ended(1, at=timedelta(minutes=6))), pod("p2")], State.RUNNING, None, None),
        # ends the Job in a moment; was no failure
        (job(), [pod(phase="Failed", state=ended(43, at=timedelta(seconds=1)))], State.PENDING, None, None),
        (job(), [pod(phase="Failed", state=ended(143, at=timedelta(seconds=1))), pod("p2")], State.RUNNING, None, None),
        # its Job will say so in a moment
        (job(), [pod(phase="Succeeded", state=ended(0))], State.RUNNING, None, None),
    ],
)  # fmt: skip
def test_states(
    found: dict[str, Any], pods: list[dict[str, Any]], state: State, reason: Reason | None, code: int | None
) -> None:
    seen = see(found, *pods)
    assert (seen.state, seen.reason, seen.exit_code) == (state, reason, code)
    if state in (State.SUCCEEDED, State.FAILED):
        # the API cuts times to seconds: it ended at the end of this one at the latest
        assert seen.finished_at == datetime(2026, 11, 22, 11, 30, 0, 999_999, tzinfo=UTC)


def test_the_last_line_of_a_crash_is_its_message() -> None:
    log = 'Traceback…\nValueError: no text is left\n{"section": "warning"}\n'
    last = pod(phase="Failed", state=ended(1, message=log))
    seen = see(job(("Failed", "BackoffLimitExceeded", "")), last)
    assert (str(seen.message), seen.said) == ("exit code 1", "ValueError: no text is left")


def test_the_reason_of_a_killed_trial_is_no_piece_of_an_event() -> None:
    # the kubelet keeps the last bytes of a log, wherever they begin
    log = ('{"section": "train_step", "loss": 2.5}\n' * 99).encode()[-2048:].decode()
    assert not log.startswith("{")
    seen = see(
        job(("Failed", "BackoffLimitExceeded", "")), pod(phase="Failed", state=ended(137, message=log))
    )
    assert (seen.reason, str(seen.message), seen.said) == (Reason.HOST_OUT_OF_MEMORY, "exit code 137", "")


def test_why_a_pod_waits() -> None:
    unplaced = [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    ]
    seen = see(job(), pod(phase="Pending", node="", conditions=unplaced))
    assert (seen.state, seen.reason, str(seen.message)) == (State.PENDING, Reason.UNSCHEDULABLE, "0/3 nodes")
    pulling = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    assert see(job(), pod(phase="Pending", state=pulling)).reason is Reason.IMAGE
    # volumes and images take their time, but not for ever
    starting = {"waiting": {"reason": "ContainerCreating"}}
    assert see(job(), pod(phase="Pending", state=starting, age=timedelta(seconds=20))).reason is None
    late = see(job(), pod(phase="Pending", state=starting, age=STARTING_FOR * 2))
    assert (late.reason, "kubectl describe pod p1" in str(late.message)) == (Reason.NOT_STARTED, True)
    assert see(job()).reason is None  # what refuses its pod is told in events, if at all


def test_a_replaced_pod_waits_anew() -> None:
    """Hours of work before a disruption must not count as waiting for an image."""
    pulling = {"waiting": {"reason": "ErrImagePull"}}
    lost = pod("p1", "Failed", state=ended(143), conditions=DISRUPTED)
    fresh = pod("p2", "Pending", state=pulling, age=timedelta(seconds=5))
    assert see(job(), lost, fresh).created_at == NOW - timedelta(seconds=5)


def test_disruptions_are_counted_once_and_remembered() -> None:
    lost = pod("p1", "Failed", state=ended(143), conditions=DISRUPTED)
    assert see(job(), lost, pod("p2")).disruptions == 1
    noted = job(annotations={"corefk8s.dev/disrupted": "p0,p1"})
    assert see(noted, lost, pod("p2")).disruptions == 2
    assert see({**job(), "lost": {"p1"}}, pod("p2")).disruptions == 1
    # ended by somebody's `kubectl delete pod`: also not its fault
    assert see(job(), pod("p1", "Failed", state=ended(143))).disruptions == 1
    assert see(job(), pod("p1", "Failed", state=ended(1))).disruptions == 0


def test_the_time_of_pods_that_are_gone_is_kept() -> None:
    fresh = pod("p2", state={"running": {"startedAt": at(timedelta(minutes=5))}})
    noted = job(annotations={"corefk8s.dev/spent": "p0=600,p1=60"})
    seen = see(noted, fresh)
    assert (seen.started_at, seen.earlier_seconds) == (NOW - timedelta(minutes=5), 660)
    assert gpu_seconds(seen, 2, NOW) == 2 * (660 + 300)
    # one that is still there shows its time itself
    assert see(noted, pod("p1"), fresh).earlier_seconds == 600
    # remembered, and not written yet; between two pods nothing runs
    between = see({**noted, "spent": {"p1": 61.0}})
    assert (between.started_at, between.earlier_seconds) == (None, 661)
    assert gpu_seconds(between, 1, NOW) == 661
    assert see(job(), fresh).earlier_seconds == 0


def test_two_pods_of_one_second_are_told_apart() -> None:
    """A pod that crashed at once is followed by another in the same second; names are random."""
    crashed = pod("p2", "Failed", version="99", state=ended(1))
    last = pod("p1", "Failed", version="100", state=ended(7))
    for pods in ((crashed, last), (last, crashed)):
        assert see(job(("Failed", "BackoffLimitExceeded", "")), *pods).exit_code == 7


def test_what_we_stopped_is_written_on_the_job() -> None:
    over = ("Failed", "DeadlineExceeded", "late")
    assert see(job(over, annotations={"corefk8s.dev/stopped": "pruned"})).stopped == "pruned"
    assert see(job(over)).stopped == ""
    # its last pod is not lost, but ended by us
    notes = {"corefk8s.dev/stopped": "pruned", "corefk8s.dev/disrupted": "p0"}
    ending = pod("p1", "Failed", state=ended(143), conditions=DISRUPTED)
    assert see(job(annotations=notes), ending).disruptions == 1


def test_too_many_disruptions_end_a_job() -> None:
    limited = {"corefk8s.dev/max-disruptions": "1", "corefk8s.dev/disrupted": "p0,p1"}
    seen = see(job(annotations=limited), pod("p2"))
    assert (seen.state, seen.reason, seen.disruptions) == (State.FAILED, Reason.DISRUPTED, 2)


def test_a_lost_node_is_said_first_and_given_up_with_its_pod() -> None:
    """As the node controller and the one for taints write it: readiness goes, then the pod is marked and deleted."""
    silent = see(job(), pod(conditions=SILENT))
    assert (silent.state, silent.reason) == (State.RUNNING, Reason.DISRUPTED)
    assert "node n1 does not answer" in str(silent.message)
    long_before_its_grace_is_over = timedelta(seconds=-110)
    lost = see(job(), pod(conditions=[*SILENT, *DISRUPTED], deleted=long_before_its_grace_is_over))
    assert (lost.state, lost.reason) == (State.FAILED, Reason.DISRUPTED)
    assert lost.disruptions == 0, "the attempt that has ended with it is the one disruption"
    news = [pod_news(pod(**more), job()) for more in (
        {}, {"conditions": SILENT}, {"conditions": SILENT, "deleted": timedelta()},
    )]  # fmt: skip
    assert len(set(map(str, news))) == 3, "each is worth a look"


def test_a_pod_that_should_have_been_killed_long_ago_is_lost() -> None:
    lost = see(job(), pod(deleted=LOST_AFTER * 2))
    assert (lost.state, lost.reason) == (State.FAILED, Reason.DISRUPTED)
    assert see(job(), pod(deleted=LOST_AFTER / 2)).reason is None
    assert see(job(), pod(deleted=timedelta(seconds=-20))).reason is None


def test_a_pod_that_a_drained_node_is_ending_is_waited_for() -> None:
    """A kubelet that answers takes the readiness of container and pod away together."""
    ready = [{"type": kind, "status": "False"} for kind in ("Ready", "ContainersReady")]
    seen = see(job(), pod(conditions=[*ready, *DISRUPTED], deleted=timedelta(seconds=-110)))
    assert (seen.state, seen.reason, seen.disruptions) == (State.RUNNING, None, 1)


def test_retries_are_the_pods_before_the_last_one() -> None:
    assert see(job(status={"failed": 1}), pod("p2")).retries == 1
    assert see(job(("Failed", "BackoffLimitExceeded", ""), status={"failed": 3})).retries == 2


def test_the_end_of_a_job_is_not_judged_before_its_pod_is_seen_to_have_ended() -> None:
    complete, failed = job(("Complete", "", "")), job(("Failed", "BackoffLimitExceeded", "too often"))
    ended_at = datetime(2026, 11, 22, 11, 30, tzinfo=UTC)
    for found, after in ((complete, State.SUCCEEDED), (failed, State.FAILED)):
        early = observed(found, [pod()], ended_at + timedelta(seconds=2))
        assert (early.state, early.finished_at) == (State.RUNNING, None)
        assert time_tells(early, found, [pod()])
        late = observed(found, [pod()], ended_at + timedelta(minutes=1))  # its news will not come any more
        assert late.state is after
        assert not time_tells(late, found, [pod()])
    assert not time_tells(see(job(), pod()), job(), [pod()])


def test_what_is_news_and_what_only_takes_time() -> None:
    began = job_news(job())
    assert job_news(job(status={"active": 1, "ready": 1})) == began
    assert job_news(job(("SuccessCriteriaMet", "", ""))) == began
    assert job_news(job(("Complete", "", ""))) != began
    assert job_news(job(suspend=True)) != began
    runs = pod_news(pod(), job())
    assert pod_news(pod(phase="Succeeded", state=ended(0)), job()) == runs
    assert pod_news(pod(phase="Failed", state=ended(1)), job()) == runs
    assert pod_news(pod(phase="Failed", state=ended(143)), job()) != runs
    assert pod_news(pod(phase="Pending"), job()) != runs
    pulling = {"waiting": {"reason": "ErrImagePull"}}
    assert pod_news(pod(phase="Pending", state=pulling), job()) != pod_news(pod(phase="Pending"), job())
    # its Job has told before that it ended: nothing else will
    assert pod_news(pod(phase="Succeeded", state=ended(0)), job(("Complete", "", ""))) != runs
    assert pod_news(pod(), None) == runs


def test_a_job_that_is_tried_again_says_how_its_pod_failed() -> None:
    words = '{"section": "warning", "event": "trial_failed", "message": "the disk of /data is full"}'
    failed = pod(phase="Failed", state=ended(1, message=words, at=timedelta(seconds=30)))
    running = pod("p2", age=timedelta(seconds=10))
    seen = see(job(), failed, running)
    assert str(seen.message) == "the disk of /data is full"
    # nothing of Job and pods changes when it is over
    assert time_tells(seen, job(), [failed, running])
    assert str(see(job(), pod(phase="Failed", state=ended(7, at=timedelta(0)))).message) == "exit code 7"
