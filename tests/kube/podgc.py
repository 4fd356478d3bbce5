"""The stand-in pod garbage collector: pods that no kubelet will ever finish.

Mirrors kube-controller-manager's podgc, without its 20 s period and its 40 s quarantine for lost nodes: pods of a
deleted node and terminating pods that were never scheduled are marked Failed, then removed.
"""

from __future__ import annotations

import threading
from typing import Any

from tests.kube.delayqueue import DelayQueue
from tests.kube.errors import ApiError
from tests.kube.registry import Registry
from tests.kube.resources import Resource
from tests.kube.store import Event
from tests.kube.subresources import with_condition

Json = dict[str, Any]


class PodGarbageCollector:
    """One thread; used with the fake only."""

    def __init__(self, registry: Registry):
        self._registry, self._pods = registry, registry.resource("pods")
        self._queue: DelayQueue[tuple[str, str]] = DelayQueue()
        registry.store.listeners.append(self._notice)
        self._thread = threading.Thread(target=self._run, name="pod-gc", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._queue.close()
        self._thread.join(5)

    def _notice(self, resource: Resource, event: Event) -> None:
        metadata = event.current.obj["metadata"]
        if resource.plural == "nodes" and event.type == "DELETED":
            for stored in self._registry.store.list(self._pods):
                if stored.obj["spec"].get("nodeName") == metadata["name"]:
                    self._queue.add((stored.obj["metadata"]["namespace"], stored.obj["metadata"]["name"]))
        elif resource.key == self._pods.key and "deletionTimestamp" in metadata and event.type != "DELETED":
            self._queue.add((metadata["namespace"], metadata["name"]))

    def _run(self) -> None:
        while (key := self._queue.take()) is not None:
            with self._registry.store.lock:
                self._handle(key)

    def _handle(self, key: tuple[str, str]) -> None:
        stored = self._registry.store.get(self._pods, key)
        if stored is None:
            return
        pod = stored.obj
        node = pod["spec"].get("nodeName")
        lost = bool(node) and self._registry.store.get(self._registry.resource("nodes"), ("", node)) is None
        if not lost and (node or "deletionTimestamp" not in pod["metadata"]):
            return
        if pod["status"].get("phase") not in ("Succeeded", "Failed"):

            def fail(live: Json) -> Json:
                live["status"]["phase"] = "Failed"
                if lost:
                    text = "PodGC: node no longer exists"
                    live = with_condition(live, "DisruptionTarget", "True", "DeletionByPodGC", text)
                return live

            self._registry.update(self._pods, *key, fail, status=True, manager="kube-controller-manager")
        try:
            self._registry.delete(self._pods, *key, {"gracePeriodSeconds": 0})
        except ApiError as error:
            if error.code != 404:
                raise
