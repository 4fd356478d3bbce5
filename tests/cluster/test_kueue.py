"""Studies in queues of a real Kueue, where the cluster has one: quota, preemption by priority, and what the status says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from coref_k8s.cluster.errors import NotFound
from coref_k8s.cluster.resources import CRDS, Resource
from coref_k8s.store import Outcome
from coref_k8s.study.names import Kind
from tests.cluster.simulation import Behaviour
from tests.cluster.test_waiting import told
from tests.cluster.world import World

pytestmark = pytest.mark.cluster

GROUP, VERSION = "kueue.x-k8s.io", "v1beta2"
FLAVORS = Resource(GROUP, VERSION, "resourceflavors", "ResourceFlavor", False)
CLUSTER_QUEUES = Resource(GROUP, VERSION, "clusterqueues", "ClusterQueue", False)
LOCAL_QUEUES = Resource(GROUP, VERSION, "localqueues", "LocalQueue")
PRIORITIES = Resource(GROUP, VERSION, "workloadpriorityclasses", "WorkloadPriorityClass", False)


@pytest.fixture
def queues(world: World) -> Iterator[World]:
    """A world with the queues `one` and `two`, each with a quota of one pod, and the priorities NAMESPACE-low and -high."""
    try:
        world.api.get(CRDS, "clusterqueues.kueue.x-k8s.io")
    except NotFound:
        pytest.skip("no Kueue runs on this cluster")
    made: list[tuple[Resource, str]] = []

    def make(resource: Resource, name: str, **more: Any) -> None:
        kind = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}}
        world.api.create(resource, {**kind, **more})
        made.append((resource, name))

    unique = world.api.namespace
    try:
        make(FLAVORS, unique)
        quota = {"cpu": "1k", "memory": "10Ti", "ephemeral-storage": "10Ti", "pods": "1"}
        resources = [{"name": name, "nominalQuota": amount} for name, amount in quota.items()]
        group = {"coveredResources": list(quota), "flavors": [{"name": unique, "resources": resources}]}
        for name in ("one", "two"):
            spec = {
                "namespaceSelector": {},
                "preemption": {"withinClusterQueue": "LowerPriority"},
                "resourceGroups": [group],
            }
            make(CLUSTER_QUEUES, f"{unique}-{name}", spec=spec)
            make(LOCAL_QUEUES, name, spec={"clusterQueue": f"{unique}-{name}"})
        for value, name in enumerate(("low", "high")):
            make(PRIORITIES, f"{unique}-{name}", value=value)
        yield world
    finally:
        for resource, name in reversed(made):
            with suppress(NotFound):
                world.api.delete(resource, name)


def test_two_queues_a_quota_and_a_preemption(queues: World) -> None:
    world, held = queues, [True]

    def behave(order: Any, start: int) -> Behaviour | None:
        waits = order.kind is Kind.TRIAL and order.study == "first" and held[0]
        return (600.0, 0, False) if waits else None

    def submit(study: str, queue: str, priority: str, trials: int) -> None:
        labels = {"kueue.x-k8s.io/priority-class": f"{world.api.namespace}-{priority}"}
        pod = {"gpus": 0, "queueName": queue, "labels": labels}
        world.submit(study, spec={"trials": trials, "parallelism": trials, "pod": pod})

    def counts(study: str) -> tuple[int, int]:
        trials = world.status(study).get("trials", {})
        return trials.get("running", 0), trials.get("waiting", 0)

    world.trials.behave = behave
    world.controller()
    submit("first", "one", "low", 2)
    world.until(lambda: counts("first") == (1, 1), "one trial to be admitted and one to wait for the quota")
    assert world.condition("Degraded", "first")["status"] == "False"
    # what the other queue has is its own
    submit("second", "two", "low", 1)
    world.until_phase("Succeeded", "second")
    assert counts("first") == (1, 1)
    # a higher priority takes the place of the trial
    world.kubelet.unpullable = lambda image: True  # and is kept from using it, until the status has been read
    submit("urgent", "one", "high", 1)
    status = told(world, "Suspended", "first")
    assert "queue one" in status["message"]
    words = lambda: "insufficient unused quota" in world.status("first").get("message", "")  # noqa: E731
    world.until(words, "the words of Kueue itself")
    print(world.status("first")["message"])
    assert counts("first") == (0, 2)
    held[0] = False
    world.kubelet.unpullable = lambda image: False
    assert world.until_phase("Succeeded", "urgent")["trials"]["succeeded"] == 1
    # and the trials go on when it has ended, as the same attempts
    status = world.until_phase("Succeeded", "first")
    assert (status["trials"]["succeeded"], status["trials"]["failed"]) == (2, 0)
    attempts = world.trials.database.store().attempts(world.api.namespace, "first")
    ran = [one for one in attempts if one.kind is Kind.TRIAL]
    assert [(one.attempt, one.outcome, one.retries) for one in ran] == [(1, Outcome.SUCCEEDED, 0)] * 2
    assert sorted(one.disruptions > 0 for one in ran) == [False, True]
    assert all(
        one.disruptions == 0 for one in world.trials.database.store().attempts(world.api.namespace, "urgent")
    )
