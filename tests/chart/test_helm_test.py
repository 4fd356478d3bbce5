"""`helm test` as the chart ships it: settings, roles and pods of the release, the controller and the trial really run.

On a real API server Helm installs and tests the release; on the fake one its objects are created as they are rendered, and
the Deployment's pod by hand. Containers are processes of this machine, the database is this machine's Postgres.
"""

from __future__ import annotations

import base64
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from coref_k8s.cluster import names
from coref_k8s.cluster.resources import CRDS, PODS, STUDIES, Resource
from tests.chart.rendering import CHART, RELEASE, ROOT
from tests.cluster.world import install_crd
from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster, wait_for
from tests.kube.kubelet import Kubelet
from tests.kube.objects import CONFIG_MAPS, ROLE_BINDINGS, ROLES, SECRETS, SERVICE_ACCOUNTS

pytestmark = pytest.mark.cluster

#: What of the release the controller, the test and their pods need.
NEEDED: dict[str, Resource] = {r.kind: r for r in (SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS, CONFIG_MAPS)}
VALUES = {
    "postgres": {"enabled": False, "external": {"urlSecret": "database"}},
    "test": {"timeoutSeconds": 240},
}


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """The chart, with what a machine without containers needs otherwise: a free port, and a model on the volume."""
    copy = Path(shutil.copytree(CHART, tmp_path / "chart"))
    for file, ours, here in (
        ("templates/controller/config.yaml", "port: 8080", "port: 0"),
        ("files/smoke.yaml", "/opt/coref/models/small", "models/tiny"),
    ):
        text = (copy / file).read_text(encoding="utf-8")
        assert ours in text
        (copy / file).write_text(text.replace(ours, here), encoding="utf-8")
    return copy


@pytest.fixture
def kubelet(kube: KubeCluster, api: AdminApi, postgres_url: str, tmp_path: Path) -> Iterator[Kubelet]:
    """Nodes that run the images' programs; pods reach the API server with their own service account."""
    from transformers import AutoTokenizer

    from coref_k8s.corpus.shipped import shipped_tokenizer
    from coref_k8s.model.small import create_small_model

    if kube.has_kubelets():
        pytest.skip("a cluster with kubelets runs `helm test` itself")

    def credentials(pod: dict[str, Any]) -> dict[str, str]:
        if not pod["spec"].get("automountServiceAccountToken"):
            return {}
        namespace, account = pod["metadata"]["namespace"], pod["spec"]["serviceAccountName"]
        file = tmp_path / f"kubeconfig-{account}"
        file.write_text(json.dumps(kube.kubeconfig_of(namespace, account)))
        return {"KUBECONFIG": str(file), "COREF_NAMESPACE": namespace}

    install_crd(kube.admin)
    data = {"url": base64.b64encode(postgres_url.encode()).decode()}
    api.create(
        SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "database"}, "data": data}
    )
    python = [sys.executable]
    programs = {
        "python": python,
        "/opt/coref/bin/python": python,
        "coref-k8s/controller:0.2.0": [*python, "-m", "coref_k8s"],
    }
    environ = {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    with Kubelet(
        kube.admin,
        tmp_path / "kubelet",
        programs=programs,
        environ=environ,
        credentials=credentials,
        real=kube.real,
    ) as kubelet:
        kubelet.add_node("plain")
        volume = kubelet.claim(api.namespace, f"{RELEASE}-data")
        tokenizer = AutoTokenizer.from_pretrained(shipped_tokenizer())
        create_small_model(volume / "models/tiny", tokenizer, layers=1, hidden=32, heads=2, intermediate=64)
        yield kubelet


def test_a_release_passes_its_test(kube: KubeCluster, api: AdminApi, kubelet: Kubelet, chart: Path) -> None:
    told = _through_helm(kube, api, chart) if kube.real else _by_hand(api, chart)
    assert "Succeeded 1/1" in told
    assert "best: " in told
    assert not api.list(STUDIES)[0]


def _by_hand(api: AdminApi, chart: Path) -> str:
    rendered = helm_python.Chart.load(chart).render(VALUES, name=RELEASE, namespace=api.namespace)
    texts = [text for path, text in rendered.items() if path.endswith(".yaml")]
    pods = []
    for found in (found for text in texts for found in yaml.safe_load_all(text) if found):
        if found["kind"] == "Deployment":
            template = found["spec"]["template"]
            metadata = {**template["metadata"], "name": "controller"}
            pods.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
        elif found["kind"] == "Pod":
            pods.append(found)
        elif found["kind"] in NEEDED:
            api.create(NEEDED[found["kind"]], found)
    # a pod is admitted once its service account is there
    for pod in pods:
        api.create(PODS, pod)

    def ended() -> bool:
        return str(api.get(PODS, f"{RELEASE}-test")["status"].get("phase")) in ("Succeeded", "Failed")

    wait_for(ended, "the test's pod to end", 240)
    return "\n".join(api.logs(f"{RELEASE}-test"))


def _through_helm(kube: KubeCluster, api: AdminApi, chart: Path) -> str:
    owner = {"meta.helm.sh/release-name": RELEASE, "meta.helm.sh/release-namespace": api.namespace}
    owned = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": owner}}
    api.patch(CRDS, names.CRD_NAME, owned)
    with helm_python.Config(kubeconfig_path=kube.kubeconfig, namespace=api.namespace) as config:
        config.install(str(chart), RELEASE, VALUES)
        try:
            return str(config.test(RELEASE, timeout=280, logs=True)["logs"])
        finally:
            config.uninstall(RELEASE)
