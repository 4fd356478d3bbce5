"""The fake's etcd: objects by resource and key, one revision counter, a log of events for watchers.

Objects in it are never changed in place: a write replaces the whole dict, so a reader may keep one.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from tests.kube.resources import Resource

Json = dict[str, Any]
Key = tuple[str, str]  # namespace ("" when cluster-scoped), name

#: Events kept per resource before the oldest are compacted away.
EVENTS_KEPT = 50_000


def now() -> str:
    """The time as `metav1.Time` writes it (whole seconds)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Stored:
    """One version of one object: `obj` as it is read, `written` as it lies there."""

    def __init__(self, obj: Json, rv: int, written: Json | None = None):
        self.obj, self.rv = obj, rv
        self.written = obj if written is None else written

    @cached_property
    def body(self) -> bytes:
        """Serialised once, however many lists and watches send it."""
        return json.dumps(self.obj, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True)
class Event:
    """A change: `previous` lets a selector watch see objects leave its selection."""

    type: str
    current: Stored
    previous: Stored | None


class Store:
    """Every write holds `lock`; `changed[resource]` wakes that resource's watchers."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.revision = 1000
        self._objects: dict[str, dict[Key, Stored]] = defaultdict(dict)
        self._log: dict[str, deque[Event]] = defaultdict(deque)
        self._floor: dict[str, int] = defaultdict(lambda: 1000)
        self._dependents: dict[str, set[tuple[str, Key]]] = defaultdict(set)
        self._uids: dict[str, tuple[str, Key]] = {}
        self.changed: dict[str, threading.Condition] = defaultdict(lambda: threading.Condition(self.lock))
        #: Called under the lock with each change; the stand-in controllers put it on a queue.
        self.listeners: list[Callable[[Resource, Event], None]] = []

    def get(self, resource: Resource, key: Key) -> Stored | None:
        with self.lock:
            return self._objects[resource.key].get(key)

    def list(self, resource: Resource, namespace: str = "") -> list[Stored]:
        """In key order, as etcd lists; the caller filters further."""
        with self.lock:
            items = self._objects[resource.key].items()
            return [s for key, s in sorted(items, key=lambda i: i[0]) if not namespace or key[0] == namespace]

    def put(self, resource: Resource, key: Key, obj: Json) -> Stored:
        """Create or replace; sets uid, creation time and resourceVersion."""
        with self.lock:
            previous = self._objects[resource.key].get(key)
            self.revision += 1
            metadata = dict(obj["metadata"])
            metadata.setdefault("uid", str(uuid.uuid4()))
            metadata.setdefault("creationTimestamp", now())
            metadata["resourceVersion"] = str(self.revision)
            stored = Stored({**obj, "metadata": metadata}, self.revision)
            self._objects[resource.key][key] = stored
            self._uids[metadata["uid"]] = (resource.key, key)
            self._index_owners(resource, key, previous, stored)
            self._record(resource, Event("MODIFIED" if previous else "ADDED", stored, previous))
            return stored

    def read_as(self, resource: Resource, view: Callable[[Json], Json]) -> None:
        """From now on read what was written before through `view`: no write, so no event and no new revision."""
        with self.lock:
            found = self._objects[resource.key]
            found |= {key: Stored(view(s.written), s.rv, s.written) for key, s in found.items()}

    def remove(self, resource: Resource, key: Key) -> Stored:
        with self.lock:
            previous = self._objects[resource.key].pop(key)
            self.revision += 1
            metadata = {**previous.obj["metadata"], "resourceVersion": str(self.revision)}
            stored = Stored({**previous.obj, "metadata": metadata}, self.revision)
            self._uids.pop(metadata["uid"], None)
            self._index_owners(resource, key, previous, None)
            self._record(resource, Event("DELETED", stored, previous))
            return stored

    def exists(self, uid: str) -> bool:
        with self.lock:
            return uid in self._uids

    def dependents(self, uid: str) -> list[tuple[str, Key]]:
        """(resource key, object key) of everything whose ownerReferences name `uid`."""
        with self.lock:
            return sorted(self._dependents.get(uid, ()))

    def by_resource_key(self, resource_key: str, key: Key) -> Stored | None:
        with self.lock:
            return self._objects[resource_key].get(key)

    def events_after(self, resource: Resource, rv: int) -> list[Event] | None:
        """None when `rv` was compacted away: the watcher must list again."""
        with self.lock:
            if rv < self._floor[resource.key]:
                return None
            found: list[Event] = []
            for event in reversed(self._log[resource.key]):
                if event.current.rv <= rv:
                    break
                found.append(event)
            return found[::-1]

    def compact(self) -> None:
        """Forget all history, as etcd does every five minutes: older watches get 410."""
        with self.lock:
            for key in list(self._log):
                self._log[key].clear()
                self._floor[key] = self.revision

    def _record(self, resource: Resource, event: Event) -> None:
        log = self._log[resource.key]
        log.append(event)
        if len(log) > EVENTS_KEPT:
            self._floor[resource.key] = log.popleft().current.rv
        self.changed[resource.key].notify_all()
        for listener in self.listeners:
            listener(resource, event)

    def _index_owners(self, resource: Resource, key: Key, old: Stored | None, new: Stored | None) -> None:
        place = (resource.key, key)
        before, after = _owners(old), _owners(new)
        for uid in before - after:
            self._dependents[uid].discard(place)
            if not self._dependents[uid]:
                del self._dependents[uid]
        for uid in after - before:
            self._dependents[uid].add(place)


def _owners(stored: Stored | None) -> set[str]:
    if stored is None:
        return set()
    return {o["uid"] for o in stored.obj["metadata"].get("ownerReferences") or ()}
