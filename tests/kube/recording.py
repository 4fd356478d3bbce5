"""The Event that a component records about an object, as the real ones write it (core/v1)."""

from __future__ import annotations

from typing import Any

from tests.kube.store import now

Json = dict[str, Any]


def event_about(obj: Json, of: Json, reason: str, message: str, *, kind: str, source: str) -> Json:
    """Return the Event; `of` holds apiVersion and kind, which listed objects lack."""
    meta = obj["metadata"]
    named = {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": meta["name"][:50] + "."},
        "involvedObject": of | named,
        "reason": reason,
        "message": message,
        "type": kind,
        "count": 1,
        "firstTimestamp": now(),
        "lastTimestamp": now(),
        "source": {"component": source},
    }
