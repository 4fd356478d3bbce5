"""One controller at a time: the official client's Lease lock, in a loop that survives errors, with fencing.

A leader may write only while `may_write` is true. That is decided on this process's monotonic clock from the
moment before the last successful renewal was sent, so a process that was asleep knows at once that it must not.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from coref_k8s.cluster.api import ClusterApi
from coref_k8s.cluster.observed import pod_has_ended
from coref_k8s.cluster.resources import PODS
from coref_k8s.errors import ClusterError

log = logging.getLogger(__name__)

#: Share of the lease's duration after which a leader stops writing, before another may begin.
SAFETY = 0.8
#: Connect and read time-outs of one call (seconds).
TIMEOUTS = (3.0, 5.0)
#: How the name of a holder begins that is a pod's: of it can be known that it will not come back.
_POD = "pod/"


class LeaseLostError(ClusterError):
    """Raised before a write when this process is not the leader, or cannot know that it is."""


def identity() -> str:
    """Return a name for this process: its pod (COREF_POD) or host, its number, something random."""
    pod = os.environ.get("COREF_POD")
    return f"{_POD + pod if pod else socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"


class Lease:
    """Tries to become and to stay the leader, in a thread between `start` and `stop`.

    `on_change(leading)` is called from that thread when this process begins or ceases to lead.
    """

    def __init__(
        self,
        api: ClusterApi,
        name: str,
        *,
        seconds: int = 15,
        holder: str | None = None,
        on_change: Callable[[bool], None] = lambda leading: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.holder = holder or identity()
        self.name, self.seconds = name, seconds
        self._api, self._on_change, self._monotonic = api, on_change, monotonic
        self._election = _election(api, name, self.holder, seconds)
        self._until = -1.0
        self._leading = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def may_write(self) -> bool:
        """Return whether this process leads, and will for at least a moment."""
        return self._monotonic() < self._until

    def guard(self) -> None:
        """Raise LeaseLostError unless this process may write."""
        if not self.may_write():
            raise LeaseLostError("cluster.lease-lost", name=self.name)

    @property
    def leader(self) -> str:
        """Who leads, as last seen; empty when nobody was seen."""
        record = self._election.observed_record
        return (record.holder_identity or "") if record else ""

    def start(self) -> Lease:
        """Begin trying."""
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop trying, and give the lease back so that another controller need not wait for its end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(sum(TIMEOUTS) * 2)
        if self._until > self._monotonic():
            self._until = -1.0
            with suppress(Exception):
                self._release()

    def _run(self) -> None:
        pause = self.seconds / 4
        while not self._stop.is_set():
            self.attempt()
            self._stop.wait(pause)

    def attempt(self) -> bool:
        """Try once to take or renew the lease; return whether this process leads."""
        before = self._monotonic()
        try:
            held = self._election.try_acquire_or_renew()
            if not held and self._holder_is_gone():
                self._election.observed_time_milliseconds = 0  # nobody will renew it: it has run out
                held = self._election.try_acquire_or_renew()
        except Exception as error:  # the official lock lets through whatever its HTTP library raises
            log.warning("lease %s: %s", self.name, error)
            held = False
        # while it could not be renewed in time, studies were turned away: they are to be looked at again
        lapsed = self._leading and not self.may_write()
        if held:
            self._until = before + self.seconds * SAFETY
        elif self.leader not in ("", self.holder):
            self._until = -1.0  # somebody else holds it: there is nothing to wait for
        leading = self.may_write()
        if lapsed and leading:
            self._leading = False
            self._on_change(False)
        if leading != self._leading:
            self._leading = leading
            log.info("lease %s: %s", self.name, "leading" if leading else f"led by {self.leader or 'nobody'}")
            self._on_change(leading)
        return leading

    def _holder_is_gone(self) -> bool:
        """Return whether the holder is a pod that was deleted or has ended, or this one before its container began anew."""
        pod, _, _ = self.leader.removeprefix(_POD).partition("_")
        if not self.leader.startswith(_POD) or self.leader == self.holder:
            return False
        if self.holder.startswith(f"{_POD}{pod}_"):
            return True
        found, _ = self._api.list(PODS, fields=f"metadata.name={pod}")
        return all(pod_has_ended(one) for one in found)

    def _release(self) -> None:
        lock, record = self._election.election_config.lock, self._election.observed_record
        found, _ = lock.get(lock.name, lock.namespace)
        if found and lock.lease_reference.spec.holder_identity == self.holder:
            record.holder_identity = ""
            lock.update(lock.name, lock.namespace, record)
            log.info("lease %s: given back", self.name)


def _election(api: ClusterApi, name: str, holder: str, seconds: int) -> Any:
    from kubernetes import client
    from kubernetes.leaderelection import electionconfig, leaderelection
    from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

    # it logs every renewal, and every failure twice; what matters is logged here
    logging.getLogger("leaderelection").setLevel(logging.ERROR)
    lock = LeaseLock(name, api.namespace, holder)
    lock.api_instance = _WithTimeouts(client.CoordinationV1Api(api.official))
    settings = electionconfig.Config(
        lock,
        lease_duration=seconds,
        renew_deadline=seconds * SAFETY,
        retry_period=max(1, seconds / 4),
        onstarted_leading=lambda: None,
        onstopped_leading=lambda: None,
    )
    return leaderelection.LeaderElection(settings)


class _WithTimeouts:
    """The official API with time-outs, which it does not have by itself."""

    def __init__(self, api: Any) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return partial(getattr(self._api, name), _request_timeout=TIMEOUTS)
