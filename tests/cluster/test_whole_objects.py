"""A whole study on a cluster without any shared volume: what pods know of each other is in a real S3 server."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coref_k8s.client.models import model_folder
from coref_k8s.cluster import rbac
from coref_k8s.cluster.database import Database
from coref_k8s.objects import Place
from coref_k8s.settings import Settings
from tests.cluster.test_whole import STUDY, Controller, create_tiny_model, processes_as_pods
from tests.cluster.world import World
from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster
from tests.kube.objects import SECRETS
from tests.objectstore import BUCKET, Link, credentials

pytestmark = pytest.mark.cluster

SEARCH = {
    **STUDY,
    "training": {"maxSteps": 120, "batchSize": 2, "evaluations": 1, "checkpointSeconds": 0.5},
    "search": {"sampler": "random", "pruner": "none", "finalists": 1, "finalistSeeds": 1},
}


@pytest.fixture
def store(link: Link, tmp_path: Path) -> Place:
    """Where the study's files are, with a tiny model put there by hand."""
    place = Place(f"s3://{BUCKET}/whole-{os.getpid()}", credentials(tmp_path / "secret", link.endpoint))
    create_tiny_model(tmp_path / "tiny")
    for path in (tmp_path / "tiny").iterdir():
        place._bucket.write(f"models/tiny/{path.name}", path)
    return place


@pytest.fixture
def world(
    kube: KubeCluster, api: AdminApi, crd_installed: None, postgres_url: str, store: Place, tmp_path: Path
) -> Iterator[World]:
    """A world whose pods are processes with nothing but a disk of their own."""
    secret = {
        path.name: base64.b64encode(path.read_bytes()).decode() for path in (tmp_path / "secret").iterdir()
    }
    with processes_as_pods(kube, api, postgres_url, tmp_path, patience=600.0) as world:
        api.create(
            SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"}, "data": secret}
        )
        yield world


def test_a_study_without_a_volume_from_the_request_to_the_verdict(
    world: World,
    store: Place,
    link: Link,
    tmp_path: Path,
    coref: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world.kube.as_service_account(world.api.namespace, "controller", rbac.rules("controller")).close()
    with Controller(world, tmp_path, 1, objectStore={"uri": store.uri, "secret": "s3"}) as controller:
        world.submit(spec=SEARCH)
        _kill_with_a_checkpoint_kept(world, store, "korean-128-0-1", "studies/korean/128/0", tmp_path)
        world.running("korean-128-0-2")
        # and the store is away for a while, whoever needs it meanwhile
        link.answer, link.answers = "503 Slow Down|SlowDown", 15
        status = world.until_phase("Succeeded")
        assert controller.end(signal.SIGTERM) == 0
    assert status["trials"]["succeeded"] == 2
    view = Database(world.url).view(world.api.namespace, "korean")
    assert all(one.state.value == "complete" for one in (*view.trials, *view.runs))
    (length,) = view.lengths
    assert length.verdict is not None
    begun = _begun(world, "korean-128-0-2")
    assert begun["step"] > 0

    # nothing of it is anywhere but in the store
    assert not any(path.suffix == ".safetensors" for path in (tmp_path / "kubelet").rglob("*"))
    kept = store.list("studies")
    assert {"studies/korean/128/0", "studies/korean/128/1", "studies/korean/128/verdict"} <= {*kept}
    store.get("studies/korean/128/0", tmp_path / "trial")
    assert len(json.loads((tmp_path / "trial/losses.json").read_text())) == 120
    assert not (tmp_path / "trial/checkpoints").exists()

    # who has the credentials reads it from anywhere, without database and cluster
    monkeypatch.setenv("COREF_OBJECT_STORE", store.uri)
    monkeypatch.setenv("COREF_OBJECT_STORE_SECRET", str(tmp_path / "secret"))
    monkeypatch.setenv("COREF_DATA_DIR", str(tmp_path / "laptop"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    answer = coref("evaluate", "korean/128/0", "--split", "dev", "--output", "json")
    assert answer.code == 0, answer.err
    trial = next(one for one in view.trials if one.number == 0)
    told = json.loads(answer.out)["metrics"]
    both = {"seed_coref_top5", "baseline_frequent_top5"}  # with so few items no headline is given
    assert {name: told[name] for name in both} == pytest.approx({name: trial.metrics[name] for name in both})
    answer = coref("compare", "korean/128/0", "korean/128/1", "--output", "json")
    assert answer.code == 0, answer.err
    found = model_folder("korean/128/0", Settings.from_env())
    weights = "model.safetensors"
    assert (found / weights).read_bytes() == (tmp_path / "trial/model" / weights).read_bytes()
    world.trials.database.close()


def _kill_with_a_checkpoint_kept(world: World, store: Place, job: str, folder: str, tmp_path: Path) -> None:
    pod = world.running(job)["metadata"]["name"]

    def kept() -> bool:
        look = tmp_path / "look"
        return store.get(folder, look, lambda path: path.startswith("checkpoints/")) and look.exists()

    world.until(kept, f"{job} to keep a checkpoint")
    for pid in world.kubelet.pids(world.api.namespace, pod):
        os.kill(pid, signal.SIGKILL)


def _begun(world: World, job: str) -> dict[str, Any]:
    (pod,) = world.pods(job)
    lines = [json.loads(line) for line in world.api.logs(pod["metadata"]["name"]) if line.startswith("{")]
    found: dict[str, Any] = next(line for line in lines if line["section"] == "trial_begin")
    return found
