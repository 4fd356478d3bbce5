"""The rights of the controller: what it does is in its role, and what is in its role it does."""

from __future__ import annotations

import pytest

from coref_k8s.cluster import names, rbac
from coref_k8s.cluster.resources import JOBS, STUDIES
from coref_k8s.study.names import Kind
from tests.cluster.world import World
from tests.kube.cluster import KubeCluster
from tests.kube.rbac import Access, Authorizer, User


def granted() -> set[tuple[str, str]]:
    """Every verb and resource of the controller's role."""
    return {
        (verb, resource)
        for rule in rbac.rules("controller")
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }


def test_the_role_of_the_controller_has_what_it_uses_and_nothing_more(
    fake_only: KubeCluster, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: set[tuple[str, str]] = set()
    refused: set[tuple[str, str]] = set()
    allowed = Authorizer.allowed

    def noting(authorizer: Authorizer, user: User, access: Access) -> bool:
        answer = allowed(authorizer, user, access)
        if user.name.endswith(":controller"):
            (used if answer else refused).add((access.verb, access.full_resource))
        return answer

    monkeypatch.setattr(Authorizer, "allowed", noting)
    world.trials.behave = lambda order, start: (
        (0.05, 42, False) if (order.kind, order.trial) == (Kind.TRIAL, 0) else (60.0, 0, False)
    ) if order.kind is Kind.TRIAL else None  # fmt: skip
    # a Job of an earlier study of this name, which is only kept for its log
    kept = {names.STUDY_LABEL: "korean", names.RECORDED_LABEL: "true"}
    world.api.create(JOBS, {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "korean-64-0-1", "labels": kept},
        "spec": {"suspend": True, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "trial", "image": "i"}],
        }}},
    })  # fmt: skip
    world.controller()
    world.submit(spec={"trials": 2, "parallelism": 1})
    # one that waits for its queue long enough to be asked about
    world.submit("queued", spec={"pod": {"gpus": 0, "queueName": "team"}})
    world.until(lambda: ("list", "events") in used, "a look at events")
    world.kube.admin.delete(STUDIES, "queued", world.api.namespace)
    # one that fails, whose log is read; the other one is running when its study goes, database and all
    world.running("korean-64-1-1")
    world.annotate(purge="true")
    world.until(lambda: world.study()["metadata"].get("finalizers"), "the finalizer")
    world.kube.admin.delete(STUDIES, "korean", world.api.namespace)
    world.until(lambda: not world.jobs(), "the Jobs to go")
    # giving the lease back is a write too
    world.controllers[0].stop()
    assert refused == set()
    assert used == granted()
