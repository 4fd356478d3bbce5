"""A whole cluster study with real trials: submit, prepare, train, results, through what goes wrong in between.

The controller is the real command as a process with the rights of its role; pods run the real trial program.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from coref_k8s.cluster import names, rbac
from coref_k8s.cluster.database import Database
from coref_k8s.cluster.errors import ApiRefusal
from coref_k8s.cluster.resources import JOBS
from coref_k8s.cluster.settings import JobSettings
from coref_k8s.store import Outcome
from coref_k8s.wording import say
from tests.cluster.conftest import storage_secret
from tests.cluster.simulation import Trials
from tests.cluster.world import World
from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster
from tests.kube.kubelet import Kubelet
from tests.postgres import Server

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
STEPS = 300
STUDY = {
    "seqLengths": [128],
    "anyLength": True,
    "model": "models/tiny",
    "trials": 2,
    "parallelism": 1,
    "data": {"sources": [{"source": "gaps:24"}], "evalItems": 4},
    "training": {"maxSteps": STEPS, "batchSize": 2, "evaluations": 1, "checkpointSeconds": 1},
    "search": {"sampler": "random", "pruner": "none"},
    "pod": {"gpus": 0},
}
COREFERENCE = {
    **STUDY,
    "task": "coreference",
    "trials": 1,
    "data": {"sources": [{"source": "people:12"}]},
    "training": {"maxSteps": 4, "batchSize": 2, "evaluations": 1},
    "search": {"sampler": "random", "pruner": "none", "space": {"head_epochs": {"choices": [1]}}},
}


class Controller:
    """`coref-k8s controller` as a process."""

    def __init__(
        self, world: World, folder: Path, number: int, *, lease_seconds: int = 3, **jobs: Any
    ) -> None:
        jobs = {"runAsUser": None, **jobs}
        settings = {"leaseSeconds": lease_seconds, "statusSeconds": 0.2, "port": 0, "jobs": jobs}
        (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
        (folder / "url").write_text(world.url)
        (folder / "kubeconfig").write_text(
            json.dumps(world.kube.kubeconfig_of(world.api.namespace, "controller"))
        )
        self.log = folder / f"controller-{number}.log"
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "KUBECONFIG": str(folder / "kubeconfig"),
            "COREF_CLUSTER_SETTINGS": str(folder / "settings.yaml"),
            "COREF_STORAGE_URL_FILE": str(folder / "url"),
        }
        command = [sys.executable, "-m", "coref_k8s", "controller", "-n", world.api.namespace]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)

    def __enter__(self) -> Controller:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End it without a word, unless it has ended."""
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(10)

    def end(self, number: int) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def lines(self) -> list[Any]:
        """Return the log, every line of which must be JSON.

        But for what libpq itself writes when a server says goodbye while a connection is being made.
        """
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if not line.startswith("WARNING:  terminating connection")]


