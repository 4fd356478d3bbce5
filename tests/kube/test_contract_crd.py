"""Custom resources: what a CRD's schema and rules make of an object. Runs on both."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coref_k8s.cluster import errors
from coref_k8s.cluster.admit import lost_fields
from coref_k8s.cluster.resources import CRDS, Resource
from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster, wait_for

Json = dict[str, Any]
pytestmark = pytest.mark.cluster

SPEC_SCHEMA: Json = {
    "type": "object",
    "required": ["model"],
    "properties": {
        "model": {"type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[a-z/-]+$"},
        "trials": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 1000, "default": 20},
        "mode": {"type": "string", "enum": ["stop", "drain"], "default": "stop"},
        "lengths": {
            "type": "array",
            "x-kubernetes-list-type": "set",
            "items": {"type": "integer"},
            "maxItems": 7,
            "minItems": 1,
        },
        "weights": {
            "type": "object",
            "additionalProperties": {"type": "number", "minimum": 0},
            "maxProperties": 3,
        },
        "limits": {"type": "object", "properties": {"failed": {"type": "integer", "default": 3}}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
    "x-kubernetes-validations": [
        {"rule": "self.model == oldSelf.model", "message": "model cannot change after the start"},
        {
            "rule": "!has(self.lengths) || self.lengths.all(l, l % 256 == 0)",
            "message": "lengths are multiples of 256",
        },
    ],
}
STATUS_SCHEMA: Json = {
    "type": "object",
    "properties": {
        "phase": {"type": "string"},
        "running": {"type": "integer"},
        "conditions": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {
                "type": "object",
                "required": ["type", "status"],
                "properties": {
                    "type": {"type": "string"},
                    "status": {"type": "string"},
                    "reason": {"type": "string"},
                },
            },
        },
    },
}


def definition(group: str) -> Json:
    schema = {
        "type": "object",
        "required": ["spec"],
        "properties": {"spec": SPEC_SCHEMA, "status": STATUS_SCHEMA},
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [version],
        },
    }


@pytest.fixture(scope="module")
def things(kube: KubeCluster) -> Iterator[Resource]:
    """A custom resource of the module's own, served."""
    group = f"t{uuid.uuid4().hex[:8]}.example.com"
    kube.admin.create(CRDS, definition(group))

    def established() -> bool:
        conditions = kube.admin.get(CRDS, f"things.{group}").get("status", {}).get("conditions") or []
        return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

    wait_for(established, "the CRD")
    resource = Resource(group, "v1", "things", "Thing")

    def served() -> bool:
        try:
            kube.admin.list(resource, "default")
        except errors.NotFound:
            return False
        return True

    wait_for(served, "its path")
    yield resource
    kube.admin.delete(CRDS, f"things.{group}")


@pytest.fixture
def redefine(kube: KubeCluster, things: Resource) -> Iterator[Callable[[Json | None], None]]:
    """Give the definition a field `later` of a schema, or take it away, and wait until that is served."""
    described = 0

    def change(later: Json | None) -> None:
        nonlocal described
        body = copy.deepcopy(definition(things.group))
        schema = body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        spec = schema["properties"]["spec"]["properties"]
        described += 1  # a probe knows the definition by its default
        spec["mode"] = {"type": "string", "default": f"m{described}"}
        spec |= {} if later is None else {"later": later}
        live = kube.admin.get(CRDS, f"things.{things.group}")["metadata"]["resourceVersion"]
        body["metadata"]["resourceVersion"] = live
        kube.admin.replace(CRDS, body)
        probe = {**thing(things), "metadata": {"name": "probe"}}

        def served() -> bool:
            made = kube.admin.create(things, probe, "default", dry_run=True)
            return bool(made["spec"]["mode"] == f"m{described}")

        wait_for(served, "the changed definition")

    yield change
    live = kube.admin.get(CRDS, f"things.{things.group}")["metadata"]["resourceVersion"]
    body = definition(things.group)
    kube.admin.replace(CRDS, {**body, "metadata": {**body["metadata"], "resourceVersion": live}})


