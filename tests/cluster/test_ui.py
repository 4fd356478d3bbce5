"""The same pages of a cluster, with no more rights than the role for viewers gives."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from coref_k8s.client.cluster import ClusterBackend
from coref_k8s.cluster import rbac
from coref_k8s.ui.reader import Reader
from tests.cluster.world import SERVICE, World
from tests.ui.conftest import get, serving

pytestmark = pytest.mark.cluster


@pytest.fixture
def address(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The server of the studies of the world's namespace, which has a controller that answers."""
    controller = world.controller()
    world.expose(controller)
    rules = rbac.rules("viewer", service=f"{SERVICE}:8080")
    api = world.kube.as_service_account(world.api.namespace, "viewer", rules)
    monkeypatch.setattr(ClusterBackend, "api", api)
    with serving(Reader([ClusterBackend(world.api.namespace, None)])) as found:
        yield found
    api.close()


def test_a_study_of_the_cluster_is_shown_to_who_may_only_read(world: World, address: str) -> None:
    world.submit("korean")
    world.until_phase("Succeeded")
    assert "korean" in get(address).text
    page = get(f"{address}/studies/korean").text
    assert "2 / 2" in page
    number = re.search(r'href="/studies/korean/trials/64/(\d)"', get(f"{address}/studies/korean/trials").text)
    assert number
    trial = get(f"{address}/studies/korean/trials/64/{number[1]}").text
    assert "/data/studies/korean/64/" in trial
    assert "where pods see them" in trial
    log = get(f"{address}/studies/korean/trials/64/{number[1]}/log")
    assert (log.code, log.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    gone = get(f"{address}/studies/koraen")
    assert (gone.code, "korean" in gone.text) == (404, True)
