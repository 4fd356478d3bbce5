"""Fixtures of the cluster's tests: the runner on the fake cluster, or on the one that KUBECONFIG names."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coref_k8s.cluster.cache import JobCache
from coref_k8s.cluster.runner import ClusterRunner
from coref_k8s.cluster.settings import JobSettings
from tests.cluster.simulation import Trials
from tests.cluster.world import JOBS_HERE, World, install_crd
from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster
from tests.kube.fixtures import api, fake_only, kube, kubelet, namespace
from tests.kube.kubelet import Kubelet
from tests.kube.objects import SECRETS
from tests.objectstore import link, object_server
from tests.postgres import new_database, postgres_server, postgres_url
from tests.runner_contract import Harness

__all__ = [
    "api", "fake_only", "kube", "kubelet", "link", "namespace", "new_database", "object_server", "postgres_server",
    "postgres_url",
]  # fmt: skip

PROGRAM = Path(__file__).parents[1] / "runner_program.py"


def storage_secret(api: AdminApi, settings: JobSettings, url: str) -> None:
    """Create the Secret with the database URL."""
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": settings.storage_secret.name},
        "data": {settings.storage_secret.key: base64.b64encode(url.encode()).decode()},
    }
    api.create(SECRETS, body)


@pytest.fixture
def job_settings() -> JobSettings:
    """Jobs that run the runner contract's program."""
    return JobSettings(command=("python", str(PROGRAM)), grace_seconds=2, run_as_user=None)


@pytest.fixture
def make_runner(api: AdminApi, job_settings: JobSettings) -> Iterator[Callable[[], ClusterRunner]]:
    """Return a function that makes a runner with a cache of its own, as a restarted controller has."""
    caches: list[JobCache] = []

    def make() -> ClusterRunner:
        cache = JobCache(api).open(20)
        caches.append(cache)
        return ClusterRunner(api, cache, job_settings)

    yield make
    for cache in caches:
        cache.close()


@pytest.fixture
def harness(
    kube: KubeCluster,
    api: AdminApi,
    kubelet: Kubelet,
    job_settings: JobSettings,
    make_runner: Callable[[], ClusterRunner],
) -> Harness:
    """Return the cluster's runner under test."""
    storage_secret(api, job_settings, "sqlite://")
    return Harness(
        runner=make_runner(),
        again=make_runner,
        data_dir=kubelet.claim(api.namespace, job_settings.data_claim),
        # a real Job controller waits 10, 20, 40 s before it starts a pod again
        patience=150.0 if kube.real else 120.0,
    )


@pytest.fixture(scope="session")
def crd_installed(kube: KubeCluster) -> None:
    """The CorefStudy definition is served."""
    install_crd(kube.admin)


@pytest.fixture
def world(
    kube: KubeCluster,
    api: AdminApi,
    crd_installed: None,
    postgres_url: str,
    tmp_path: Path,
) -> Iterator[World]:
    """A namespace with a database and a kubelet whose pods only pretend to run."""
    if kube.has_kubelets():
        pytest.skip("this cluster has kubelets of its own: its pods cannot pretend")
    storage_secret(api, JOBS_HERE, postgres_url)
    trials = Trials(postgres_url, api.namespace)
    with Kubelet(kube.admin, tmp_path / "kubelet", simulate=trials, real=kube.real) as kubelet:
        kubelet.add_node("plain")
        made = World(kube, api, kubelet, trials, postgres_url, patience=120.0)
        yield made
        for controller in made.controllers:
            controller.stop()
            controller.api.close()
    trials.database.close()
