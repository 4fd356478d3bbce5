"""`calibrate --on cluster`: a Job for each kind of GPU, with real pods that measure and write to the database."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from coref_k8s.client.calibrating_there import calibrate_there
from coref_k8s.client.cluster import ClusterBackend
from coref_k8s.cluster import rbac
from coref_k8s.cluster.calibration import PRODUCT_LABEL, calibration_job
from coref_k8s.cluster.errors import NotFound
from coref_k8s.cluster.resources import JOBS
from coref_k8s.cluster.settings import JobSettings
from coref_k8s.errors import ClusterError
from coref_k8s.store import Store
from coref_k8s.study.reading import spec_from_mapping
from tests.cluster.test_jobs import EVERYTHING, GPU_STUDY
from tests.cluster.test_whole import create_tiny_model, processes_as_pods
from tests.cluster.world import SERVICE, World
from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster

pytestmark = pytest.mark.cluster

GOLDEN = Path(__file__).parent / "golden" / "calibration.yaml"
HERE = JobSettings(run_as_user=None, grace_seconds=2)
ASKED = {
    "seqLengths": [64],
    "anyLength": True,
    "model": "models/tiny",
    "parallelism": 64,
    "pod": {"gpus": 0},
}
OPTIONS = ("--seq-lengths", "64", "--any-length", "--model", "models/tiny", "--parallelism", "64")


@pytest.fixture
def running(
    kube: KubeCluster, api: AdminApi, crd_installed: None, postgres_url: str, tmp_path: Path
) -> Iterator[World]:
    """A world with a controller that answers through its service, whose pods are processes."""
    with processes_as_pods(kube, api, postgres_url, tmp_path, patience=500.0) as world:
        create_tiny_model(world.kubelet.claim(api.namespace, HERE.data_claim) / "models/tiny")
        world.expose(world.controller(jobs=HERE))
        yield world
        for controller in world.controllers:
            controller.stop()
            controller.api.close()


@pytest.fixture
def someone(running: World) -> Iterator[AdminApi]:
    """Somebody with exactly the rights of the role."""
    rules = rbac.rules("calibration", service=f"{SERVICE}:8080")
    api = running.kube.as_service_account(running.api.namespace, "calibration", rules)
    yield api
    api.close()


@pytest.fixture
def call(
    coref: Callable[..., Any], someone: AdminApi, running: World, monkeypatch: Any
) -> Callable[..., Any]:
    monkeypatch.setenv("KUBECONFIG", str(running.kube.kubeconfig))
    monkeypatch.setattr(ClusterBackend, "api", someone)
    return lambda verb, *rest: coref(verb, *rest, "-n", running.api.namespace)


def measured(world: World) -> list[Any]:
    store = Store(world.url)
    try:
        return store.calibrations()
    finally:
        store.close()


def test_a_pod_measures_and_plan_rests_on_it(running: World, call: Callable[..., Any]) -> None:
    assert call("calibrate", "show", "--on", "cluster").out.strip() == "Nothing was measured yet."
    said = call("calibrate", "--on", "cluster", *OPTIONS, "--gpus", "0", "--deadline", "400")
    assert said.code == 0, said.err
    assert "measures CPU; it goes on when this command ends" in said.err
    assert "s a step" in said.err  # what the pod says, as it says it
    (found,) = measured(running)
    assert (found.model, found.gpu, found.complete) == ("models/tiny", False, True)
    assert found.device in said.out
    shown = json.loads(call("calibrate", "show", "--on", "cluster", "-o", "json").out)
    assert [one["model"] for one in shown] == ["models/tiny"]
    planned = json.loads(call("plan", *OPTIONS, "--gpus", "0", "-o", "json").out)
    assert planned["there"]["source"] == "measured"
    # the Job of the same question that has ended is replaced; a deadline that leaves no time is honoured
    again = call("calibrate", "--on", "cluster", *OPTIONS, "--gpus", "0", "--deadline", "1")
    assert again.code == 0, again.err
    assert "The deadline left no time" in again.out
    (cut,) = measured(running)
    assert not cut.complete


def test_two_at_once_share_a_job(running: World, someone: AdminApi) -> None:
    spec, said = spec_from_mapping(ASKED), {1: [], 2: []}
    found: dict[int, Any] = {}

    def ask(number: int) -> None:
        found[number] = calibrate_there(someone, spec, (), 60.0, said[number].append)

    askers = [threading.Thread(target=ask, args=(number,)) for number in said]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(300)
    assert sorted(str(messages[0]).partition(" measures CPU")[2][:8] for messages in said.values()) == [
        " already",
        "; it goe",
    ]
    assert [[one.model for one in found[number]] for number in said] == [["models/tiny"]] * 2
    jobs, _ = running.api.list(JOBS)
    assert len(jobs) == 1


def test_a_pod_that_is_lost_half_way_is_replaced_and_a_job_that_is_deleted_is_named(
    running: World, someone: AdminApi
) -> None:
    spec = spec_from_mapping(ASKED)
    said: list[str] = []
    ended: list[Any] = []

    def ask() -> None:
        try:
            ended.append(calibrate_there(someone, spec, (), 400.0, lambda one: said.append(str(one))))
        except ClusterError as error:
            ended.append(str(error))

    def half_way() -> str:
        running.until(lambda: any("s a step" in line for line in said), "a first step")
        (job,) = (job["metadata"]["name"] for job in running.api.list(JOBS)[0])
        return job

    def asking() -> threading.Thread:
        said.clear()
        ended.clear()
        thread = threading.Thread(target=ask)
        thread.start()
        return thread

    first = asking()
    pod = running.running(half_way())
    running.api.evict(pod["metadata"]["name"])
    first.join(500)
    ((found,),) = ended
    assert found.points
    second = asking()
    running.api.delete(JOBS, half_way())
    second.join(500)
    assert ended == [
        f"Job {said[0].split()[1]} was deleted before it had ended; what it had measured is kept"
    ]
    (kept,) = measured(running)
    assert kept.points
    assert kept.measured_at > found.measured_at


def test_each_kind_of_gpu_has_a_job_and_what_a_pod_says_is_told(
    running: World, call: Callable[..., Any], coref: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = call("calibrate", "--on", "cluster", *OPTIONS)
    assert (refused.code, "name them with --gpu" in refused.err) == (2, True)
    monkeypatch.setattr(ClusterBackend, "api", running.api)
    none = call("calibrate", "--on", "cluster", *OPTIONS)
    assert (none.code, "no node has nvidia.com/gpu" in none.err) == (2, True)
    for number, kind in enumerate(("NVIDIA-A100-SXM4-40GB", "Tesla-V100", "Tesla-V100")):
        running.kubelet.add_node(f"gpu-{number}", labels={PRODUCT_LABEL: kind}, gpus=1)
    # these machines have no GPU after all
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    failed = call("calibrate", "--on", "cluster", *OPTIONS)
    assert failed.code == 42
    assert "has failed" in failed.err
    assert "GPU" in failed.err
    selectors = [job["spec"]["template"]["spec"]["nodeSelector"] for job in running.api.list(JOBS)[0]]
    assert sorted(one[PRODUCT_LABEL] for one in selectors) == ["NVIDIA-A100-SXM4-40GB", "Tesla-V100"]
    assert running.jobs() == []  # none of them is a study's


def test_a_job_that_waits_says_what_for(running: World, someone: AdminApi) -> None:
    said: list[str] = []
    spec = spec_from_mapping({**ASKED, "pod": {"gpus": 1}})

    def ask() -> None:
        with pytest.raises(ClusterError, match="was deleted before"):
            calibrate_there(someone, spec, ["H200"], 5.0, lambda one: said.append(str(one)))
        said.append("ended")

    asker = threading.Thread(target=ask)
    asker.start()
    running.until(lambda: any(" waits: " in line for line in said), "a word on what is waited for")
    (job,) = running.api.list(JOBS)[0]
    running.api.delete(JOBS, job["metadata"]["name"])
    asker.join(60)
    assert said[-1] == "ended"
    with pytest.raises(NotFound):
        running.api.get(JOBS, job["metadata"]["name"])


def golden_job() -> dict[str, Any]:
    spec = spec_from_mapping({**GPU_STUDY, "training": {"precision": "fp16"}, "model": "/data/$(HOME)"})
    return calibration_job(spec, EVERYTHING, "Tesla-V100-SXM2-32GB", 480.0, namespace="lab")


def test_manifest_is_the_golden_file() -> None:
    found = golden_job()
    if os.environ.get("COREF_UPDATE_GOLDEN"):
        GOLDEN.write_text(yaml.safe_dump(found, sort_keys=False, width=110, allow_unicode=True))
    assert found == yaml.safe_load(GOLDEN.read_text())
    for version in ("1.31", "1.37"):
        kubernetes_validate.validate(found, version, strict=True)
