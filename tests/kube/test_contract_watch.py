"""Lists and watches: selectors, pages, versions, bookmarks. Runs on both."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from coref_k8s.cluster import errors
from coref_k8s.cluster.resources import PODS
from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster
from tests.kube.objects import CONFIG_MAPS
from tests.kube.test_contract_objects import config_map

Json = dict[str, Any]
pytestmark = pytest.mark.cluster


def _fill(api: AdminApi, count: int) -> None:
    for i in range(count):
        api.create(CONFIG_MAPS, config_map(f"m{i}", labels={"n": str(i), "even": str(i % 2 == 0)}))


def names(items: list[Json]) -> list[str]:
    return [i["metadata"]["name"] for i in items if i["metadata"]["name"] != "kube-root-ca.crt"]


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        ("even=True", ["m0", "m2"]),
        ("even==True,n!=0", ["m2"]),
        ("n in (1,2),even", ["m1", "m2"]),
        ("even,n notin (1, 2)", ["m0", "m3"]),
        ("!nothing,even=False", ["m1", "m3"]),
        ("nothing", []),
    ],
)
def test_label_selectors(api: AdminApi, selector: str, wanted: list[str]) -> None:
    _fill(api, 4)
    assert names(api.list(CONFIG_MAPS, labels=selector)[0]) == wanted


def test_field_selectors(api: AdminApi) -> None:
    _fill(api, 2)
    assert names(api.list(CONFIG_MAPS, fields="metadata.name=m1")[0]) == ["m1"]
    with pytest.raises(errors.Invalid, match="not a known field selector"):
        api.list(CONFIG_MAPS, fields="data.x=1")
    assert api.list(PODS, fields="spec.nodeName=none,status.phase!=Running")[0] == []


def test_pages_show_one_revision(api: AdminApi) -> None:
    _fill(api, 5)
    page, meta = api.list_page(CONFIG_MAPS, labels="even", limit=2)
    assert names(page) == ["m0", "m1"]
    api.delete(CONFIG_MAPS, "m4")
    api.create(CONFIG_MAPS, config_map("m9", labels={"even": "x"}))
    rest, last = api.list_page(CONFIG_MAPS, labels="even", token=meta["continue"])
    assert names(rest) == ["m2", "m3", "m4"]
    assert last["resourceVersion"] == meta["resourceVersion"]
    assert not last.get("continue")


def test_list_follows_all_pages_and_stamps_kinds(api: AdminApi) -> None:
    _fill(api, 5)
    items, version = api.list(CONFIG_MAPS, labels="even", limit=2)
    assert names(items) == ["m0", "m1", "m2", "m3", "m4"]
    assert {(i["apiVersion"], i["kind"]) for i in items} == {("v1", "ConfigMap")}
    assert int(version) >= max(int(i["metadata"]["resourceVersion"]) for i in items)


def test_a_damaged_page_token_is_refused(api: AdminApi) -> None:
    with pytest.raises(errors.Invalid, match="continue"):
        api.list_page(CONFIG_MAPS, token="damaged")


def test_watch_tells_what_happened_since(api: AdminApi) -> None:
    _, version = api.list(CONFIG_MAPS)
    api.create(CONFIG_MAPS, config_map("w", k="1"))
    changed = api.patch(CONFIG_MAPS, "w", {"data": {"k": "2"}})
    api.delete(CONFIG_MAPS, "w")
    events = list(islice(api.watch(CONFIG_MAPS, None, version, fields="metadata.name=w"), 3))
    assert [e["type"] for e in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert events[1]["object"] == changed
    assert events[2]["object"]["data"] == {"k": "2"}
    versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in events]
    assert versions == sorted(set(versions))


def test_watch_by_label_sees_objects_enter_and_leave(api: AdminApi) -> None:
    _, version = api.list(CONFIG_MAPS)
    api.create(CONFIG_MAPS, config_map("w"))
    entered = api.patch(CONFIG_MAPS, "w", {"metadata": {"labels": {"in": "yes"}}})
    left = api.patch(CONFIG_MAPS, "w", {"metadata": {"labels": {"in": "no"}}})
    api.create(CONFIG_MAPS, config_map("end", labels={"in": "yes"}))
    events = list(islice(api.watch(CONFIG_MAPS, None, version, labels="in=yes"), 3))
    assert [e["type"] for e in events] == ["ADDED", "DELETED", "ADDED"]
    assert events[0]["object"] == entered
    gone = events[1]["object"]["metadata"]
    assert gone["resourceVersion"] == left["metadata"]["resourceVersion"]
    assert gone["labels"] == {"in": "yes"}  # as it last matched


def test_watch_ends_after_its_timeout(api: AdminApi) -> None:
    _, version = api.list(CONFIG_MAPS)
    assert list(api.watch(CONFIG_MAPS, None, version, timeout_seconds=1, fields="metadata.name=w")) == []


def test_a_quiet_watch_gets_bookmarks(api: AdminApi) -> None:
    api.create(CONFIG_MAPS, config_map("w"))
    _, version = api.list(CONFIG_MAPS)
    event = next(api.watch(CONFIG_MAPS, None, version, timeout_seconds=10, fields="metadata.name=w"))
    assert event["type"] == "BOOKMARK"
    assert int(event["object"]["metadata"]["resourceVersion"]) >= int(version)
    assert (event["object"]["kind"], event["object"]["apiVersion"]) == ("ConfigMap", "v1")


def test_watch_from_a_compacted_version_expires(api: AdminApi, fake_only: KubeCluster) -> None:
    _, version = api.list(CONFIG_MAPS)
    _fill(api, 3)
    _, meta = api.list_page(CONFIG_MAPS, labels="even", limit=1)
    assert fake_only.fake
    fake_only.fake.registry.compact()
    with pytest.raises(errors.Expired):
        next(api.watch(CONFIG_MAPS, None, version))
    with pytest.raises(errors.Expired):
        api.list_page(CONFIG_MAPS, token=meta["continue"])


def test_watch_from_a_version_long_gone_expires(api: AdminApi) -> None:
    """Pods of other tests have filled the history beyond version 1 on every server."""
    api.create(CONFIG_MAPS, config_map("w"))
    with pytest.raises(errors.Expired):
        list(api.watch(CONFIG_MAPS, None, "1", timeout_seconds=2))
