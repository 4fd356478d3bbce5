"""The reflector against the fake: it keeps up, and it survives what an API server can do to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coref_k8s.cluster.reflector import Reflector
from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster, wait_for
from tests.kube.faults import Fault
from tests.kube.objects import CONFIG_MAPS
from tests.kube.server import FakeApiServer
from tests.kube.test_contract_objects import config_map

Json = dict[str, Any]
Start = Callable[..., Reflector]


@pytest.fixture
def start(api: AdminApi) -> Iterator[Start]:
    """A started reflector of the namespace's labelled config maps; stopped afterwards."""
    begun: list[Reflector] = []

    def make(**options: Any) -> Reflector:
        reflector = Reflector(api, CONFIG_MAPS, labels="mine", **options).start()
        begun.append(reflector)
        assert reflector.wait_synced(10)
        return reflector

    yield make
    for reflector in begun:
        reflector.stop()


@pytest.fixture
def fake(fake_only: KubeCluster) -> FakeApiServer:
    assert fake_only.fake
    return fake_only.fake


def mine(name: str, **data: str) -> Json:
    return config_map(name, labels={"mine": "yes"}, **data)


def names(reflector: Reflector) -> list[str]:
    return sorted(o["metadata"]["name"] for o in reflector.objects())


@pytest.mark.cluster
def test_follows_adds_changes_and_deletes(api: AdminApi, namespace: str, start: Start) -> None:
    api.create(CONFIG_MAPS, mine("a"))
    api.create(CONFIG_MAPS, config_map("other"))
    seen: list[tuple[str, str]] = []
    reflector = start(on_change=seen.append)
    assert names(reflector) == ["a"]
    assert reflector.get((namespace, "a"))["kind"] == "ConfigMap"  # type: ignore[index]
    api.create(CONFIG_MAPS, mine("b", k="1"))
    api.patch(CONFIG_MAPS, "b", {"data": {"k": "2"}})
    api.delete(CONFIG_MAPS, "a")
    wait_for(lambda: names(reflector) == ["b"] and reflector.objects()[0]["data"] == {"k": "2"}, "the events")
    assert seen[0] == (namespace, "a")
    assert set(seen) == {(namespace, "a"), (namespace, "b")}
    assert "managedFields" not in reflector.objects()[0]["metadata"]
    assert reflector.lists == 1


@pytest.mark.cluster
def test_goes_on_where_a_timed_out_watch_stopped(api: AdminApi, start: Start) -> None:
    reflector = start(watch_seconds=1)
    wait_for(lambda: reflector.watches >= 2, "a second watch")
    api.create(CONFIG_MAPS, mine("a"))
    wait_for(lambda: names(reflector) == ["a"], "the object")
    assert reflector.lists == 1


@pytest.mark.cluster
def test_relists_now_and_then(api: AdminApi, start: Start) -> None:
    api.create(CONFIG_MAPS, mine("a"))
    seen: list[tuple[str, str]] = []
    reflector = start(relist_seconds=1.0, on_change=seen.append)
    wait_for(lambda: reflector.lists >= 2, "a second list")
    assert len(seen) == 1  # an unchanged object is no news


@pytest.mark.cluster
def test_stops_at_once_in_a_quiet_watch(start: Start) -> None:
    reflector = start()
    wait_for(lambda: reflector.watches == 1, "the watch")
    reflector.stop()
    assert not any(t.name == "reflector-configmaps" and t.is_alive() for t in threading.enumerate())


def test_compaction_leads_to_a_new_list_that_finds_what_was_missed(
    api: AdminApi, fake: FakeApiServer, start: Start
) -> None:
    api.create(CONFIG_MAPS, mine("gone"))
    seen: list[tuple[str, str]] = []
    reflector = start(on_change=seen.append, jitter=lambda: 0.2)
    fake.faults.add(Fault("error", 503, times=None, when=lambda method, path: "watch=1" in path))
    fake.cut_connections()
    wait_for(lambda: fake.faults.hits > 0, "a refused watch")
    api.delete(CONFIG_MAPS, "gone")
    api.create(CONFIG_MAPS, mine("new"))
    fake.registry.compact()
    fake.faults.clear()
    wait_for(lambda: names(reflector) == ["new"], "the new list")
    assert reflector.lists == 2
    assert {name for _, name in seen} == {"gone", "new"}


