"""Fixtures for every test that needs a cluster; a conftest.py imports the ones it wants."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster, open_cluster
from tests.kube.kubelet import Kubelet


@pytest.fixture(scope="session")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeCluster]:
    """The fake API server, or the real one that KUBECONFIG names."""
    cluster = open_cluster(tmp_path_factory.mktemp("kube"))
    yield cluster
    cluster.admin.close()
    if cluster.fake:
        cluster.fake.close()


@pytest.fixture
def namespace(kube: KubeCluster) -> Iterator[str]:
    """A namespace of the test's own, removed afterwards."""
    name = kube.make_namespace()
    yield name
    if kube.fake:
        kube.fake.faults.clear()  # what a test ordered must not meet its own cleaning up
    kube.remove_namespace(name)


@pytest.fixture
def api(kube: KubeCluster, namespace: str) -> Iterator[AdminApi]:
    """An admin's connection with the test's namespace as its default."""
    connection = kube.connect(namespace=namespace, field_manager="test")
    yield connection
    connection.close()


@pytest.fixture
def fake_only(kube: KubeCluster) -> KubeCluster:
    """For what only a fake can do on demand: faults, compaction."""
    if kube.real:
        pytest.skip("faults and compaction cannot be ordered from a real API server")
    return kube


@pytest.fixture
def kubelet(kube: KubeCluster, tmp_path: Path) -> Iterator[Kubelet]:
    """A stand-in kubelet with one ordinary node and one with two GPUs of 40 GB."""
    if kube.has_kubelets():
        pytest.skip("this cluster has kubelets of its own")
    with Kubelet(
        kube.admin, tmp_path / "kubelet", programs={"python": [sys.executable]}, real=kube.real
    ) as kubelet:
        kubelet.add_node("plain")
        labels = {"nvidia.com/gpu.memory": "40960"}
        taints = [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]
        kubelet.add_node("gpu", gpus=2, labels=labels, taints=taints)
        yield kubelet
