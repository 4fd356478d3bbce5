"""The verbs on stored objects: create, update, patch, delete, list, as the generic registry of an API server.

It knows nothing of HTTP; the HTTP side, the stand-in Job controller and the collector all call it.
"""

from __future__ import annotations

import json
import random
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.kube import errors, patch, schema, strategies
from tests.kube.apply import Manager, apply, track_update
from tests.kube.resources import Catalogue, Resource
from tests.kube.selectors import matcher
from tests.kube.store import Key, Store, Stored, now

Json = dict[str, Any]
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
_SYSTEM = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
)
#: Kinds whose status may be given on create (a kubelet registers its node with one).
_STATUS_ON_CREATE = {"nodes", "events", "pods", "namespaces", "persistentvolumeclaims"}
#: How many unfinished paged lists are remembered; older ones answer 410, as after a compaction.
_PAGES_KEPT = 64


class Registry:
    """One lock (the store's) orders all writes, so check-then-write is safe."""

    def __init__(self) -> None:
        self.store, self.catalogue = Store(), Catalogue()
        self._pages: OrderedDict[str, tuple[int, list[Stored]]] = OrderedDict()
        for name in ("default", "kube-system", "kube-public", "kube-node-lease"):
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            self.create(self.resource("namespaces"), "", body)

    def resource(self, plural: str, group: str | None = None) -> Resource:
        return self.catalogue.builtin(plural, group)

    # Reading

    def get(self, resource: Resource, namespace: str, name: str) -> Stored:
        stored = self.store.get(resource, (namespace if resource.namespaced else "", name))
        if stored is None:
            raise errors.not_found(resource.qualified, name)
        return stored

    def list(self, resource: Resource, namespace: str, query: dict[str, str]) -> tuple[list[Stored], Json]:
        """(items, ListMeta). Pages of one list show one revision; a page token dies with a compaction."""
        test = matcher(query.get("labelSelector", ""), query.get("fieldSelector", ""), resource.plural)
        # From the watch cache (resourceVersion=0) a real server gives the whole list, whatever the limit.
        limit = 0 if query.get("resourceVersion") == "0" else int(query.get("limit") or 0)
        with self.store.lock:
            if token := query.get("continue"):
                revision, left = self._resume(token)
            else:
                revision, left = self.store.revision, self.store.list(resource, namespace)
            items = [s for s in left if test(s.obj)] if test else left
            meta: Json = {"resourceVersion": str(revision)}
            if limit and len(items) > limit:
                rest, items = items[limit:], items[:limit]
                meta["continue"] = self._suspend(revision, rest)
                if not test:
                    meta["remainingItemCount"] = len(rest)
        return items, meta

    def _suspend(self, revision: int, rest: list[Stored]) -> str:
        raw = json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": uuid.uuid4().hex})
        token = urlsafe_b64encode(raw.encode()).decode().rstrip("=")
        self._pages[token] = (revision, rest)
        while len(self._pages) > _PAGES_KEPT:
            self._pages.popitem(last=False)
        return token

    def _resume(self, token: str) -> tuple[int, list[Stored]]:
        if token in self._pages:
            return self._pages.pop(token)
        try:
            json.loads(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        except ValueError as error:
            raise errors.bad_request(f"invalid continue token: continue key is not valid: {error}") from None
        raise errors.expired()

    def compact(self) -> None:
        with self.store.lock:
            self.store.compact()
            self._pages.clear()

    # Writing

    def create(
        self,
        resource: Resource,
        namespace: str,
        body: Json,
        *,
        manager: str = "fake",
        dry_run: bool = False,
        strict: bool = False,
    ) -> Stored:
        _check_type(resource, body)
        metadata = {
            k: v for k, v in (body.get("metadata") or {}).items() if k not in _SYSTEM and v is not None
        }
        if metadata.pop("resourceVersion", ""):
            raise errors.ApiError(500, "", "resourceVersion should not be set on objects to be created")
        if resource.namespaced:
            self._check_namespace(resource, namespace, metadata)
            metadata["namespace"] = namespace
        if not metadata.get("name"):
            if not metadata.get("generateName"):
                why = [("metadata.name", "Required value: name or generateName is required")]
                raise errors.invalid(resource.qualified_kind, "", why)
            suffix = "".join(random.choices(_SUFFIX, k=5))
            metadata["name"] = metadata["generateName"][:58] + suffix
        strategies.check_name(resource, metadata)
        metadata["uid"], metadata["creationTimestamp"] = str(uuid.uuid4()), now()
        if resource.has_generation:
            metadata["generation"] = 1
        if strict and resource.schema is not None:
            schema.strict(resource.schema, body)
        obj = {**body, "apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
        if resource.has_status and resource.plural not in _STATUS_ON_CREATE:
            obj.pop("status", None)
        with self.store.lock:
            key: Key = (namespace if resource.namespaced else "", metadata["name"])
            if self.store.get(resource, key):
                raise errors.already_exists(resource.qualified, metadata["name"])
            obj = strategies.create(resource, obj)
            obj = track_update(resource, None, obj, Manager(manager, "Update"))
            if dry_run:
                return Stored(obj, 0)
            stored = self.store.put(resource, key, obj)
            if resource.plural == "customresourcedefinitions":
                self.catalogue.add_crd(stored.obj)
            if resource.plural == "namespaces":
                self._furnish(metadata["name"])
            return stored

    def _furnish(self, namespace: str) -> None:
        """What controllers of a real cluster put into each new namespace."""
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        self.create(self.resource("serviceaccounts"), namespace, account)

    def _check_namespace(self, resource: Resource, namespace: str, metadata: Json) -> None:
        if metadata.get("namespace", namespace) != namespace:
            why = "the namespace of the provided object does not match the namespace sent on the request"
            raise errors.bad_request(why)
        home = self.store.get(self.resource("namespaces"), ("", namespace))
        if home is None:
            raise errors.not_found("namespaces", namespace)
        if home.obj["metadata"].get("deletionTimestamp"):
            name = metadata.get("name", "")
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            details = {"name": name, "kind": resource.plural, "causes": [{"reason": "NamespaceTerminating"}]}
            raise errors.forbidden(f'{resource.qualified} "{name}" is forbidden: {why}', details)

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Callable[[Json], Json],
        *,
        status: bool = False,
        manager: str = "fake",
        dry_run: bool = False,
        strict: bool = False,
        patched: bool = False,
    ) -> Stored:
        """Replace an object by `change(copy of it)`; through `status` only the status part counts.

        409 when the result names a resourceVersion or uid that is not the live one. A write that changes
        nothing does not move the resourceVersion.
        """
        with self.store.lock:
            live = self.get(resource, namespace, name)
            new = change(json.loads(live.body))  # a copy, three times faster than deepcopy
            _check_type(resource, new)
            if strict and resource.schema is not None:
                schema.strict(resource.schema, new)
            who = Manager(manager, "Update", "status" if status else "")
            return self._write(resource, live, new, who, status, dry_run, track=True, patched=patched)

    def apply(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Json,
        *,
        manager: str,
        force: bool,
        status: bool = False,
        dry_run: bool = False,
        strict: bool = False,
    ) -> tuple[Stored, bool]:
        """Server-side apply; (object, whether it was created)."""
        _check_type(resource, body)
        who = Manager(manager, "Apply", "status" if status else "")
        if strict and resource.schema is not None:
            schema.strict(resource.schema, body)
        with self.store.lock:
            try:
                live = self.get(resource, namespace, name)
            except errors.ApiError:
                if status:
                    raise
                body = {**body, "metadata": {**body["metadata"], "name": name}}
                stored = self.create(
                    resource, namespace, body, manager=manager, dry_run=dry_run, strict=strict
                )
                if dry_run:
                    return stored, True
                entry = [{**m, "operation": "Apply"} for m in stored.obj["metadata"]["managedFields"]]
                obj = {**stored.obj, "metadata": {**stored.obj["metadata"], "managedFields": entry}}
                obj = apply(resource, obj, body, who, True)  # own what was given, not what was defaulted
                with_fields = {**stored.obj, "metadata": obj["metadata"]}
                return self.store.put(resource, _key(resource, with_fields), with_fields), True
            if resource.schema is not None and (wrong := schema.mistyped(resource.schema, live.obj)):
                why = f"failed to create typed live object ({namespace}/{name}; {resource.api_version}, Kind={resource.kind}): errors:"
                raise errors.ApiError(500, "", why + wrong)
            merged = apply(resource, live.obj, body, who, force)
            return self._write(resource, live, merged, who, status, dry_run, track=False, patched=True), False

    def patch(
        self, resource: Resource, namespace: str, name: str, content_type: str, body: Any, **options: Any
    ) -> Stored:
        options["patched"] = True
        if content_type == "application/merge-patch+json":
            return self.update(resource, namespace, name, lambda o: patch.merge_patch(o, body), **options)
        if content_type == "application/json-patch+json":
            return self.update(resource, namespace, name, lambda o: patch.json_patch(o, body), **options)
        if content_type == "application/strategic-merge-patch+json" and resource.schema is None:
            return self.update(resource, namespace, name, lambda o: patch.strategic_merge(o, body), **options)
        accepted = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
        why = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
        raise errors.ApiError(415, "UnsupportedMediaType", why)

    def _write(
        self,
        resource: Resource,
        live: Stored,
        new: Json,
        who: Manager,
        status: bool,
        dry_run: bool,
        track: bool,
        patched: bool = False,
    ) -> Stored:
        old, name = live.obj, live.obj["metadata"]["name"]
        given = dict(new.get("metadata") or {})
        if given.get("resourceVersion") not in (None, "", old["metadata"]["resourceVersion"]):
            raise errors.stale(resource.qualified, name)
        # a status write leaves metadata alone, another uid in it included
        if not status and given.get("uid") not in (None, "", old["metadata"]["uid"]):
            if patched:
                why = f'Invalid value: "{given["uid"]}": field is immutable'
                raise errors.invalid(resource.qualified_kind, name, [("metadata.uid", why)])
            why = f"Precondition failed: UID in precondition: {given['uid']}, UID in object meta: {old['metadata']['uid']}"
            raise errors.conflict(resource.qualified, name, why)
        if given.get("name", name) != name:
            raise errors.bad_request(
                f"the name of the object ({given['name']}) does not match the name on the URL ({name})"
            )
        metadata = (
            given if not status else {**old["metadata"], "managedFields": given.get("managedFields", [])}
        )
        for field in (*_SYSTEM[:-1], "name", "namespace", "resourceVersion"):
            metadata.pop(field, None)
            if field in old["metadata"]:
                metadata[field] = old["metadata"][field]
        if status:
            new = {**old, "metadata": metadata} | ({"status": new["status"]} if "status" in new else {})
        else:
            new = {**new, "metadata": metadata}
            if resource.has_status:
                new.pop("status", None)
                new |= {"status": old["status"]} if "status" in old else {}
        new = strategies.update(resource, old, new, status)
        if resource.has_generation and not status and _content(new) != _content(old):
            new = {
                **new,
                "metadata": {**new["metadata"], "generation": old["metadata"].get("generation", 0) + 1},
            }
        if track:
            new = track_update(resource, old, new, who)
        if _same(old, new):
            return live
        if dry_run:
            return Stored(new, live.rv)
        return self._commit(resource, new)

    def _commit(self, resource: Resource, new: Json) -> Stored:
        """Store `new`, or let it go when it was only waiting for its last finalizer."""
        key, metadata = _key(resource, new), new["metadata"]
        released = not metadata.get("finalizers") and not metadata.get("deletionGracePeriodSeconds")
        if metadata.get("deletionTimestamp") and released and resource.plural != "namespaces":
            return self._remove(resource, key)
        stored = self.store.put(resource, key, new)
        if resource.plural == "customresourcedefinitions":
            for served in self.catalogue.add_crd(stored.obj):
                self.store.read_as(served, lambda obj, by=served.schema: strategies.as_defined(by, obj))
        return stored

    def _remove(self, resource: Resource, key: Key) -> Stored:
        stored = self.store.remove(resource, key)
        if resource.plural == "customresourcedefinitions":
            gone = self.catalogue.find(
                stored.obj["spec"]["group"],
                _stored_version(stored.obj),
                stored.obj["spec"]["names"]["plural"],
            )
            for item in self.store.list(gone) if gone else ():
                self.store.remove(gone, _key(gone, item.obj))
            self.catalogue.remove_crd(stored.obj)
        return stored

    def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        options: Json | None = None,
        *,
        dry_run: bool = False,
    ) -> tuple[Stored, bool]:
        """(object, whether it is gone). Finalizers, a pod's grace period and propagation keep it a while."""
        options = options or {}
        with self.store.lock:
            live = self.get(resource, namespace, name)
            old = live.obj
            _check_preconditions(resource, old, options.get("preconditions") or {})
            if dry_run:
                return live, False
            metadata = dict(old["metadata"])
            metadata["finalizers"] = _propagate(resource, metadata.get("finalizers") or [], options)
            if not metadata["finalizers"]:
                del metadata["finalizers"]
            grace = _grace(resource, old, options)
            if resource.plural == "namespaces":
                return self._terminate_namespace(resource, old), False
            if not metadata.get("finalizers") and grace == 0:
                return self._remove(resource, _key(resource, old)), True
            before = metadata.get("deletionGracePeriodSeconds")
            if "deletionTimestamp" not in metadata:
                if resource.has_generation:
                    metadata["generation"] = metadata.get("generation", 0) + 1
                metadata |= {"deletionTimestamp": _later(grace), "deletionGracePeriodSeconds": grace}
            elif before is not None and grace < before:
                metadata |= {"deletionTimestamp": _later(grace), "deletionGracePeriodSeconds": grace}
            new = {**old, "metadata": metadata}
            return (live if _same(old, new) else self._commit(resource, new)), False

    def _terminate_namespace(self, resource: Resource, old: Json) -> Stored:
        if old["metadata"].get("deletionTimestamp"):
            return self.get(resource, "", old["metadata"]["name"])
        metadata = {**old["metadata"], "deletionTimestamp": now()}
        return self.store.put(
            resource, _key(resource, old), {**old, "metadata": metadata, "status": {"phase": "Terminating"}}
        )

    def remove_namespace(self, name: str) -> None:
        """The last step of the namespace controller: the namespace is empty."""
        with self.store.lock:
            if self.store.get(self.resource("namespaces"), ("", name)):
                self.store.remove(self.resource("namespaces"), ("", name))


