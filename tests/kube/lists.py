"""How a list is merged: atomic, a set, or a map keyed by some fields (x-kubernetes-list-type)."""

from __future__ import annotations

from typing import Any

from tests.kube.resources import Resource

#: Built-in lists that merge by key, as the API's Go types declare them.
_BUILTIN_KEYS = {
    "conditions": ("type",),
    "containers": ("name",),
    "initContainers": ("name",),
    "containerStatuses": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("containerPort", "protocol"),
    "ownerReferences": ("uid",),
}
#: Arrays that strategic merge replaces whole, although server-side apply keys them.
_NOT_STRATEGIC = {"containerStatuses"}


def list_keys(resource: Resource, path: tuple[str, ...]) -> tuple[str, ...] | str | None:
    """Keys of a map list, "set", or None for an atomic list at `path` (field names only)."""
    if path[-1] == "finalizers":
        return "set"
    if path[0] == "metadata" or resource.schema is None:
        return _BUILTIN_KEYS.get(path[-1])
    at: Any = resource.schema
    for step in path:
        if at.get("type") == "array":
            at = at["items"]
        at = at.get("properties", {}).get(step) or at.get("additionalProperties")
        if not isinstance(at, dict):
            return None
    if at.get("x-kubernetes-list-type") == "map":
        return tuple(at["x-kubernetes-list-map-keys"])
    return "set" if at.get("x-kubernetes-list-type") == "set" else None


def strategic_keys(path: tuple[str, ...]) -> tuple[str, ...] | str | None:
    """Patch merge keys of built-in types."""
    if path[-1] == "finalizers":
        return "set"
    return None if path[-1] in _NOT_STRATEGIC else _BUILTIN_KEYS.get(path[-1])
