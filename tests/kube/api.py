"""The API client with the verbs that only tests need: subresources, other kinds of patches, PUT, eviction."""

from __future__ import annotations

from typing import Any

from coref_k8s.cluster.api import MERGE_PATCH, Call, ClusterApi, Json
from coref_k8s.cluster.resources import PODS, Resource

_PATCHES = {
    "merge": MERGE_PATCH,
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}


class AdminApi(ClusterApi):
    """What an administrator, a scheduler or a kubelet does."""

    def create(
        self,
        resource: Resource,
        body: Json,
        namespace: str | None = None,
        *,
        dry_run: bool = False,
        name: str | None = None,
        subresource: str | None = None,
        strict: bool = True,
    ) -> Json:
        """Create, also a subresource of `name`; without `strict` unknown fields are dropped."""
        query = {"dryRun": "All" if dry_run else "", "fieldManager": self.field_manager}
        query |= {"fieldValidation": "Strict"} if strict else {}
        path = resource.path(self._in(resource, namespace, body), name, subresource)
        return self._json(Call("create", resource, "POST", path, query, body))

    def replace(
        self, resource: Resource, body: Json, namespace: str | None = None, *, subresource: str | None = None
    ) -> Json:
        """PUT; `Conflict` when `body` carries a resourceVersion that is no longer the live one."""
        path = resource.path(self._in(resource, namespace, body), body["metadata"]["name"], subresource)
        return self._json(Call("update", resource, "PUT", path, {"fieldManager": self.field_manager}, body))

    def patch(
        self,
        resource: Resource,
        name: str,
        body: Any,
        namespace: str | None = None,
        *,
        kind: str = "merge",
        subresource: str | None = None,
    ) -> Json:
        """A `merge`, `json` or (built-in kinds only) `strategic` merge patch."""
        path = resource.path(self._in(resource, namespace), name, subresource)
        query = {"fieldManager": self.field_manager}
        return self._json(Call("patch", resource, "PATCH", path, query, body, _PATCHES[kind]))

    def apply(
        self,
        resource: Resource,
        body: Json,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        force: bool = False,
    ) -> Json:
        """Server-side apply as `field_manager`; fields we applied before and left out now are given up.

        `Conflict` when another manager owns a field that would change, unless `force`.
        """
        return self._apply(resource, body, namespace, subresource, force=force)

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        propagation: str | None = "Background",
        grace_seconds: int | None = None,
    ) -> Json:
        """Delete; `propagation` None leaves it to the server, which for Jobs means: orphan the pods."""
        found = {"propagationPolicy": propagation, "gracePeriodSeconds": grace_seconds}
        options = {key: value for key, value in found.items() if value is not None}
        return self._delete(resource, name, namespace, uid=uid, **options)

    def evict(self, pod: str, namespace: str | None = None, *, grace_seconds: int | None = None) -> None:
        """Ask for a pod's eviction, as `kubectl drain` does."""
        where = self._in(PODS, namespace)
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": where},
            "deleteOptions": {} if grace_seconds is None else {"gracePeriodSeconds": grace_seconds},
        }
        self._json(Call("create", PODS, "POST", PODS.path(where, pod, "eviction"), body=body))
