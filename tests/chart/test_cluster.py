"""Install, upgrade, roll back and uninstall through Helm on the API server that KUBECONFIG names."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from typing import Any

import helm_python
import pytest

from coref_k8s.cluster import names
from coref_k8s.cluster.errors import NotFound
from coref_k8s.cluster.resources import CRDS, PODS, VOLUME_CLAIMS
from tests.chart.rendering import CHART, RELEASE
from tests.cluster.world import install_crd
from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster, wait_for
from tests.kube.objects import CONFIG_MAPS, DEPLOYMENTS, NAMESPACES, SECRETS

pytestmark = pytest.mark.cluster


@pytest.fixture
def helm(kube: KubeCluster, api: AdminApi) -> Iterator[helm_python.Config]:
    """Helm in the test's namespace, which enforces the restricted Pod Security Standard."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("Helm needs the OpenAPI of a real API server; set KUBECONFIG")
    enforced = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    api.patch(NAMESPACES, api.namespace, enforced)
    # a definition that is already there has to belong to the release, as docs/install.md says
    install_crd(kube.admin)
    owner = {"meta.helm.sh/release-name": RELEASE, "meta.helm.sh/release-namespace": api.namespace}
    owned = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": owner}}
    api.patch(CRDS, names.CRD_NAME, owned)
    with helm_python.Config(kubeconfig_path=kube.kubeconfig, namespace=api.namespace) as config:
        yield config


def password(api: AdminApi) -> str:
    return base64.b64decode(api.get(SECRETS, f"{RELEASE}-postgres")["data"]["password"]).decode()


def components(api: AdminApi) -> set[str]:
    """Components of the release that have a pod, running or not."""
    return {pod["metadata"]["labels"][names.COMPONENT_LABEL] for pod in api.list(PODS)[0]}


def controller(api: AdminApi) -> dict[str, Any]:
    return api.get(DEPLOYMENTS, f"{RELEASE}-controller")


def test_whole_life_of_a_release(helm: helm_python.Config, api: AdminApi) -> None:
    assert helm.install(str(CHART), RELEASE)["status"] == "deployed"
    first = password(api)
    assert len(first) == 32
    assert controller(api)["spec"]["replicas"] == 1
    # in this namespace the server makes only pods that meet the restricted standard
    wait_for(lambda: {"controller", "postgres"} <= components(api), "pods of the controller and the database")

    # two controllers with a database each would both run the studies of this namespace
    with pytest.raises(helm_python.HelmError, match=f"release {RELEASE} already runs the studies"):
        helm.install(str(CHART), "second", {"crds": {"install": False}})

    # immutable fields would be refused here; the database already knows the first password
    values = {
        "controller": {"replicas": 2},
        "monitoring": {"bundled": True},
        "trial": {"image": {"tag": "2"}, "maxParallelism": 3},
    }
    assert helm.upgrade(str(CHART), RELEASE, values)["revision"] == 2
    assert password(api) == first
    assert controller(api)["spec"]["replicas"] == 2
    settings = api.get(CONFIG_MAPS, f"{RELEASE}-controller")["data"]["cluster.yaml"]
    assert "coref-k8s/trial:2" in settings
    assert "maxParallelism: 3" in settings
    grafana = api.get(SECRETS, f"{RELEASE}-grafana")["data"]["admin-password"]
    wait_for(lambda: {"prometheus", "grafana"} <= components(api), "pods of the bundled monitoring")
    assert helm.upgrade(str(CHART), RELEASE, values)["revision"] == 3
    assert api.get(SECRETS, f"{RELEASE}-grafana")["data"]["admin-password"] == grafana

    helm.rollback(RELEASE, version=1)
    assert controller(api)["spec"]["replicas"] == 1
    assert password(api) == first
    with pytest.raises(NotFound):
        api.get(DEPLOYMENTS, f"{RELEASE}-grafana")
    assert [entry["revision"] for entry in helm.history(RELEASE)] == [1, 2, 3, 4]

    # what NOTES.txt says stays, stays
    helm.uninstall(RELEASE)
    with pytest.raises(NotFound):
        controller(api)
    assert password(api) == first
    assert api.get(VOLUME_CLAIMS, f"{RELEASE}-data")
    assert api.get(CRDS, names.CRD_NAME)

    # and is taken over by the next release of that name
    assert helm.install(str(CHART), RELEASE)["status"] == "deployed"
    assert password(api) == first
    helm.uninstall(RELEASE)


def test_every_object_is_admitted_by_the_server(helm: helm_python.Config) -> None:
    everything = {
        "controller": {"replicas": 2},
        "rbac": {"aggregate": True},
        "networkPolicy": {"trialEgress": [{"ports": [{"port": 443}]}], "controllerEgress": []},
        "commonLabels": {"team": "nlp"},
        "commonAnnotations": {"contact": "nlp@example.com"},
        "monitoring": {
            "bundled": True,
            "podMonitor": {"enabled": "false"},
            "prometheusRule": {"enabled": "false"},
        },
        "optunaDashboard": {"enabled": True},
        "network": {"caConfigMap": "company-ca"},
    }
    assert helm.install(str(CHART), RELEASE, everything, dry_run="server")["status"] == "pending-install"
