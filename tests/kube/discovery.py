"""Discovery, version and health: enough for clients and `kubectl` to find their way."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from tests.kube.resources import Catalogue, Resource

Json = dict[str, Any]
#: The release whose behaviour the fake copies.
VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.2", "platform": "linux/amd64"}
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def answer(catalogue: Catalogue, path: str) -> Json | bytes | None:
    """The answer to a path that is no resource, or None."""
    parts = [p for p in path.split("/") if p]
    match parts:
        case ["healthz"] | ["livez"] | ["readyz"]:
            return b"ok"
        case ["version"]:
            return VERSION
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["apis"]:
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": _groups(catalogue)}
        case ["api", version]:
            return _resources(catalogue, "", version)
        case ["apis", group, version]:
            return _resources(catalogue, group, version)
    return None


def _groups(catalogue: Catalogue) -> list[Json]:
    named = sorted({(r.group, r.version) for r in catalogue.all() if r.group})
    named += [("authorization.k8s.io", "v1")]
    groups = []
    for group, pairs in groupby(sorted(named), key=lambda p: p[0]):
        versions = [{"groupVersion": f"{group}/{v}", "version": v} for _, v in pairs]
        groups.append({"name": group, "versions": versions, "preferredVersion": versions[0]})
    return groups


def _resources(catalogue: Catalogue, group: str, version: str) -> Json | None:
    found = [r for r in catalogue.all() if (r.group, r.version) == (group, version)]
    if not found and group != "authorization.k8s.io":
        return None
    entries = [e for r in found for e in _entries(r)]
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": entries}


def _entries(resource: Resource) -> list[Json]:
    base = {"singularName": resource.singular, "namespaced": resource.namespaced, "kind": resource.kind}
    main = base | {"name": resource.plural, "verbs": _VERBS, "shortNames": list(resource.short_names)}
    if not resource.has_status:
        return [main]
    return [main, base | {"name": f"{resource.plural}/status", "verbs": ["get", "patch", "update"]}]
