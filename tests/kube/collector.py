"""The stand-in garbage collector and namespace controller: what a real controller manager does after a delete.

Dependents of a deleted owner go (Background), an owner waits for dependents that block it (Foreground), or
loses them (Orphan); a terminating namespace is emptied and removed.
"""

from __future__ import annotations

import queue
import threading
from typing import Any

from tests.kube.errors import ApiError
from tests.kube.registry import Registry
from tests.kube.resources import Resource
from tests.kube.store import Event

Json = dict[str, Any]


class Collector:
    """One thread over the store's events; `close()` ends it."""

    def __init__(self, registry: Registry):
        self._registry, self._queue = registry, queue.SimpleQueue[Any]()
        registry.store.listeners.append(self._notice)
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join(5)

    def _notice(self, resource: Resource, event: Event) -> None:
        metadata = event.current.obj["metadata"]
        if event.type == "DELETED" or "deletionTimestamp" in metadata or metadata.get("ownerReferences"):
            self._queue.put((resource, event))

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            resource, event = item
            try:
                self._handle(resource, event)
            except ApiError as error:
                if error.code not in (404, 409):
                    raise

    def _handle(self, resource: Resource, event: Event) -> None:
        obj = event.current.obj
        metadata = obj["metadata"]
        if event.type == "DELETED":
            for dependent, child in self._dependents(metadata["uid"]):
                self._collect(dependent, child)
            for owner in metadata.get("ownerReferences") or ():
                self._unblock(owner["uid"])
            if namespace := metadata.get("namespace"):
                self._drain(namespace)
            return
        if resource.plural == "namespaces" and "deletionTimestamp" in metadata:
            self._drain(metadata["name"])
        elif "orphan" in (metadata.get("finalizers") or ()):
            self._orphan(resource, obj)
        elif "foregroundDeletion" in (metadata.get("finalizers") or ()):
            for dependent, child in self._dependents(metadata["uid"]):
                self._delete(dependent, child, "Foreground")
            self._unblock(metadata["uid"])
        elif metadata.get("ownerReferences") and "deletionTimestamp" not in metadata:
            self._collect(resource, obj)

    def _dependents(self, uid: str) -> list[tuple[Resource, Json]]:
        found = []
        for resource_key, key in self._registry.store.dependents(uid):
            resource = next((r for r in self._registry.catalogue.all() if r.key == resource_key), None)
            stored = self._registry.store.by_resource_key(resource_key, key)
            if resource and stored:
                found.append((resource, stored.obj))
        return found

    def _collect(self, resource: Resource, obj: Json) -> None:
        owners = obj["metadata"].get("ownerReferences") or ()
        if owners and not any(self._registry.store.exists(o["uid"]) for o in owners):
            self._delete(resource, obj, "Background")

    def _delete(self, resource: Resource, obj: Json, policy: str) -> None:
        metadata = obj["metadata"]
        options = {"propagationPolicy": policy, "preconditions": {"uid": metadata["uid"]}}
        try:
            self._registry.delete(resource, metadata.get("namespace", ""), metadata["name"], options)
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    def _orphan(self, resource: Resource, obj: Json) -> None:
        uid = obj["metadata"]["uid"]

        def disown(child: Json) -> Json:
            left = [o for o in child["metadata"].get("ownerReferences", ()) if o["uid"] != uid]
            child["metadata"]["ownerReferences"] = left
            if not left:
                del child["metadata"]["ownerReferences"]
            return child

        for dependent, child in self._dependents(uid):
            place = child["metadata"].get("namespace", ""), child["metadata"]["name"]
            self._registry.update(dependent, *place, disown)
        self._release(resource, obj, "orphan")

    def _unblock(self, uid: str) -> None:
        """Let a foreground-deleted owner go once nothing blocks it."""
        place = self._registry.store._uids.get(uid)
        if place is None:
            return
        stored = self._registry.store.by_resource_key(*place)
        if stored is None or "foregroundDeletion" not in (stored.obj["metadata"].get("finalizers") or ()):
            return
        blocking = any(
            o.get("blockOwnerDeletion") and o["uid"] == uid
            for _, child in self._dependents(uid)
            for o in child["metadata"]["ownerReferences"]
        )
        resource = next(r for r in self._registry.catalogue.all() if r.key == place[0])
        if not blocking:
            self._release(resource, stored.obj, "foregroundDeletion")

    def _release(self, resource: Resource, obj: Json, finalizer: str) -> None:
        def without(live: Json) -> Json:
            live["metadata"]["finalizers"] = [
                f for f in live["metadata"].get("finalizers", ()) if f != finalizer
            ]
            return live

        self._registry.update(
            resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"], without
        )

    def _drain(self, namespace: str) -> None:
        home = self._registry.store.get(self._registry.resource("namespaces"), ("", namespace))
        if home is None or "deletionTimestamp" not in home.obj["metadata"]:
            return
        left = False
        for resource in self._registry.catalogue.all():
            if not resource.namespaced:
                continue
            for stored in self._registry.store.list(resource, namespace):
                left = True
                if "deletionTimestamp" not in stored.obj["metadata"]:
                    self._delete(resource, stored.obj, "Background")
        if not left:
            self._registry.remove_namespace(namespace)
