"""Why a job waits, where neither it nor its pods say it: the events about them, asked for rarely and one at a time.

Pods that a quota or a webhook refuses, volumes that are not bound or not mounted, and what a queue lacks are told in
events only. A list of a namespace's events is much work for an API server, and most say the same again and again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from coref_k8s.cluster import names
from coref_k8s.cluster.api import ClusterApi
from coref_k8s.cluster.observed import parse_time
from coref_k8s.cluster.resources import EVENTS
from coref_k8s.controller.runner import ObservedJob, Reason, State
from coref_k8s.errors import ClusterError
from coref_k8s.wording import Message

Json = Mapping[str, Any]
log = logging.getLogger(__name__)

#: What has waited for so long is asked about; most pods run by then.
ASK_AFTER = timedelta(seconds=10)
#: Without a word of anybody for so long, that itself is worth a word.
SILENT_FOR = timedelta(seconds=30)
#: First and longest pause between two questions about one thing (seconds); it doubles in between.
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 300.0
#: Most things asked about in one look at a study: the others mostly wait for the same.
MOST_ASKED = 2
#: Most characters of a name that Kueue takes into the name of its Workload, whatever its version.
_WORKLOAD_PREFIX = 57


class _Word(NamedTuple):
    """The last event about something."""

    warning: bool
    message: str
    at: datetime


class Explainer:
    """Asks for events in one namespace, and remembers the answers."""

    def __init__(
        self, api: ClusterApi, namespace: str, claim: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._api, self._namespace, self._claim, self._monotonic = api, namespace, claim, monotonic
        self._known: dict[str, _Word | None] = {}
        self._again: dict[str, tuple[float, float]] = {}  # when to ask again, and the pause after that
        self._left = 0

    def look(self) -> None:
        """Begin a look at one study, which may ask about `MOST_ASKED` things."""
        self._left = MOST_ASKED
        now = self._monotonic()
        for key in [key for key, (again, _) in self._again.items() if now - again > LONGEST_PAUSE]:
            del self._again[key]
            self._known.pop(key, None)

    def explained(self, seen: ObservedJob, job: Json, pods: Iterable[Json], now: datetime) -> ObservedJob:
        """Return what was seen of a job with the reason why it waits, as far as anybody says it."""
        if seen.state is not State.PENDING or seen.created_at is None or now - seen.created_at < ASK_AFTER:
            return seen
        if seen.reason is Reason.SUSPENDED:
            return self._queued(seen, job)
        ordered = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
        pod = next((one for one in reversed(ordered) if one["status"].get("phase") == "Pending"), None)
        silent = now - seen.created_at >= SILENT_FOR
        if pod is None:
            return self._without_pod(seen, job, ordered, silent=silent)
        if pod["spec"].get("nodeName"):
            return self._starting(seen, pod)
        return self._unplaced(seen, pod, silent=silent)

    def _queued(self, seen: ObservedJob, job: Json) -> ObservedJob:
        """Say what a queue that has suspended it lacks, as Kueue tells it of its Workload."""
        if not (queue := job["metadata"]["labels"].get(names.QUEUE_LABEL)):
            return seen
        name = f"job-{seen.name}"[:_WORKLOAD_PREFIX]
        # its reason is called Pending in some versions and WaitingForQuota and more in others
        word = self._ask(
            seen.uid, {"kind": "Workload"}, only="type=Warning", about_name=lambda one: one.startswith(name)
        )
        if word is None:
            return seen
        return replace(seen, message=Message.of("cluster.queued", queue=queue, why=word.message))

    def _without_pod(self, seen: ObservedJob, job: Json, pods: list[Json], *, silent: bool) -> ObservedJob:
        """Say why there is no pod: a quota, an admission policy or a webhook refuses it."""
        if job.get("status", {}).get("active"):
            return seen  # not shown yet, or in another cluster
        about = {"kind": "Job", "uid": str(job["metadata"]["uid"])}
        word = self._ask(seen.uid, about, only="reason=FailedCreate")
        last = parse_time(pods[-1]["metadata"].get("creationTimestamp")) if pods else None
        if word is not None and (last is None or word.at >= last):
            return replace(seen, reason=Reason.REFUSED, message=Message.verbatim(word.message))
        if pods or not silent:
            return seen  # one that failed is replaced after a pause of the Job's own
        return replace(seen, reason=Reason.REFUSED, message=Message.of("cluster.no-pod", job=seen.name))

    def _starting(self, seen: ObservedJob, pod: Json) -> ObservedJob:
        """Say what a pod waits for on its node: a volume, a Secret, its network; or what is done meanwhile."""
        if seen.message and seen.reason is not Reason.NOT_STARTED:
            return seen
        metadata = pod["metadata"]
        word = self._ask(metadata["uid"], {"kind": "Pod", "uid": metadata["uid"]})
        if word is None:
            return seen
        reason = Reason.NOT_STARTED if word.warning else seen.reason
        return replace(seen, reason=reason, message=Message.verbatim(word.message))

    def _unplaced(self, seen: ObservedJob, pod: Json, *, silent: bool) -> ObservedJob:
        """Say why a pod has no node where the scheduler says nothing, or speaks of its volume."""
        told = str(seen.message)
        if told and "persistentvolumeclaim" not in told.lower():
            return seen
        word = self._ask(self._claim, {"kind": "PersistentVolumeClaim", "name": self._claim})
        if word is not None and (told or silent):
            values = {"claim": self._claim, "why": word.message, "told": told}
            message = Message.of("cluster.volume-of" if told else "cluster.volume", **values)
            return replace(seen, reason=Reason.UNSCHEDULABLE, message=message)
        if told or not silent:
            return seen
        unseen = Message.of("cluster.not-placed", pod=pod["metadata"]["name"])
        return replace(seen, reason=Reason.UNSCHEDULABLE, message=unseen)

    def _ask(
        self,
        key: str,
        about: Mapping[str, str],
        *,
        only: str = "",
        about_name: Callable[[str], bool] | None = None,
    ) -> _Word | None:
        """Return the last event about something, from memory while it is too early to ask again."""
        now = self._monotonic()
        again, pause = self._again.get(key, (now, FIRST_PAUSE))
        if now < again or self._left <= 0:
            return self._known.get(key)
        self._left -= 1
        self._again[key] = now + pause, min(2 * pause, LONGEST_PAUSE)
        fields = [f"involvedObject.{name}={value}" for name, value in about.items()]
        fields += [only] if only else []
        try:
            found, _ = self._api.list_page(EVENTS, self._namespace, fields=",".join(fields))
        except ClusterError as error:
            # an older role has not the right to; a reason less is no trouble of the study
            log.info("events about %s cannot be read: %s", key, error)
            self._known.setdefault(key, None)
            return self._known[key]
        named = about_name or (lambda _: True)
        words = [_word(event) for event in found if named(str(event["involvedObject"].get("name")))]
        self._known[key] = max(words, key=lambda word: word.at, default=None)
        return self._known[key]


def _word(event: Json) -> _Word:
    times = (event.get("lastTimestamp"), (event.get("series") or {}).get("lastObservedTime"))
    known = [moment for text in (*times, event.get("eventTime")) if (moment := parse_time(text)) is not None]
    message = " ".join(str(event.get("message") or event.get("reason") or "").split())
    return _Word(
        event.get("type") == "Warning", message, max(known, default=datetime.min.replace(tzinfo=UTC))
    )
