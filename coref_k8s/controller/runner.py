"""The contract between the controller and whatever runs a trial: Kubernetes Jobs or local processes.

One behaviour suite (`tests/runner_contract.py`) runs against every implementation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order, Resources
from coref_k8s.study.spec import PodSpec
from coref_k8s.wording import NOTHING, Message


class State(StrEnum):
    """What is seen of a job."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Reason(StrEnum):
    """Why a job failed or waits, in one word; in more words: `controller.reason-<in lower case>`."""

    INVALID = "Invalid"  # exit 42
    GPU_OUT_OF_MEMORY = "GpuOutOfMemory"  # exit 43
    HOST_OUT_OF_MEMORY = "HostOutOfMemory"  # exit 137 by the memory limit
    DISRUPTED = "Disrupted"  # preempted, evicted, node or machine lost, exit 143
    CRASHED = "Crashed"  # anything else, after its retries
    UNSCHEDULABLE = "Unschedulable"
    REFUSED = "Refused"  # nobody may make its pod: a quota, an admission policy or its webhook
    NOT_STARTED = "NotStarted"  # its pod has a node and does not start: a volume, a Secret
    IMAGE = "ImagePull"
    SUSPENDED = "Suspended"
    NO_RESULT = "NoResult"  # ended well, and left none


@dataclass(frozen=True)
class ObservedJob:
    """One job as it was last seen."""

    name: str
    uid: str
    study: str
    kind: Kind
    seq_len: int | None
    trial: int | None
    attempt: int
    state: State
    reason: Reason | None = None
    message: Message = NOTHING
    said: str = ""
    """Last words of its program, where it left any."""
    exit_code: int | None = None
    retries: int = 0
    disruptions: int = 0
    pod: str = ""
    """What its pods were asked to be (`Runner.pod_digest`); empty where that is not known."""
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    earlier_seconds: float = 0.0
    """How long it ran before `started_at`, in pods that are gone."""
    node: str = ""
    stopped: str = ""
    """Why `stop` was called for it; empty when it was not. Kept with the job, for the next controller to know."""

    @property
    def live(self) -> bool:
        """Whether the job may still do something."""
        return self.state in (State.PENDING, State.RUNNING)


class Runner(Protocol):
    """Runs orders. All methods are idempotent; times are timezone-aware UTC."""

    def capacity(self) -> int | None:
        """Most jobs that can run at once here; None when the scheduler decides."""
        ...

    def pod_digest(self, pod: PodSpec, resources: Resources) -> str:
        """Return what tells pods apart that were asked for otherwise, by the request or the installation."""
        ...

    def list(self, study: str) -> list[ObservedJob]:
        """Return the jobs of a study that exist, finished ones included until removed."""
        ...

    def start(self, order: Order) -> None:
        """Create the job; a job of that name that exists already is success."""
        ...

    def stop(self, job: ObservedJob, why: str = "stopped") -> None:
        """End the job: SIGTERM, then SIGKILL after its grace period; gone is success. Keeps the log, and why."""
        ...

    def remove(self, job: ObservedJob) -> None:
        """Forget a job (its record, not its results), stopping it first."""
        ...

    def logs(self, job: str, *, tail: int | None = None, follow: bool = False) -> Iterator[str]:
        """Yield the job's log lines, of all its retries; NotFoundError when there is no such job."""
        ...
