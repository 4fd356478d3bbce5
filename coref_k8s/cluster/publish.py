"""Writes what the cluster is told of a study: its status, when that changed, and events."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from coref_k8s.cluster import names
from coref_k8s.cluster.api import ClusterApi
from coref_k8s.cluster.errors import ApiRefusal, NotFound
from coref_k8s.cluster.resources import EVENTS, STUDIES
from coref_k8s.cluster.study_status import EventNote, Trouble, stamp, trouble_notes, waiting_status
from coref_k8s.errors import ClusterError
from coref_k8s.telemetry.bus import utc_now

Json = dict[str, Any]
log = logging.getLogger(__name__)

#: What the API server says of a resource whose stored request has other types than its definition: it takes no status.
_UNTYPED = "failed to create typed live object"
#: Longest pause after a status that was not taken; it doubles from a second on, whatever happens meanwhile (seconds).
LONGEST_PAUSE = 60.0


class Publisher:
    """Server-side apply of statuses, at most one in `least_seconds` a study unless its phase changed.

    `guard` is called before every write and raises when this process may not write.
    """

    def __init__(
        self,
        api: ClusterApi,
        *,
        least_seconds: float = 2.0,
        guard: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._api, self._least, self._guard, self._monotonic = api, least_seconds, guard, monotonic
        self._clock = clock
        self._told: dict[str, tuple[Json, float]] = {}  # uid: what was written, when
        self._refused: dict[str, tuple[int, float]] = {}  # uid: how often in a row, when to try again

    def last(self, resource: Json) -> Json:
        """Return the status that was written last, or that the resource has."""
        told = self._told.get(resource["metadata"]["uid"])
        return told[0] if told else resource.get("status") or {}

    def status(self, resource: Json, status: Json) -> float | None:
        """Write a status if it says something new; return when to come back (seconds) if it is too early."""
        metadata = resource["metadata"]
        known = self.last(resource)
        if status == known:
            return None
        now = self._monotonic()
        told = self._told.get(metadata["uid"])
        if told and status.get("phase") == known.get("phase") and (left := told[1] + self._least - now) > 0:
            return left
        refusals, again = self._refused.get(metadata["uid"], (0, now))
        if again > now:
            return again - now
        self._guard()
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {key: metadata[key] for key in ("name", "namespace")},
            "status": status,
        }
        try:
            self._api.apply_status(STUDIES, body)
        except NotFound:
            pass  # deleted meanwhile
        except ClusterError as error:
            if not (isinstance(error, ApiRefusal) and _UNTYPED in error.said):
                pause = min(2.0**refusals, LONGEST_PAUSE)
                self._refused[metadata["uid"]] = refusals + 1, now + pause
                raise
            log.warning("study %s: its status cannot be written: %s", metadata["name"], error)
        self._refused.pop(metadata["uid"], None)
        self._told[metadata["uid"]] = status, now
        for note in trouble_notes(known, status):
            self.event(resource, note, self._clock())
        return None

    def warn(self, resource: Json, trouble: Trouble) -> None:
        """Say once, in an event alone, what keeps a study from being taken up."""
        bare = {"metadata": resource["metadata"]}
        uid, told = resource["metadata"]["uid"], waiting_status(bare, trouble, self._clock())
        if self._told.get(uid, ({}, 0.0))[0].get("message") != told["message"]:
            self._told[uid] = told, self._monotonic()
            for note in trouble_notes({}, told):
                self.event(resource, note, self._clock())

    def forget(self, uid: str) -> None:
        """Drop what is remembered of a resource that is gone."""
        self._told.pop(uid, None)
        self._refused.pop(uid, None)

    def forget_all(self) -> None:
        """Drop everything: somebody else may have written meanwhile."""
        self._told.clear()
        self._refused.clear()

    def event(self, resource: Json, note: EventNote, now: datetime) -> None:
        """Write an event; one that cannot be written is only logged, since events are no one's memory."""
        metadata = resource["metadata"]
        self._guard()
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{metadata['name']}.{uuid.uuid4().hex[:16]}",
                "namespace": metadata["namespace"],
            },
            "involvedObject": {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
            "type": note.kind,
            "reason": note.reason,
            "message": note.message,
            "firstTimestamp": stamp(now),
            "lastTimestamp": stamp(now),
            "count": 1,
            "source": {"component": names.FIELD_MANAGER},
            "reportingComponent": names.FIELD_MANAGER,
            "reportingInstance": "",
        }
        try:
            self._api.create(EVENTS, body)
        except ClusterError as error:
            log.warning("event %s of %s: %s", note.reason, metadata["name"], error)
