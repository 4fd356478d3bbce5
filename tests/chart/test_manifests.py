"""The plain manifests and the examples: valid, without a password, the same as what the chart installs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from coref_k8s.cluster.resources import STUDIES
from coref_k8s.study.reading import spec_from_mapping
from coref_k8s.study.spec import StudySpec
from tests.chart.rendering import CHART, ROOT, objects, pod_specs
from tests.cluster.world import install_crd
from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster

INSTALL = ROOT / "manifests" / "install"
EXAMPLES = ROOT / "manifests" / "examples"


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.load_all(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))


def installed() -> list[dict[str, Any]]:
    listed = yaml.safe_load((INSTALL / "kustomization.yaml").read_text())["resources"]
    assert {path.name for path in INSTALL.iterdir()} == {*listed, "kustomization.yaml"}
    return [found for name in listed for found in documents(INSTALL / name)]


STUDY_FILES = sorted(
    path for path in EXAMPLES.glob("*.yaml") if any(d.get("kind") == "CorefStudy" for d in documents(path))
)


def test_holds_what_the_chart_installs_except_the_password() -> None:
    ours = {(o["kind"], o["metadata"]["name"]) for o in installed()}
    chart = objects({"postgres": {"existingSecret": "coref-postgres"}})
    lasting = [o for o in chart if "helm.sh/hook" not in o["metadata"].get("annotations", {})]
    assert ours == {(o["kind"], o["metadata"]["name"]) for o in lasting} | {("Namespace", "coref-k8s")}
    assert not [kind for kind, _ in ours if kind == "Secret"]


def test_is_valid_and_belongs_to_its_namespace() -> None:
    for found in installed():
        kubernetes_validate.validate(found, "1.37", strict=True)
        if found["kind"] not in ("Namespace", "CustomResourceDefinition"):
            assert found["metadata"]["namespace"] == "coref-k8s"
        assert (
            "helm" not in found["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by", "").lower()
        )


def test_reads_the_database_secret_that_the_first_lines_make() -> None:
    secrets = {
        volume["secret"]["secretName"]
        for pod in pod_specs(installed()).values()
        for volume in pod["volumes"]
        if "secret" in volume
    }
    assert secrets == {"coref-postgres"}
    assert "create secret generic coref-postgres" in (INSTALL / "kustomization.yaml").read_text()


@pytest.mark.parametrize("path", [*STUDY_FILES, CHART / "files" / "smoke.yaml"], ids=lambda path: path.stem)
def test_example_study_is_a_request_and_a_resource(path: Path, kube: KubeCluster, api: AdminApi) -> None:
    install_crd(kube.admin)
    (study,) = [d for d in documents(path) if d.get("kind") in ("CorefStudy", None)]
    spec = study.get("spec", study) or {}
    spec_from_mapping(spec, where=path.name)
    body = {
        "apiVersion": "corefk8s.dev/v1alpha1",
        "kind": "CorefStudy",
        "metadata": {"name": study.get("metadata", {}).get("name", path.stem)},
        "spec": spec,
    }
    assert api.create(STUDIES, body)["metadata"]["uid"]


def test_examples_are_all_there() -> None:
    assert [path.stem for path in STUDY_FILES] == [
        "coreference",
        "cpu-smoke",
        "dra",
        "full",
        "minimal",
        "spot-kueue",
    ]


def test_claims_of_the_example_are_in_the_strict_schema() -> None:
    found = documents(EXAMPLES / "dra.yaml")
    templates = {one["metadata"]["name"] for one in found if one["kind"] == "ResourceClaimTemplate"}
    for one in found:
        if one["kind"] == "ResourceClaimTemplate":
            kubernetes_validate.validate(one, "1.34", strict=True)
    (study,) = [one for one in found if one["kind"] == "CorefStudy"]
    assert set(study["spec"]["pod"]["resourceClaims"].values()) == templates


def test_full_study_has_every_default() -> None:
    (study,) = documents(EXAMPLES / "full.yaml")
    assert spec_from_mapping(study["spec"]) == StudySpec()


def test_a_claim_of_ones_own_takes_the_place_of_the_chart_s() -> None:
    (claim,) = documents(EXAMPLES / "data-claim.yaml")
    kubernetes_validate.validate(claim, "1.37", strict=True)
    name = claim["metadata"]["name"]
    assert f"--set storage.existingClaim={name} " in (ROOT / "docs" / "install.md").read_text("utf-8")
    found = objects({"storage": {"existingClaim": name}})
    # nothing is left that `helm install --wait` would wait for without a pod that mounts it
    assert not [o for o in found if o["kind"] == "PersistentVolumeClaim"]
    settings = next(
        o for o in found if o["metadata"]["name"] == "coref-controller" and o["kind"] == "ConfigMap"
    )
    assert f"dataClaim: {name}" in settings["data"]["cluster.yaml"]


def test_external_database_values_install() -> None:
    (values,) = documents(EXAMPLES / "external-database.yaml")
    found = objects(values)
    assert not [o for o in found if o["kind"] in ("StatefulSet", "Secret")]
    controller = pod_specs(found)["Deployment/coref-controller"]
    assert "coref-database" in str(controller["volumes"])
    mounts = {m["mountPath"] for m in controller["containers"][0]["volumeMounts"]}
    assert "/run/coref/ca" in mounts
