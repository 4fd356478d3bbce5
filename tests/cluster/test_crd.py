"""The generated definition: it says what `StudySpec` says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from coref_k8s.cluster.admit import wanted
from coref_k8s.cluster.crd import IMMUTABLE, MUTABLE, crd, render
from coref_k8s.cluster.resources import STUDIES
from coref_k8s.study.spec import StudySpec
from tests.cluster.world import foreign_owner
from tests.kube.api import AdminApi


def schema() -> dict[str, Any]:
    return crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("properties", {}).values():
        yield from nodes(child)
    for key in ("items", "additionalProperties"):
        if key in node:
            yield from nodes(node[key])


def test_every_field_is_typed_and_described() -> None:
    for name, field in schema()["spec"]["properties"].items():
        assert field.get("description"), name
    for node in nodes(schema()["spec"]):
        assert "type" in node or node.get("x-kubernetes-preserve-unknown-fields"), node
        assert not {"$ref", "anyOf", "allOf", "title", "flag"} & node.keys(), node


def test_fields_either_may_change_or_may_not() -> None:
    assert {*IMMUTABLE, *MUTABLE} == set(schema()["spec"]["properties"])
    assert not set(IMMUTABLE) & set(MUTABLE)


def test_statuses_are_not_defaulted() -> None:
    assert not any("default" in node for node in nodes(schema()["status"]))


def test_what_is_printed_is_the_definition() -> None:
    assert yaml.safe_load(render()) == crd()
    assert "&id" not in render()


@pytest.mark.cluster
def test_an_empty_request_is_the_default_study(api: AdminApi, crd_installed: None) -> None:
    made = api.create(
        STUDIES,
        {"apiVersion": STUDIES.api_version, "kind": STUDIES.kind, "metadata": {"name": "a"}, "spec": {}},
    )
    assert wanted(made) == StudySpec()
    # every default is written down, so that a study keeps its meaning when defaults change; those of its task by who sends it
    assert made["spec"]["data"]["trainLimit"] == 50_000
    assert "sources" not in made["spec"]["data"]


@pytest.mark.cluster
def test_none_means_all(api: AdminApi, crd_installed: None) -> None:
    made = api.create(
        STUDIES,
        {
            "apiVersion": STUDIES.api_version,
            "kind": STUDIES.kind,
            "metadata": {"name": "a"},
            "spec": {"data": {"trainLimit": None}},
        },
    )
    assert wanted(made).data.train_limit is None


def test_the_definition_of_an_installation_is_not_the_tests_to_replace() -> None:
    def definition(**owner: str) -> dict[str, Any]:
        return {"metadata": {"annotations": {f"meta.helm.sh/release-{key}": v for key, v in owner.items()}}}

    told = foreign_owner(definition(name="coref", namespace="research"))
    assert told == "release coref in namespace research"
    assert foreign_owner(definition(name="coref", namespace="test-1a2b")) == ""
    assert foreign_owner({"metadata": {}}) == ""
