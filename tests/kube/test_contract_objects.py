"""Objects: what a real API server does on create, update, patch, apply and delete. Runs on both."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from coref_k8s.cluster import errors
from coref_k8s.cluster.resources import JOBS, PODS, Resource
from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster, wait_for
from tests.kube.objects import CONFIG_MAPS, NAMESPACES, SECRETS

Json = dict[str, Any]
pytestmark = pytest.mark.cluster


def config_map(name: str = "a", labels: Json | None = None, **data: str) -> Json:
    meta = {"name": name} | ({"labels": labels} if labels else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def job(name: str = "j", **spec: Any) -> Json:
    container = {"name": "main", "image": "example.com/none:1", "command": ["true"]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"suspend": True, "template": template, **spec},
    }


def test_create_sets_system_fields(api: AdminApi, namespace: str) -> None:
    made = api.create(CONFIG_MAPS, config_map(k="v"))
    meta = made["metadata"]
    assert meta["namespace"] == namespace
    assert meta["uid"]
    assert int(meta["resourceVersion"]) > 0
    assert meta["creationTimestamp"].endswith("Z")
    assert "generation" not in meta
    assert [(m["manager"], m["operation"]) for m in meta["managedFields"]] == [("test", "Update")]
    assert api.get(CONFIG_MAPS, "a") == made


def test_create_twice_is_already_exists(api: AdminApi) -> None:
    api.create(CONFIG_MAPS, config_map())
    with pytest.raises(errors.AlreadyExists) as caught:
        api.create(CONFIG_MAPS, config_map())
    assert caught.value.code == 409
    assert 'configmaps "a" already exists' in str(caught.value)


def test_missing_objects_and_namespaces_are_not_found(api: AdminApi) -> None:
    with pytest.raises(errors.NotFound, match=r'jobs\.batch "nope" not found'):
        api.get(JOBS, "nope")
    # a kind that nobody has defined is no object that is missing: the command line tells them apart by the reason
    with pytest.raises(errors.NotFound, match="404 page not found") as caught:
        api.list(Resource("corefk8s.dev", "v1alpha1", "nothings", "Nothing"))
    assert caught.value.reason == ""
    with pytest.raises(errors.NotFound, match='namespaces "nowhere" not found'):
        api.create(CONFIG_MAPS, config_map(), "nowhere")
    with pytest.raises(errors.NotFound):
        api.delete(CONFIG_MAPS, "nope")


def test_names_and_labels_are_checked(api: AdminApi) -> None:
    with pytest.raises(errors.Invalid, match="RFC 1123 subdomain") as caught:
        api.create(CONFIG_MAPS, config_map("Not_A_Name"))
    assert caught.value.code == 422
    with pytest.raises(errors.Invalid, match=r"metadata\.labels"):
        api.create(CONFIG_MAPS, config_map(labels={"a": "x" * 64}))


def test_generate_name(api: AdminApi) -> None:
    body = config_map()
    body["metadata"] = {"generateName": "gen-"}
    names = {api.create(CONFIG_MAPS, body)["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(n.startswith("gen-") and len(n) == 9 for n in names)


def test_dry_run_checks_but_stores_nothing(api: AdminApi) -> None:
    assert api.create(CONFIG_MAPS, config_map(), dry_run=True)["metadata"]["uid"]
    with pytest.raises(errors.NotFound):
        api.get(CONFIG_MAPS, "a")
    with pytest.raises(errors.Invalid):
        api.create(CONFIG_MAPS, config_map("BAD"), dry_run=True)


def test_stale_replace_is_a_conflict(api: AdminApi) -> None:
    first = api.create(CONFIG_MAPS, config_map(k="1"))
    second = api.replace(CONFIG_MAPS, {**first, "data": {"k": "2"}})
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    with pytest.raises(errors.Conflict, match="the object has been modified"):
        api.replace(CONFIG_MAPS, {**first, "data": {"k": "3"}})


def test_a_write_that_changes_nothing_keeps_the_version(api: AdminApi) -> None:
    made = api.create(CONFIG_MAPS, config_map(k="1"))
    again = api.patch(CONFIG_MAPS, "a", {"data": {"k": "1"}})
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_merge_patch_removes_with_null(api: AdminApi) -> None:
    api.create(CONFIG_MAPS, config_map(a="1", b="2"))
    assert api.patch(CONFIG_MAPS, "a", {"data": {"a": None, "c": "3"}})["data"] == {"b": "2", "c": "3"}


def test_json_patch_and_its_test(api: AdminApi) -> None:
    api.create(CONFIG_MAPS, config_map(a="1"))
    changed = api.patch(CONFIG_MAPS, "a", [{"op": "add", "path": "/data/b.c", "value": "2"}], kind="json")
    assert changed["data"] == {"a": "1", "b.c": "2"}
    with pytest.raises(errors.Invalid):
        api.patch(CONFIG_MAPS, "a", [{"op": "test", "path": "/data/a", "value": "9"}], kind="json")


def test_delete_with_the_wrong_uid_is_a_conflict(api: AdminApi) -> None:
    made = api.create(CONFIG_MAPS, config_map())
    with pytest.raises(errors.Conflict, match="UID"):
        api.delete(CONFIG_MAPS, "a", uid="00000000-0000-0000-0000-000000000000")
    api.delete(CONFIG_MAPS, "a", uid=made["metadata"]["uid"])
    with pytest.raises(errors.NotFound):
        api.get(CONFIG_MAPS, "a")


def test_finalizers_hold_an_object(api: AdminApi) -> None:
    body = config_map()
    body["metadata"]["finalizers"] = ["corefk8s.dev/hold"]
    api.create(CONFIG_MAPS, body)
    held = api.delete(CONFIG_MAPS, "a")
    assert held["metadata"]["deletionTimestamp"]
    assert api.get(CONFIG_MAPS, "a")["metadata"]["finalizers"] == ["corefk8s.dev/hold"]
    api.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": None}})
    with pytest.raises(errors.NotFound):
        api.get(CONFIG_MAPS, "a")


def test_secret_string_data_becomes_data(api: AdminApi) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"url": "x"}}
    made = api.create(SECRETS, body)
    assert made["data"] == {"url": "eA=="}
    assert made["type"] == "Opaque"
    assert "stringData" not in made


# Server-side apply


def test_apply_creates_then_owns_and_gives_up_fields(api: AdminApi) -> None:
    made = api.apply(CONFIG_MAPS, config_map(a="1", b="2"))
    assert [m["operation"] for m in made["metadata"]["managedFields"]] == ["Apply"]
    same = api.apply(CONFIG_MAPS, config_map(a="1", b="2"))
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert api.apply(CONFIG_MAPS, config_map(a="1"))["data"] == {"a": "1"}


def test_apply_conflicts_with_another_manager_unless_forced(
    kube: KubeCluster, api: AdminApi, namespace: str
) -> None:
    other = kube.connect(namespace=namespace, field_manager="other")
    api.apply(CONFIG_MAPS, config_map(a="1"))
    with pytest.raises(errors.Conflict, match='conflict with "test"'):
        other.apply(CONFIG_MAPS, config_map(a="2"))
    assert other.apply(CONFIG_MAPS, config_map(a="1", b="1"))["data"] == {"a": "1", "b": "1"}
    assert other.apply(CONFIG_MAPS, config_map(a="2", b="1"), force=True)["data"] == {"a": "2", "b": "1"}
    # The loser no longer owns the field, so leaving it out removes nothing.
    api.apply(CONFIG_MAPS, config_map(labels={"x": "y"}))
    assert api.get(CONFIG_MAPS, "a")["data"] == {"a": "2", "b": "1"}
    other.close()


def test_applying_with_a_stale_version_is_a_conflict(api: AdminApi) -> None:
    first = api.apply(CONFIG_MAPS, config_map(a="1"))
    api.apply(CONFIG_MAPS, config_map(a="2"))
    stale = config_map(a="3")
    stale["metadata"]["resourceVersion"] = first["metadata"]["resourceVersion"]
    with pytest.raises(errors.Conflict):
        api.apply(CONFIG_MAPS, stale)


# Jobs as objects


def test_job_defaults(api: AdminApi) -> None:
    body = job()
    body["spec"]["template"]["metadata"] = {"labels": {"a": "b"}}
    made = api.create(JOBS, body)
    spec, uid = made["spec"], made["metadata"]["uid"]
    wanted = {
        "parallelism": 1,
        "completions": 1,
        "backoffLimit": 6,
        "completionMode": "NonIndexed",
        "manualSelector": False,
        "podReplacementPolicy": "TerminatingOrFailed",
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}},
    }
    assert {k: spec[k] for k in wanted} == wanted
    generated = {
        "a": "b",
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": "j",
        "controller-uid": uid,
        "job-name": "j",
    }
    assert spec["template"]["metadata"]["labels"] == generated
    assert made["metadata"]["labels"] == generated
    assert made["metadata"]["generation"] == 1
    pod = spec["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 30
    assert pod["containers"][0]["imagePullPolicy"] == "IfNotPresent"


def test_job_checks(api: AdminApi) -> None:
    wrong = job()
    wrong["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    with pytest.raises(errors.Invalid, match=r"spec\.template\.spec\.restartPolicy"):
        api.create(JOBS, wrong)
    exit_zero = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [0]}}
    with pytest.raises(errors.Invalid, match="must not be 0"):
        api.create(JOBS, job(podFailurePolicy={"rules": [exit_zero]}))
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}
    with pytest.raises(errors.Invalid, match="podReplacementPolicy"):
        api.create(JOBS, job(podFailurePolicy={"rules": [rule]}, podReplacementPolicy="TerminatingOrFailed"))
    with pytest.raises(errors.Invalid, match="63"):
        api.create(JOBS, job("x" * 64))


def test_job_with_failure_policy_defaults(api: AdminApi) -> None:
    rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    spec = api.create(JOBS, job(podFailurePolicy={"rules": [rule]}))["spec"]
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["podFailurePolicy"]["rules"][0]["onPodConditions"][0]["status"] == "True"


def test_job_template_is_immutable_and_generation_counts_spec_changes(api: AdminApi) -> None:
    made = api.create(JOBS, job())
    changed = copy.deepcopy(made)
    del changed["metadata"]["resourceVersion"]  # the Job controller may have written meanwhile
    changed["spec"]["template"]["spec"]["containers"][0]["command"] = ["false"]
    with pytest.raises(errors.Invalid, match="field is immutable"):
        api.replace(JOBS, changed)
    assert api.patch(JOBS, "j", {"spec": {"parallelism": 2}})["metadata"]["generation"] == 2
    assert api.patch(JOBS, "j", {"metadata": {"labels": {"x": "y"}}})["metadata"]["generation"] == 2


def test_status_is_a_subresource(api: AdminApi) -> None:
    body = job()
    body["status"] = {"active": 5}
    assert "active" not in api.create(JOBS, body)["status"]
    api.patch(JOBS, "j", {"status": {"ready": 7}})
    assert api.get(JOBS, "j")["status"].get("ready", 0) == 0


def test_deleting_a_job_without_policy_orphans(api: AdminApi) -> None:
    """The trap of batch/v1: only clients that say Background (as ours does) get the pods removed."""
    made = api.create(JOBS, job())
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "ownerReferences": [owner(made)]},
        "spec": made["spec"]["template"]["spec"],
    }
    api.create(PODS, pod)
    api.delete(JOBS, "j", propagation=None)
    wait_for(lambda: not api.list(JOBS)[0], "the job to go")
    assert (
        "ownerReferences"
        not in wait_for(
            lambda: next((p for p in api.list(PODS)[0] if "ownerReferences" not in p["metadata"]), None),
            "the orphan",
        )["metadata"]
    )


# Ownership


def owner(obj: Json, **more: Any) -> Json:
    meta = obj["metadata"]
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        **more,
    }


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_dependents_go_with_their_owner(api: AdminApi, policy: str) -> None:
    made = api.create(CONFIG_MAPS, config_map("owner"))
    child = config_map("child")
    child["metadata"]["ownerReferences"] = [owner(made, blockOwnerDeletion=True, controller=True)]
    api.create(CONFIG_MAPS, child)
    api.delete(CONFIG_MAPS, "owner", propagation=policy)
    wait_for(lambda: not {"owner", "child"} & _names(api), "owner and child to go")


def test_orphans_stay(api: AdminApi) -> None:
    made = api.create(CONFIG_MAPS, config_map("owner"))
    child = config_map("child")
    child["metadata"]["ownerReferences"] = [owner(made)]
    api.create(CONFIG_MAPS, child)
    api.delete(CONFIG_MAPS, "owner", propagation="Orphan")
    wait_for(lambda: "owner" not in _names(api), "the owner to go")
    assert "ownerReferences" not in api.get(CONFIG_MAPS, "child")["metadata"]


def _names(api: AdminApi) -> set[str]:
    return {m["metadata"]["name"] for m in api.list(CONFIG_MAPS)[0]}


def test_a_terminating_namespace_takes_nothing_and_empties(kube: KubeCluster, api: AdminApi) -> None:
    doomed = kube.make_namespace("doomed")
    held = config_map("held")
    held["metadata"]["finalizers"] = ["corefk8s.dev/hold"]
    api.create(CONFIG_MAPS, held, doomed)
    api.delete(NAMESPACES, doomed)
    with pytest.raises(errors.Forbidden, match="because it is being terminated"):
        api.create(CONFIG_MAPS, config_map("late"), doomed)
    wait_for(lambda: "deletionTimestamp" in api.get(CONFIG_MAPS, "held", doomed)["metadata"], "its deletion")
    api.patch(CONFIG_MAPS, "held", {"metadata": {"finalizers": None}}, doomed)
    wait_for(lambda: doomed not in {n["metadata"]["name"] for n in api.list(NAMESPACES)[0]}, "its end")
