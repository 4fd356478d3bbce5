"""A release on the cluster of KUBECONFIG, with pods that really run; what the cluster lacks is named and skipped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from coref_k8s.cluster import names
from coref_k8s.cluster.errors import NotFound
from coref_k8s.cluster.resources import CRDS
from coref_k8s.errors import ClusterError
from tests.chart.rendering import CHART
from tests.cluster.world import foreign_owner
from tests.kube.cluster import KubeCluster, wait_for
from tests.kube.objects import NAMESPACES, STORAGE_CLASSES
from tests.real.release import RELEASE, LacksError, Release

#: The chart, a folder, where it is not the one beside these tests.
CHART_HERE = Path(os.environ.get("COREF_REAL_CHART") or CHART)
#: A file with the values of this cluster: images, classes of volumes, pull secrets.
VALUES_HERE = os.environ.get("COREF_REAL_VALUES")


@pytest.fixture(scope="session")
def cluster() -> Iterator[KubeCluster]:
    """The cluster of KUBECONFIG, if it runs pods and no release of somebody else's is on it."""
    if not (named := os.environ.get("KUBECONFIG")):
        pytest.skip("KUBECONFIG names no cluster")
    kube = KubeCluster(Path(named), None)
    if not kube.has_kubelets():
        pytest.skip("the cluster has no nodes with a kubelet")
    with suppress(NotFound):
        if whose := foreign_owner(kube.admin.get(CRDS, names.CRD_NAME)):
            pytest.skip(
                f"the cluster has a CorefStudy definition of {whose}, whose studies these tests would disturb"
            )
    yield kube
    kube.admin.close()


@pytest.fixture(scope="session")
def release(cluster: KubeCluster) -> Iterator[Release]:
    """A release, installed and ready, in a namespace that enforces the restricted Pod Security Standard."""
    values: dict[str, Any] = {}
    if VALUES_HERE:
        values = yaml.safe_load(Path(VALUES_HERE).read_text(encoding="utf-8"))
    before = _definition(cluster)
    namespace = cluster.make_namespace("test-real")
    enforced = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    cluster.admin.patch(NAMESPACES, namespace, enforced)
    api = cluster.connect(namespace=namespace, field_manager="test")
    try:
        with helm_python.Config(kubeconfig_path=cluster.kubeconfig, namespace=namespace) as helm:
            _check_classes(cluster, values)
            if before is not None:
                owner = {"meta.helm.sh/release-name": RELEASE, "meta.helm.sh/release-namespace": namespace}
                owned = {"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": owner}
                cluster.admin.patch(CRDS, names.CRD_NAME, {"metadata": owned})
            helm.install(str(CHART_HERE), RELEASE, values)
            made = Release(api, helm, CHART_HERE, values)
            if made.has_database():
                made.ready("postgres")
            made.ready("controller")
            yield made
    except LacksError as lacking:
        pytest.skip(f"the cluster lacks {lacking}")
    finally:
        cluster.remove_namespace(namespace)
        api.close()
        wait_for(lambda: not _exists(cluster, namespace), f"namespace {namespace} to go", 300)
        if before is None:
            with suppress(ClusterError):
                cluster.admin.delete(CRDS, names.CRD_NAME)


def _definition(cluster: KubeCluster) -> dict[str, Any] | None:
    try:
        return cluster.admin.get(CRDS, names.CRD_NAME)
    except NotFound:
        return None


def _exists(cluster: KubeCluster, namespace: str) -> bool:
    try:
        cluster.admin.get(NAMESPACES, namespace)
    except NotFound:
        return False
    return True


def _check_classes(cluster: KubeCluster, values: dict[str, Any]) -> None:
    """Raise LacksError where nobody would make the volumes."""
    storage = values.get("storage") or {}
    if storage.get("existingClaim") or storage.get("storageClassName"):
        return
    mark = "storageclass.kubernetes.io/is-default-class"
    found, _ = cluster.admin.list(STORAGE_CLASSES)
    if not any((one["metadata"].get("annotations") or {}).get(mark) == "true" for one in found):
        raise LacksError("a default storage class; COREF_REAL_VALUES may name one (storage.storageClassName)")
