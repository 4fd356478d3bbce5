"""Why a study waits, as `kubectl get cstudy`, `kubectl describe` and `coref-k8s watch` say it: within a minute, in words."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from coref_k8s.client import following
from coref_k8s.client.cluster import ClusterBackend
from coref_k8s.cluster import names, rbac
from coref_k8s.cluster.resources import EVENTS, JOBS, STUDIES
from coref_k8s.study.names import Kind
from tests.cluster.world import JOBS_HERE, World
from tests.kube.objects import QUOTAS, SECRETS

pytestmark = pytest.mark.cluster


def told(world: World, reason: str, name: str = "korean") -> dict[str, Any]:
    """Wait until a study is degraded for a reason, no longer than promised, and return its status."""
    began = time.monotonic()

    def look() -> dict[str, Any] | None:
        found = world.condition("Degraded", name)
        return world.status(name) if (found.get("status"), found.get("reason")) == ("True", reason) else None

    status = world.until(look, f"{name} to say {reason}")
    assert time.monotonic() - began < 60
    assert status["message"] == world.condition("Degraded", name)["message"]
    return status


def test_a_quota_on_pods(world: World) -> None:
    meta = {"metadata": {"name": "none"}}
    world.api.create(
        QUOTAS, {"apiVersion": "v1", "kind": "ResourceQuota", **meta, "spec": {"hard": {"pods": "0"}}}
    )
    world.controller()
    world.submit()
    world.until(lambda: world.status().get("trials", {}).get("waiting") == 1, "the preparation to be counted")
    assert "nothing keeps" not in world.condition("Degraded")["message"]
    status = told(world, "Refused")
    assert "exceeded quota: none" in status["message"]
    assert "korean-prepare-1" in status["message"]
    assert status["trials"]["waiting"] == 1
    world.until(lambda: [m for r, m in world.events() if r == "Refused" and "quota" in m], "an event")
    world.api.delete(QUOTAS, "none")
    assert world.until_phase("Succeeded")["trials"]["waiting"] == 0
    assert world.condition("Degraded")["message"] == "nothing keeps trials from running"


def test_a_secret_that_is_missing(
    world: World, coref: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = world.api.get(SECRETS, JOBS_HERE.storage_secret.name)
    world.api.delete(SECRETS, JOBS_HERE.storage_secret.name)
    world.expose(world.controller())
    world.submit()
    status = told(world, "NotStarted")
    assert "MountVolume.SetUp failed" in status["message"]
    # in a pipe the same, in lines, until Ctrl-C
    monkeypatch.setattr(ClusterBackend, "api", world.api)
    monkeypatch.setenv("KUBECONFIG", str(world.kube.kubeconfig))
    looks = iter(range(3))

    def pause(_: float) -> None:
        if next(looks, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr(following.time, "sleep", pause)
    lines = coref("watch", "korean", "-n", world.api.namespace, "--lang", "en").out
    assert lines.count("the preparation waits: MountVolume.SetUp failed") == 1
    shown = coref("status", "korean", "-n", world.api.namespace, "--lang", "en").out
    assert "MountVolume.SetUp failed" in shown
    monkeypatch.undo()
    fresh = {key: secret[key] for key in ("apiVersion", "kind", "data")}
    world.api.create(SECRETS, {**fresh, "metadata": {"name": JOBS_HERE.storage_secret.name}})
    world.until_phase("Succeeded")


def test_a_trial_that_fails_and_is_tried_again(world: World) -> None:
    def behave(order: Any, start: int) -> Any:
        if order.kind is Kind.TRIAL:
            return (0.05, 1, False) if start == 1 else (60.0, 0, True)
        return None

    world.trials.behave = behave
    world.controller()
    world.submit(spec={"trials": 1})
    # while the next pod runs, and before its Job counts as failed
    status = told(world, "Crashed")
    assert "a pod has failed and is tried again; korean-64-0-1: exit code 1" in status["message"]
    assert status["trials"]["failed"] == 0


def queue_says(world: World, job: str) -> None:
    """Let Kueue say of the Workload of a Job what it lacks."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    where = {"name": f"job-{job}-3f2a1", "namespace": world.api.namespace}
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"pending.{job}", "namespace": world.api.namespace},
        "involvedObject": {"apiVersion": "kueue.x-k8s.io/v1beta1", "kind": "Workload", **where},
        "type": "Warning",
        "reason": "WaitingForQuota",
        "message": "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor small",
        "firstTimestamp": now,
        "lastTimestamp": now,
    }
    world.api.create(EVENTS, event)


