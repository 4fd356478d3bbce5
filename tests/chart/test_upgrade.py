"""What an upgrade must not change: Kubernetes refuses it, or data would be left behind under another name.

The golden file is of chart 0.1.0. A change here needs a new major version and a written way from old to new.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from tests.chart.rendering import objects

GOLDEN = Path(__file__).parent / "golden" / "unchangeable.yaml"
EVERYTHING = {
    "monitoring": {"bundled": True},
    "optunaDashboard": {"enabled": True},
    "controller": {"replicas": 2},
}
KEPT = ("Deployment", "StatefulSet", "Service", "PersistentVolumeClaim", "Secret", "RoleBinding", "ConfigMap")


def unchangeable(**options: Any) -> dict[str, Any]:
    found = {}
    for item in objects(EVERYTHING, **options):
        if item["kind"] not in KEPT or "helm.sh/hook" in item["metadata"].get("annotations", {}):
            continue
        spec = item.get("spec", {})
        parts: dict[str, Any] = {}
        if item["kind"] in ("Deployment", "StatefulSet", "Service"):
            parts["selector"] = spec["selector"]
        for key in ("serviceName", "volumeClaimTemplates", "clusterIP", "accessModes", "podManagementPolicy"):
            if key in spec:
                parts[key] = spec[key]
        if item["kind"] == "Secret":
            parts["keys"] = sorted({**item.get("stringData", {}), **item.get("data", {})})
        if item["kind"] == "RoleBinding":
            parts["roleRef"] = item["roleRef"]
        found[f"{item['kind']}/{item['metadata']['name']}"] = parts
    return dict(sorted(found.items()))


def test_names_selectors_and_claims_are_those_of_the_first_chart() -> None:
    found = unchangeable()
    if os.environ.get("COREF_UPDATE_GOLDEN"):
        GOLDEN.write_text(yaml.safe_dump(found, sort_keys=False), encoding="utf-8")
    first = yaml.safe_load(GOLDEN.read_text(encoding="utf-8"))
    # later charts may add objects
    assert {name: found.get(name) for name in first} == first


def test_an_upgrade_renders_what_an_installation_does() -> None:
    assert unchangeable(is_install=False, is_upgrade=True, revision=2) == unchangeable(
        is_install=True, revision=1
    )


def test_version_is_in_no_selector_and_no_claim() -> None:
    for name, parts in unchangeable().items():
        assert "version" not in str(parts.get("selector", "")) + str(parts.get("volumeClaimTemplates", "")), (
            name
        )


def test_a_new_chart_does_not_restart_the_database() -> None:
    for item in objects(EVERYTHING):
        if item["kind"] in ("Deployment", "StatefulSet"):
            labels = item["spec"]["template"]["metadata"]["labels"]
            assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(labels), item["metadata"]["name"]


def test_values_that_came_after_the_first_chart_may_be_missing() -> None:
    """`helm upgrade --reuse-values` hands a new chart the old one's values, and nothing for what is new in it."""
    placed = dict.fromkeys(("nodeSelector", "tolerations", "priorityClassName"))
    missing: dict[str, Any] = {
        "rbac": None,
        "trial": {"maxParallelism": None},
        "networkPolicy": {"trialEgress": None, "controllerEgress": None},
        "postgres": {"affinity": None, "podLabels": None, "podAnnotations": None},
        "monitoring": {
            "bundled": True,
            "dashboards": {"annotations": None},
            "prometheus": {"storageClassName": None, **placed},
            "grafana": placed,
        },
        "optunaDashboard": {"enabled": True, **placed},
        "controller": {"replicas": 2},
    }
    # null takes a key away; what then may be open or not must be what the default says
    assert objects_but_secrets(missing) == objects_but_secrets(EVERYTHING)


def objects_but_secrets(values: dict[str, Any]) -> list[Any]:
    return [item for item in objects(values) if item["kind"] != "Secret"]