def _key(resource: Resource, obj: Json) -> Key:
    metadata = obj["metadata"]
    return (metadata["namespace"] if resource.namespaced else "", metadata["name"])


def _stored_version(crd: Json) -> str:
    return next(v["name"] for v in crd["spec"]["versions"] if v.get("storage"))


def _content(obj: Json) -> Json:
    return {k: v for k, v in obj.items() if k not in ("metadata", "status", "apiVersion", "kind")}


def _same(old: Json, new: Json) -> bool:
    """Equal but for the times in managedFields, which alone never cause a write."""

    def bare(obj: Json) -> Json:
        metadata = dict(obj["metadata"])
        fields = [
            {k: v for k, v in e.items() if k != "time"} for e in metadata.pop("managedFields", None) or ()
        ]
        return {**obj, "metadata": metadata, "fields": sorted(fields, key=json.dumps)}

    return bare(old) == bare(new)


def _check_type(resource: Resource, body: Json) -> None:
    if isinstance(body, dict) and resource.schema is None:
        # built-in kinds may leave out what the path says already; the official Lease lock does
        body.setdefault("kind", resource.kind)
        body.setdefault("apiVersion", resource.api_version)
    if not isinstance(body, dict) or body.get("kind") != resource.kind:
        raise errors.bad_request(
            f"{body.get('kind')!r} in the data is not the expected kind {resource.kind!r}"
        )
    if body.get("apiVersion") != resource.api_version:
        why = f"the API version in the data ({body.get('apiVersion')}) does not match the expected API version ({resource.api_version})"
        raise errors.bad_request(why)


