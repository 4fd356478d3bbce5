"""What a kubelet writes into a pod's status, phase by phase."""

from __future__ import annotations

from typing import Any

from tests.kube.store import now

Json = dict[str, Any]


def condition(kind: str, status: bool, reason: str = "") -> Json:
    base: Json = {"type": kind, "status": "True" if status else "False", "lastTransitionTime": now()}
    return base | ({"reason": reason} if reason else {})


def container_status(spec: Json, state: Json, *, ready: bool = False, restarts: int = 0) -> Json:
    status = {
        "name": spec["name"],
        "image": spec["image"],
        "imageID": "",
        "ready": ready,
        "started": ready,
        "restartCount": restarts,
        "state": state,
    }
    if "waiting" not in state:
        status["containerID"] = f"stand-in://{spec['name']}"
    return status


def waiting(pod: Json, reason: str, message: str = "") -> Json:
    state: Json = {"waiting": {"reason": reason} | ({"message": message} if message else {})}
    return _status(
        pod, "Pending", {c["name"]: state for c in pod["spec"]["containers"]}, "ContainersNotReady"
    )


def running(pod: Json, states: dict[str, Json], restarts: dict[str, int]) -> Json:
    return _status(pod, "Running", states, "", restarts)


def ended(pod: Json, states: dict[str, Json], restarts: dict[str, int]) -> Json:
    """Succeeded when every container exited with 0."""
    good = all(s["terminated"]["exitCode"] == 0 for s in states.values())
    return _status(
        pod, "Succeeded" if good else "Failed", states, "PodCompleted" if good else "PodFailed", restarts
    )


def never_started(pod: Json) -> Json:
    """Deleted before its containers ran: Failed, with what a kubelet then says of them."""
    text = "The container could not be located when the pod was deleted."
    state = {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": text}}
    return _status(pod, "Failed", {c["name"]: state for c in pod["spec"]["containers"]}, "PodFailed")


def _status(
    pod: Json, phase: str, states: dict[str, Json], reason: str, restarts: dict[str, int] | None = None
) -> Json:
    ready = phase == "Running"
    conditions = [
        condition("PodReadyToStartContainers", phase != "Pending"),
        condition("Initialized", True),
        condition("Ready", ready, reason),
        condition("ContainersReady", ready, reason),
    ]
    statuses = [
        container_status(c, states[c["name"]], ready=ready, restarts=(restarts or {}).get(c["name"], 0))
        for c in pod["spec"]["containers"]
        if c["name"] in states
    ]
    return {
        "phase": phase,
        "conditions": conditions,
        "containerStatuses": statuses,
        "hostIP": "127.0.0.1",
        "podIP": "127.0.0.1",
        "startTime": pod["status"].get("startTime") or now(),
    }