@contextmanager
def processes_as_pods(
    kube: KubeCluster, api: AdminApi, postgres_url: str, folder: Path, patience: float
) -> Iterator[World]:
    """Yield a world whose pods are processes of this machine, on a node without GPUs."""
    if kube.has_kubelets():
        pytest.skip("this cluster has kubelets of its own: it needs images")
    storage_secret(api, JobSettings(), postgres_url)
    environ = {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with Kubelet(
        kube.admin,
        folder / "kubelet",
        programs={"python": [sys.executable]},
        environ=environ,
        real=kube.real,
    ) as kubelet:
        kubelet.add_node("plain")
        yield World(kube, api, kubelet, Trials(postgres_url, api.namespace), postgres_url, patience=patience)


def create_tiny_model(folder: Path) -> None:
    """Write a random encoder of one layer with the shipped tokeniser."""
    from transformers import AutoTokenizer

    from coref_k8s.corpus.shipped import shipped_tokenizer
    from coref_k8s.model.small import create_small_model

    tokenizer = AutoTokenizer.from_pretrained(shipped_tokenizer())
    create_small_model(folder, tokenizer, layers=1, hidden=32, heads=2, intermediate=64)


@pytest.fixture
def whole(
    kube: KubeCluster, api: AdminApi, crd_installed: None, postgres_url: str, tmp_path: Path
) -> Iterator[World]:
    """A world whose pods are processes, with a tiny model on the shared volume."""
    with processes_as_pods(kube, api, postgres_url, tmp_path, patience=500.0) as world:
        create_tiny_model(world.kubelet.claim(api.namespace, JobSettings().data_claim) / "models/tiny")
        yield world


def test_submit_to_results_through_eviction_restart_and_a_database_that_went_away(
    whole: World, tmp_path: Path, postgres_server: Server
) -> None:
    whole.kube.as_service_account(whole.api.namespace, "controller", rbac.rules("controller")).close()
    controllers = [Controller(whole, tmp_path, 1)]
    try:
        whole.submit(spec=STUDY)
        _evict_in_the_middle(whole, "korean-128-0-1")
        # the controller dies without a word, the database goes away, and both come back
        controllers[0].end(signal.SIGKILL)
        controllers.append(Controller(whole, tmp_path, 2))
        whole.until(
            lambda: any("leading" in line["message"] for line in _logged(controllers[1])), "a new leader"
        )
        postgres_server.stop()
        try:
            told = whole.until(
                lambda: (c := whole.condition("Degraded")).get("reason") == "DatabaseUnavailable" and c,
                "the study to say that the database is away",
            )
        finally:
            postgres_server.start()
        assert "secret-word" not in json.dumps(told)
        status = whole.until_phase("Succeeded")
        assert controllers[1].end(signal.SIGTERM) == 0
    finally:
        for controller in controllers:
            controller.close()
    assert status["trials"]["succeeded"] == 2
    assert whole.condition("Degraded")["status"] == "False"
    _nothing_was_lost(whole)
    assert any("given back" in line["message"] for line in _logged(controllers[1]))
    text = "".join(controller.log.read_text() for controller in controllers)
    assert "secret-word" not in text
    whole.trials.database.close()


def test_a_coreference_study_from_the_request_to_a_model_with_a_head(whole: World, tmp_path: Path) -> None:
    whole.kube.as_service_account(whole.api.namespace, "controller", rbac.rules("controller")).close()
    with Controller(whole, tmp_path, 1) as controller:
        whole.submit(spec=COREFERENCE)
        status = whole.until_phase("Succeeded")
        assert controller.end(signal.SIGTERM) == 0
    view = Database(whole.url).view(whole.api.namespace, "korean")
    (trial,) = view.trials
    assert (
        trial.value == pytest.approx(trial.metrics["conll_f1"]) == pytest.approx(status["best"][0]["score"])
    )
    assert {"lea_f1", "mention_f1", "gold_conll_f1", "equal_conll_f1"} < set(trial.metrics)
    assert trial.attrs["evidence"]["counts"]["mentions"] > 0
    volume = whole.kubelet.claim(whole.api.namespace, JobSettings().data_claim)
    model = volume / "studies/korean/128/0/model"
    assert {"coref.json", "coref_head.safetensors"} < {path.name for path in model.iterdir()}
    (pod,) = whole.pods("korean-128-0-1")
    lines = whole.api.logs(pod["metadata"]["name"])
    assert any('"conll_f1"' in line for line in lines)
    whole.trials.database.close()


def test_a_node_that_falls_silent_costs_at_most_four_minutes(whole: World, tmp_path: Path) -> None:
    """Nothing is deleted by hand: the real node controller notices, and a pod that wakes up there may write nothing."""
    if not whole.kube.real:
        pytest.skip("the fake has no node controller that notices a node's silence")
    whole.kube.as_service_account(whole.api.namespace, "controller", rbac.rules("controller")).close()
    kubelet, first, second = whole.kubelet, "korean-128-0-1", "korean-128-0-2"
    with Controller(whole, tmp_path, 1) as controller:
        whole.submit(spec={**STUDY, "trials": 1})
        old = whole.running(first)
        _until_it_logs(whole, first, "train_step")
        (frozen,) = kubelet.containers(whole.api.namespace, old["metadata"]["name"])
        os.killpg(frozen.pid, signal.SIGSTOP)
        kubelet.add_node("spare")
        kubelet.cut_off("plain")
        whole.until(
            lambda: "does not answer" in whole.status().get("message", ""),
            "the study to say what has happened",
        )
        said = time.monotonic() - kubelet.heartbeats["plain"]
        whole.running(second)
        took = time.monotonic() - kubelet.heartbeats["plain"]
        _until_it_logs(whole, second, "train_step")
        print(f"after the last heartbeat: told after {said:.0f} s, the next attempt runs after {took:.0f} s")
        assert took < 240
        # the machine was only frozen: its process finds that another has begun its work
        os.killpg(frozen.pid, signal.SIGCONT)
        frozen.wait()
        assert frozen.terminated()["exitCode"] == 143
        assert say("store.superseded") in kubelet.log_path(old, frozen.name).read_text()
        status = whole.until_phase("Succeeded")
        assert controller.end(signal.SIGTERM) == 0
    assert (status["trials"]["succeeded"], status["trials"]["failed"]) == (1, 0)
    view = Database(whole.url).view(whole.api.namespace, "korean")
    assert [(a.attempt, a.outcome, a.retries) for a in view.attempts if a.trial == 0] == [
        (1, Outcome.DISRUPTED, 0),
        (2, Outcome.SUCCEEDED, 0),
    ]
    whole.trials.database.close()


def _until_it_logs(world: World, job: str, section: str) -> None:
    pod = world.running(job)["metadata"]["name"]

    def logged() -> bool:
        with suppress(ApiRefusal):
            return any(f'"{section}"' in line for line in world.api.logs(pod))
        return False

    world.until(logged, f"{job} to log {section}")


def _evict_in_the_middle(world: World, job: str) -> None:
    pod = world.running(job)["metadata"]["name"]

    def noted() -> bool:
        annotations = world.api.get(JOBS, job)["metadata"].get("annotations") or {}
        return pod in annotations.get(names.DISRUPTED_ANNOTATION, "").split(",")

    _until_it_logs(world, job, "train_step")
    world.api.evict(pod)
    # what no controller has seen nobody can count: the pod is deleted when it has ended
    world.until(noted, f"the eviction of {pod} to be noted")


def _nothing_was_lost(world: World) -> None:
    namespace = world.api.namespace
    view = Database(world.url).view(namespace, "korean")
    assert [(t.number, t.state.value) for t in view.trials] == [(0, "complete"), (1, "complete")]
    assert all("coref_f1" in t.metrics for t in view.trials)
    first = next(a for a in view.attempts if a.trial == 0)
    assert (first.outcome, first.attempt, first.retries) == (Outcome.SUCCEEDED, 1, 0)
    assert first.disruptions >= 1
    volume = world.kubelet.claim(namespace, JobSettings().data_claim)
    for number in (0, 1):
        losses = json.loads((volume / f"studies/korean/128/{number}/losses.json").read_text())
        assert len(losses) == STEPS
    # both pods of the evicted trial have left their logs, with the founding document's lines in them
    found = [line for pod in world.pods("korean-128-0-1") for line in world.api.logs(pod["metadata"]["name"])]
    assert any('"eval_stream"' in line and '"coref_top5"' in line for line in found)


def _logged(controller: Controller) -> list[dict[str, Any]]:
    return [line for line in controller.lines() if "message" in line and "logger" in line]


def test_a_controller_needs_postgres_and_says_so(
    coref: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("COREF_STORAGE_URL", "COREF_STORAGE_URL_FILE"):
        monkeypatch.delenv(name, raising=False)
    began = time.monotonic()
    answer = coref("controller")
    assert answer.code == 2
    assert "needs Postgres" in answer.err
    assert time.monotonic() - began < 60  # it does not wait for one
