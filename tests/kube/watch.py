"""Watches: the event stream with bookmarks, selectors, time-outs, and 410 after a compaction."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.kube import errors
from tests.kube.registry import Registry
from tests.kube.resources import Resource
from tests.kube.selectors import matcher
from tests.kube.store import Event

Json = dict[str, Any]


def _line(kind: str, body: bytes) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), body)


class Watch:
    """One watch request; iterate `lines()` until it ends."""

    def __init__(
        self,
        registry: Registry,
        resource: Resource,
        namespace: str,
        query: dict[str, str],
        bookmark_every: float,
    ):
        self._registry, self._resource, self._namespace = registry, resource, namespace
        self._test = matcher(query.get("labelSelector", ""), query.get("fieldSelector", ""), resource.plural)
        self._query, self._bookmark_every = query, bookmark_every
        self._bookmarks = query.get("allowWatchBookmarks") in ("true", "1")
        self._deadline = time.monotonic() + float(query.get("timeoutSeconds") or 1800)

    def lines(self, stopped: Callable[[], bool]) -> Iterator[bytes]:
        """Serialised events; an empty chunk now and then lets the sender notice a closed client."""
        store, given = self._registry.store, self._query.get("resourceVersion", "")
        if given in ("", "0"):
            items, meta = self._registry.list(self._resource, self._namespace, self._selectors())
            rv = int(meta["resourceVersion"])
            yield b"".join(_line("ADDED", s.body) for s in items)
            if self._query.get("sendInitialEvents") == "true":
                yield self._bookmark(rv, initial_end=True)
        else:
            rv = int(given)
            if store.events_after(self._resource, rv) is None:
                yield self._gone(rv)
                return
        next_bookmark = self._next_bookmark()
        while not stopped():
            left = min(self._deadline, next_bookmark) - time.monotonic()
            with store.lock:
                events = store.events_after(self._resource, rv)
                if events == [] and left > 0:
                    store.changed[self._resource.key].wait(min(left, 1.0))
                    events = store.events_after(self._resource, rv)
                seen = store.revision
            if events is None:
                yield self._gone(rv)
                return
            yield b"".join(filter(None, (self._render(e) for e in events)))
            rv = seen  # nothing of this resource lies between the last event and `seen`
            moment = time.monotonic()
            if moment >= next_bookmark:
                next_bookmark = self._next_bookmark()
                if self._bookmarks:
                    yield self._bookmark(rv)
            if moment >= self._deadline:
                return

    def _next_bookmark(self) -> float:
        """Now and then, and once two seconds before the end."""
        now = time.monotonic()
        before_end = self._deadline - 2.0
        return min(now + self._bookmark_every, before_end if before_end > now else float("inf"))

    def _selectors(self) -> dict[str, str]:
        return {k: v for k, v in self._query.items() if k in ("labelSelector", "fieldSelector")}

    def _render(self, event: Event) -> bytes | None:
        """An object that leaves the selection is DELETED for this watcher, one that enters is ADDED."""
        metadata = event.current.obj["metadata"]
        if self._namespace and metadata.get("namespace") != self._namespace:
            return None
        if self._test is None:
            return _line(event.type, event.current.body)
        before = event.previous is not None and self._test(event.previous.obj)
        after = event.type != "DELETED" and self._test(event.current.obj)
        if not before and not after:
            return None
        kind = "MODIFIED" if before and after else ("ADDED" if after else "DELETED")
        if kind == "DELETED" and event.type != "DELETED":
            old = event.previous.obj  # as it last matched, at the revision of the change
            stamped = {**old, "metadata": {**old["metadata"], "resourceVersion": metadata["resourceVersion"]}}
            return _line(kind, json.dumps(stamped).encode())
        return _line(kind, event.current.body)

    def _bookmark(self, rv: int, initial_end: bool = False) -> bytes:
        metadata: Json = {"resourceVersion": str(rv), "creationTimestamp": None}
        if initial_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        obj = {"kind": self._resource.kind, "apiVersion": self._resource.api_version, "metadata": metadata}
        return _line("BOOKMARK", json.dumps(obj).encode())

    def _gone(self, rv: int) -> bytes:
        message = f"too old resource version: {rv} ({self._registry.store.revision})"
        return _line("ERROR", json.dumps(errors.expired(message).status()).encode())