def test_errors_are_met_with_growing_pauses_not_a_storm(fake: FakeApiServer, start: Start) -> None:
    reflector = start(jitter=lambda: 1.0)
    before = fake.faults.hits
    fake.faults.add(Fault("error", 500, times=None))
    fake.cut_connections()
    wait_for(lambda: fake.faults.hits - before >= 2 and "500" in str(reflector.trouble), "two refused tries")
    threading.Event().wait(1.0)
    assert fake.faults.hits - before <= 4  # 0.5, 1, 2, 4 s apart
    fake.faults.clear()
    wait_for(lambda: not reflector.trouble, "its recovery")


def test_a_watch_cut_in_the_middle_goes_on_from_there(
    api: AdminApi, fake: FakeApiServer, start: Start
) -> None:
    fake.faults.add(Fault("drop", times=2))
    reflector = start(jitter=lambda: 0.0)
    for i in range(4):
        api.create(CONFIG_MAPS, mine(f"m{i}"))
    wait_for(lambda: len(names(reflector)) == 4, "every object")
    assert reflector.lists == 1
    assert reflector.watches >= 3


def test_waits_as_a_throttling_server_asks(fake: FakeApiServer, namespace: str, kube: KubeCluster) -> None:
    waited: list[float] = []
    api = kube.connect(namespace=namespace, sleep=waited.append)
    fake.faults.add(Fault("error", 429, retry_after=7, times=2))
    api.create(CONFIG_MAPS, mine("a"))
    assert waited == [7.0, 7.0]
    api.close()


def test_a_silent_watch_is_given_up_and_opened_again(
    api: AdminApi, fake: FakeApiServer, start: Start
) -> None:
    fake.faults.add(Fault("stall", times=1, when=lambda method, path: "watch=1" in path))
    reflector = start(silence_seconds=1.0, jitter=lambda: 0.0)
    api.create(CONFIG_MAPS, mine("a"))
    wait_for(lambda: names(reflector) == ["a"], "the object")
    assert reflector.watches >= 2
    assert reflector.lists == 1


def test_age_grows_while_nothing_is_heard_and_bookmarks_reset_it(fake: FakeApiServer, start: Start) -> None:
    reflector = start(jitter=lambda: 0.1)
    fake.faults.add(Fault("error", 500, times=None))
    fake.cut_connections()
    wait_for(lambda: reflector.last_event_age_seconds() > 1.0, "silence")
    fake.faults.clear()
    wait_for(lambda: reflector.last_event_age_seconds() < 0.5, "a bookmark")


def test_a_lost_answer_is_unreachable_not_a_refusal(api: AdminApi, fake: FakeApiServer) -> None:
    from coref_k8s.cluster.errors import AlreadyExists, UnreachableError

    fake.faults.add(Fault("lost", when=lambda method, path: method == "POST"))
    with pytest.raises(UnreachableError, match="no answer from the API server"):
        api.create(CONFIG_MAPS, mine("a"))
    with pytest.raises(AlreadyExists):  # it was done all the same
        api.create(CONFIG_MAPS, mine("a"))


def test_requests_are_counted(kube: KubeCluster, namespace: str) -> None:
    counted: list[tuple[str, str, int]] = []
    api = kube.connect(namespace=namespace, on_request=lambda v, p, c, s: counted.append((v, p, c)))
    api.create(CONFIG_MAPS, mine("a"))
    api.list(CONFIG_MAPS)
    with pytest.raises(Exception, match="not found"):
        api.get(CONFIG_MAPS, "none")
    assert counted == [("create", "configmaps", 201), ("list", "configmaps", 200), ("get", "configmaps", 404)]
    api.close()