def thing(resource: Resource, **spec: Any) -> Json:
    return {
        "apiVersion": resource.api_version,
        "kind": "Thing",
        "metadata": {"name": "t"},
        "spec": {"model": "deberta", **spec},
    }


def test_defaults_generation_and_no_status_on_create(api: AdminApi, things: Resource) -> None:
    body = thing(things, limits={})
    body["status"] = {"phase": "Done"}
    made = api.create(things, body)
    assert made["spec"] == {"model": "deberta", "trials": 20, "mode": "stop", "limits": {"failed": 3}}
    assert made["metadata"]["generation"] == 1
    assert "status" not in made


REFUSED = [
    (
        {"trials": 0},
        "spec.trials: Invalid value: 0: spec.trials in body should be greater than or equal to 1",
    ),
    (
        {"trials": 1001},
        "spec.trials: Invalid value: 1001: spec.trials in body should be less than or equal to 1000",
    ),
    ({"trials": "2"}, 'spec.trials: Invalid value: "string": spec.trials in body must be of type integer'),
    ({"mode": "x"}, 'spec.mode: Unsupported value: "x": supported values: "stop", "drain"'),
    ({"model": None}, "spec.model"),
    ({"model": "A"}, "spec.model in body should match '^[a-z/-]+$'"),
    ({"model": ""}, "spec.model in body should be at least 1 chars long"),
    ({"lengths": [256, 256]}, "spec.lengths[1]: Duplicate value: 256"),
    ({"lengths": []}, "spec.lengths in body should have at least 1 items"),
    ({"lengths": [100]}, "spec: Invalid value: lengths are multiples of 256"),
    ({"weights": {"a": -1}}, "spec.weights.a in body should be greater than or equal to 0"),
    ({"weights": {"a": 1, "b": 1, "c": 1, "d": 1}}, "spec.weights: Too many: 4: must have at most 3 items"),
]


