"""Who may do what: bearer tokens, Roles, access reviews. Runs on both."""

from __future__ import annotations

from typing import Any

import pytest

from coref_k8s.cluster import errors
from coref_k8s.cluster.resources import JOBS, NODES, PODS
from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster, wait_for
from tests.kube.objects import CONFIG_MAPS, ROLES, SECRETS
from tests.kube.test_contract_objects import config_map, job

Json = dict[str, Any]
pytestmark = pytest.mark.cluster

RULES = [
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch", "create"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["mine"]},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["*"]},
    {"apiGroups": ["batch"], "resources": ["jobs/status"], "verbs": ["get"]},
]


@pytest.fixture
def limited(kube: KubeCluster, namespace: str) -> Any:
    """A service account with RULES in the test's namespace."""
    connection = kube.as_service_account(namespace, "worker", RULES)
    wait_for(lambda: connection.can_i("create", CONFIG_MAPS), "the binding to be seen")
    yield connection
    connection.close()


def test_a_role_allows_what_it_lists_and_no_more(
    kube: KubeCluster, limited: AdminApi, namespace: str
) -> None:
    limited.create(CONFIG_MAPS, config_map())
    assert limited.list(CONFIG_MAPS)[0]
    limited.create(JOBS, job())
    limited.delete(JOBS, "j")
    denied = 'User "system:serviceaccount:' + namespace + ':worker" cannot delete resource "configmaps"'
    with pytest.raises(errors.Forbidden, match=denied) as caught:
        limited.delete(CONFIG_MAPS, "a")
    assert caught.value.code == 403
    assert f'in the namespace "{namespace}"' in str(caught.value)
    with pytest.raises(errors.Forbidden):
        limited.list(CONFIG_MAPS, all_namespaces=True)
    with pytest.raises(errors.Forbidden, match="at the cluster scope"):
        limited.list(NODES)
    with pytest.raises(errors.Forbidden):
        limited.get(CONFIG_MAPS, "a", "default")


def test_subresources_need_rights_of_their_own(limited: AdminApi) -> None:
    limited.create(JOBS, job())
    with pytest.raises(errors.Forbidden, match='cannot patch resource "jobs/status"'):
        limited.patch(JOBS, "j", {"status": {"active": 1}}, subresource="status")
    with pytest.raises(errors.Forbidden):
        limited.get(PODS, "p")
    with pytest.raises(errors.NotFound):
        list(limited.logs("p"))


def test_resource_names_limit_a_rule(api: AdminApi, limited: AdminApi) -> None:
    for name in ("mine", "theirs"):
        api.create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}})
    assert limited.get(SECRETS, "mine")["metadata"]["name"] == "mine"
    with pytest.raises(errors.Forbidden):
        limited.get(SECRETS, "theirs")
    with pytest.raises(errors.Forbidden):
        limited.list(SECRETS)


def test_access_review_says_the_same(limited: AdminApi) -> None:
    assert limited.can_i("create", JOBS)
    assert limited.can_i("get", PODS, subresource="log")
    assert not limited.can_i("get", PODS)
    assert limited.can_i("get", SECRETS, name="mine")
    assert not limited.can_i("get", SECRETS)
    assert not limited.can_i("list", NODES)
    assert not limited.can_i("create", JOBS, "default")


def test_a_role_takes_effect_when_it_changes(kube: KubeCluster, api: AdminApi, limited: AdminApi) -> None:
    assert not limited.can_i("delete", CONFIG_MAPS)
    api.patch(
        ROLES, "worker", {"rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["delete"]}]}
    )
    wait_for(lambda: limited.can_i("delete", CONFIG_MAPS), "the new rule")
    wait_for(lambda: not limited.can_i("create", JOBS), "the old rule to be gone")


def test_strangers(kube: KubeCluster, namespace: str) -> None:
    stranger = kube.with_token("no-such-token", namespace=namespace)
    with pytest.raises(errors.Forbidden) as caught:
        stranger.list(PODS)
    assert caught.value.code == 401
    stranger.close()
