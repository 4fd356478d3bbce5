"""GPUs by claim (DRA) as a real scheduler gives them out: the node's devices are published by hand, no driver runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from coref_k8s.cluster.errors import NotFound
from coref_k8s.cluster.resources import LEASES, VOLUME_CLAIMS, Resource
from coref_k8s.study.names import Kind
from tests.cluster.test_waiting import told
from tests.cluster.world import JOBS_HERE, World
from tests.kube.objects import (
    CLAIM_TEMPLATES,
    CLAIMS,
    DEVICE_CLASSES,
    RESOURCE_SLICES,
    VOLUMES,
)

pytestmark = pytest.mark.cluster

DRIVER = "shares.example.com"


def create(world: World, resource: Resource, name: str, spec: dict[str, Any]) -> None:
    body = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name},
        "spec": spec,
    }
    world.api.create(resource, body)


@pytest.fixture
def shares(world: World) -> Iterator[World]:
    """A world whose node has two shares of a GPU, and a template of a claim of one."""
    if not world.kube.real:
        pytest.skip("the fake gives out no devices")
    try:
        world.api.get(LEASES, "kube-scheduler", "kube-system")
    except NotFound:
        pytest.skip("no scheduler runs on this control plane")
    pool = {"name": "plain", "generation": 1, "resourceSliceCount": 1}
    memory = {"capacity": {"memory": {"value": "20Gi"}}}
    devices = [{"name": f"share-{n}", **memory} for n in range(2)]
    create(
        world,
        DEVICE_CLASSES,
        DRIVER,
        {"selectors": [{"cel": {"expression": f"device.driver == '{DRIVER}'"}}]},
    )
    try:
        create(
            world,
            RESOURCE_SLICES,
            DRIVER,
            {"driver": DRIVER, "nodeName": "plain", "pool": pool, "devices": devices},
        )
        request = {"name": "gpu", "exactly": {"deviceClassName": DRIVER, "count": 1}}
        create(world, CLAIM_TEMPLATES, "one-share", {"spec": {"devices": {"requests": [request]}}})
        volume(world)
        yield world
    finally:
        for resource, name in (
            (RESOURCE_SLICES, DRIVER), (DEVICE_CLASSES, DRIVER), (VOLUMES, world.api.namespace),
        ):  # fmt: skip
            with suppress(NotFound):
                world.api.delete(resource, name)


def volume(world: World) -> None:
    """The data claim, bound: a real scheduler looks for it."""
    size, modes = {"storage": "1Gi"}, ["ReadWriteMany"]
    spec = {"accessModes": modes, "storageClassName": ""}
    name, claim = world.api.namespace, JOBS_HERE.data_claim
    whose = {"claimRef": {"namespace": name, "name": claim}, "hostPath": {"path": "/nowhere"}}
    create(world, VOLUMES, name, {**spec, **whose, "capacity": size})
    create(world, VOLUME_CLAIMS, claim, {**spec, "volumeName": name, "resources": {"requests": size}})


def test_trials_share_devices_and_say_when_none_is_left(shares: World) -> None:
    world, open_ = shares, {"seconds": 600.0}
    world.trials.behave = lambda order, start: (
        (open_["seconds"], 0, True) if order.kind is Kind.TRIAL else None
    )
    world.controller()
    asked = {"gpus": 1, "resourceClaims": {"*": "one-share"}}
    world.submit(spec={"trials": 3, "parallelism": 3, "gpuMemoryGb": 20, "pod": asked})

    def running() -> list[str]:
        return [p["metadata"]["name"] for p in world.pods() if p["status"].get("phase") == "Running"]

    world.until(lambda: len(running()) == 2, "two trials to run")
    status = told(world, "Unschedulable")
    assert "cannot allocate all claims" in status["message"]
    assert status["trials"]["waiting"] == 1

    def given() -> list[str]:
        found, _ = world.api.list(CLAIMS)
        kept = [one.get("status", {}).get("allocation") for one in found]
        return sorted(one["devices"]["results"][0]["device"] for one in kept if one)

    assert given() == ["share-0", "share-1"]
    open_["seconds"] = 0.05
    for pod in running():
        world.kubelet.finish(world.api.namespace, pod)
    status = world.until_phase("Succeeded")
    assert (status["trials"]["succeeded"], status["trials"]["failed"]) == (3, 0)