@pytest.mark.parametrize(("spec", "said"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_refusals_name_the_field(api: AdminApi, things: Resource, spec: Json, said: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        api.create(things, thing(things, **spec))
    assert caught.value.code == 422
    assert said in str(caught.value)
    assert f'Thing.{things.group} "t" is invalid' in str(caught.value)


def test_required_and_wrong_kind(api: AdminApi, things: Resource) -> None:
    body = thing(things)
    del body["spec"]
    with pytest.raises(errors.Invalid, match="spec: Required value"):
        api.create(things, body)
    with pytest.raises(errors.Invalid):
        api.create(things, {**thing(things), "kind": "Other"})


def test_unknown_fields_are_refused_when_strict_else_pruned(api: AdminApi, things: Resource) -> None:
    body = thing(things, nope=1, limits={"x": 1}, free={"a": 1})
    with pytest.raises(errors.Invalid, match="strict decoding error") as caught:
        api.create(things, body)
    assert all(f'unknown field "spec.{field}"' in str(caught.value) for field in ("nope", "limits.x"))
    spec = api.create(things, body, strict=False)["spec"]
    assert "nope" not in spec
    assert spec["limits"] == {"failed": 3}
    assert spec["free"] == {"a": 1}


def test_transition_rules_and_generation(api: AdminApi, things: Resource) -> None:
    api.create(things, thing(things))
    with pytest.raises(errors.Invalid, match="model cannot change after the start"):
        api.patch(things, "t", {"spec": {"model": "other"}})
    assert api.patch(things, "t", {"spec": {"trials": 30}})["metadata"]["generation"] == 2
    assert api.patch(things, "t", {"metadata": {"annotations": {"a": "b"}}})["metadata"]["generation"] == 2


def test_status_only_through_its_subresource(api: AdminApi, things: Resource) -> None:
    made = api.create(things, thing(things))
    assert "status" not in api.patch(things, "t", {"status": {"phase": "Running"}})
    both = {"status": {"phase": "Running"}, "spec": {"trials": 5}}
    after = api.patch(things, "t", both, subresource="status")
    assert after["status"] == {"phase": "Running"}
    assert after["spec"] == made["spec"]
    assert after["metadata"]["generation"] == 1
    with pytest.raises(errors.Invalid, match=r"status\.running"):
        api.patch(things, "t", {"status": {"running": "x"}}, subresource="status")


def status(resource: Resource, **fields: Any) -> Json:
    return {"apiVersion": resource.api_version, "kind": "Thing", "metadata": {"name": "t"}, "status": fields}


def test_status_by_server_side_apply(api: AdminApi, things: Resource) -> None:
    api.create(things, thing(things))
    ready = {"type": "Ready", "status": "True"}
    first = api.apply(
        things, status(things, phase="Running", running=2, conditions=[ready]), subresource="status"
    )
    assert first["status"] == {"phase": "Running", "running": 2, "conditions": [ready]}
    same = api.apply(
        things, status(things, phase="Running", running=2, conditions=[ready]), subresource="status"
    )
    assert same["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    after = api.apply(things, status(things, phase="Done", conditions=[ready]), subresource="status")
    assert after["status"] == {"phase": "Done", "conditions": [ready]}
    entries = {(m["operation"], m.get("subresource", "")) for m in after["metadata"]["managedFields"]}
    assert entries == {("Update", ""), ("Apply", "status")}


def test_conditions_of_two_managers_live_side_by_side(
    kube: KubeCluster, api: AdminApi, things: Resource
) -> None:
    other = kube.connect(namespace=api.namespace, field_manager="other")
    api.create(things, thing(things))
    one, two = {"type": "A", "status": "True"}, {"type": "B", "status": "False"}
    api.apply(things, status(things, conditions=[one]), subresource="status")
    both = other.apply(things, status(things, conditions=[two]), subresource="status")
    assert both["status"]["conditions"] == [one, two]
    flipped = copy.deepcopy(one) | {"status": "False"}
    with pytest.raises(errors.Conflict):
        other.apply(things, status(things, conditions=[flipped, two]), subresource="status")
    gone = api.apply(things, status(things, conditions=[]), subresource="status")
    assert gone["status"]["conditions"] == [two]
    other.close()


def test_strategic_merge_is_not_for_custom_resources(api: AdminApi, things: Resource) -> None:
    api.create(things, thing(things))
    with pytest.raises(errors.ApiRefusal) as caught:
        api.patch(things, "t", {"spec": {}}, kind="strategic")
    assert caught.value.code == 415


def test_a_definition_without_a_field_hides_it_and_the_next_write_loses_it(
    api: AdminApi, things: Resource, redefine: Callable[[Json | None], None]
) -> None:
    redefine({"type": "string"})
    made = api.create(things, thing(things, later="x"))
    redefine(None)
    hidden = api.get(things, "t")
    assert "later" not in hidden["spec"]
    assert hidden["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert lost_fields(hidden) == ["later"]
    redefine({"type": "string"})
    assert api.get(things, "t")["spec"]["later"] == "x"
    redefine(None)
    # any write stores what is seen, one of the status too
    api.apply(things, status(things, phase="Running"), subresource="status")
    redefine({"type": "string"})
    after = api.get(things, "t")
    assert "later" not in after["spec"]
    assert lost_fields(after) == ["later"]
    api.patch(things, "t", {"spec": {"later": "y"}})
    assert lost_fields(api.get(things, "t")) == []


def test_what_a_stricter_definition_finds_wrong_stays_until_it_is_changed(
    api: AdminApi, things: Resource, redefine: Callable[[Json | None], None]
) -> None:
    redefine({"type": "string"})
    api.create(things, thing(things, later="long"))
    redefine({"type": "string", "maxLength": 3})
    assert api.patch(things, "t", {"spec": {"trials": 5}})["spec"]["later"] == "long"
    api.apply(things, status(things, phase="Running"), subresource="status")
    with pytest.raises(errors.Invalid, match=r"spec\.later: Too long"):
        api.patch(things, "t", {"spec": {"later": "longer"}})


def test_no_status_is_applied_to_what_has_another_type_than_its_definition(
    api: AdminApi, things: Resource, redefine: Callable[[Json | None], None]
) -> None:
    redefine({"type": "string"})
    api.create(things, thing(things, later="x"))
    redefine({"type": "integer"})
    with pytest.raises(errors.Unavailable, match="failed to create typed live object"):
        api.apply(things, status(things, phase="Running"), subresource="status")