def test_who_suspended_a_job(world: World) -> None:
    world.trials.behave = lambda order, start: (60.0, 0, False) if order.kind is Kind.TRIAL else None
    world.controller()
    # by hand: no queue has anything to do with it
    world.submit(spec={"trials": 1})
    world.running("korean-64-0-1")
    world.api.patch(JOBS, "korean-64-0-1", {"spec": {"suspend": True}})
    status = told(world, "Suspended")
    assert "which somebody set" in status["message"]
    assert "queue team" not in status["message"]
    # by a queue, which says what it lacks of its own object about the Job
    world.submit("queued", spec={"trials": 1, "pod": {"gpus": 0, "queueName": "team"}})
    world.until(lambda: "queued-prepare-1" in world.jobs(), "the Job of the preparation")
    queue_says(world, "queued-prepare-1")
    world.until(
        lambda: "insufficient unused quota" in world.status("queued").get("message", ""), "the queue's words"
    )
    assert "queue team" in told(world, "Suspended", "queued")["message"]
    assert world.status("queued")["trials"]["waiting"] == 1


def test_what_the_queue_says_of_any_of_its_jobs_is_told(world: World) -> None:
    """Of a job that it preempted Kueue says nothing more for minutes, but does of the one behind it."""
    world.controller()
    world.submit(spec={"pod": {"gpus": 0, "queueName": "team"}})
    world.until(lambda: "korean-prepare-1" in world.jobs(), "the Job of the preparation")
    world.api.patch(JOBS, "korean-prepare-1", {"spec": {"suspend": False}})
    world.until(lambda: "korean-64-1-1" in world.jobs(), "the Jobs of both trials")
    queue_says(world, "korean-64-1-1")
    words = "no job is admitted; korean-64-1-1: suspended; queue team has not admitted it: couldn't assign"
    world.until(lambda: world.status().get("message", "").startswith(words), "the queue's words")


def test_a_preparation_that_goes_on_and_one_that_is_tried_again(world: World) -> None:
    def behave(order: Any, start: int) -> Any:
        if order.kind is Kind.PREPARE:
            return (0.05, 43, False) if order.attempt == 1 else (60.0, 0, False)
        return None

    world.trials.behave = behave
    world.controller()
    world.submit()
    running = lambda: world.status().get("message", "").startswith("the data are being prepared again")  # noqa: E731
    world.until(running, "the second attempt at the preparation")
    assert "out of GPU memory" in world.status()["message"]
    assert world.status()["phase"] == "Preparing"


def test_trials_beyond_a_number_that_was_lowered(world: World) -> None:
    world.trials.behave = lambda order, start: (60.0, 0, False) if order.kind is Kind.TRIAL else None
    world.controller()
    world.submit()
    world.until(lambda: world.status().get("trials", {}).get("running") == 2, "both trials")
    world.api.patch(STUDIES, "korean", {"spec": {"trials": 1, "parallelism": 1}})
    status = world.until(
        lambda: (s := world.status())["progress"] == "0/1" and s.get("message") and s, "words"
    )
    assert status["message"] == "trials was lowered to 1; 1 trial that was begun before goes on to the end"


def test_events_that_may_not_be_read_keep_no_study_from_going_on(world: World) -> None:
    """A role of an earlier release has no right to list events."""
    controller = world.controller()

    def asked() -> float:
        samples = controller.metrics.requests.collect()[0].samples
        wanted = [s for s in samples if s.name.endswith("_total") and s.labels["resource"] == "events"]
        return sum(s.value for s in wanted if s.labels["verb"] == "list")

    old = [
        {**rule, "verbs": ["create"]} if rule["resources"] == ["events"] else rule
        for rule in rbac.rules("controller")
    ]
    world.kube.as_service_account(world.api.namespace, "controller", old).close()
    world.submit("queued", spec={"pod": {"gpus": 0, "queueName": "team"}})
    world.until(asked, "a list of events")
    assert "queue team has not admitted it" in told(world, "Suspended", "queued")["message"]
    assert asked() <= 3
    world.api.patch(JOBS, "queued-prepare-1", {"spec": {"suspend": False}})
    world.until(lambda: world.status("queued")["trials"]["waiting"] == 2, "its trials to wait for the queue")
    assert names.QUEUE_LABEL in world.api.get(JOBS, "queued-64-0-1")["metadata"]["labels"]