def _check_preconditions(resource: Resource, obj: Json, preconditions: Json) -> None:
    metadata = obj["metadata"]
    for field, label in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        wanted = preconditions.get(field)
        if wanted and wanted != metadata[field]:
            why = f"the {label} in the precondition ({wanted}) does not match the {label} in record ({metadata[field]}). The object might have been deleted and then recreated"
            raise errors.conflict(resource.qualified, metadata["name"], why)


def _propagate(resource: Resource, finalizers: list[str], options: Json) -> list[str]:
    policy = options.get("propagationPolicy")
    if policy not in (None, "Orphan", "Background", "Foreground"):
        why = f'Unsupported value: "{policy}": supported values: "Foreground", "Background", "Orphan", "nil"'
        raise errors.invalid("DeleteOptions", "", [("propagationPolicy", why)])
    if policy is None:
        if "orphan" in finalizers or "foregroundDeletion" in finalizers:
            return finalizers
        # batch/v1 Jobs orphan their pods unless told otherwise; everything else is collected.
        policy = "Orphan" if resource.qualified == "jobs.batch" else "Background"
    kept = [f for f in finalizers if f not in ("orphan", "foregroundDeletion")]
    return kept + {"Orphan": ["orphan"], "Foreground": ["foregroundDeletion"], "Background": []}[policy]


def _grace(resource: Resource, obj: Json, options: Json) -> int:
    if resource.plural != "pods":
        return 0
    if not obj["spec"].get("nodeName") or obj["status"].get("phase") in ("Succeeded", "Failed"):
        return 0
    given = options.get("gracePeriodSeconds")
    return int(given if given is not None else obj["spec"].get("terminationGracePeriodSeconds", 30))


def _later(seconds: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
