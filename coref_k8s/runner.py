"""The contract between the controller and whatever runs a trial: Kubernetes Jobs or local processes.

One behaviour suite (`tests/runner_contract.py`) runs against every implementation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from coref_k8s.sizing.plan import BatchPlan, Resources
from coref_k8s.study import Request, StudySpec


class Kind(StrEnum):
    """What a job does."""

    PREPARE = "prepare"
    TRIAL = "trial"
    FINALIST = "finalist"
    VERDICT = "verdict"


#: Kinds of jobs that need no GPU.
WITHOUT_GPU = frozenset({Kind.PREPARE, Kind.VERDICT})


class Order(Request):
    """Everything that one job must know, except secrets; passed as JSON in `COREF_ORDER` or a file."""

    kind: Kind
    """What to do."""
    study: str
    """Study name."""
    namespace: str = ""
    """Namespace of the study; empty on one machine."""
    spec: StudySpec
    """The request."""
    attempt: int = 1
    """1 for the first Job of this trial; every further Job (more memory, disruption) adds 1."""
    seq_len: int | None = None
    """Sequence length (tokens); none for preparation."""
    trial: int | None = None
    """Trial number in the study of its length."""
    trial_id: int | None = None
    """The trial's id in the storage."""
    params: dict[str, Any] = {}
    """Sampled parameters by name (see `coref_k8s.study.PARAMETERS`)."""
    seed: int = 0
    """Seed of this trial."""
    untuned: bool = False
    """Score the model as it is, without training it."""
    batch: BatchPlan | None = None
    """Batch, accumulation and checkpointing; none for preparation."""
    resources: Resources
    """What the job may use."""
    workdir: str
    """Folder of this job below the data root: checkpoints, model, result, log."""
    prepared: str = ""
    """Folder of the prepared data below the data root."""

    @property
    def name(self) -> str:
        """Deterministic job name: creating it twice is creating it once."""
        return job_name(self.study, self.kind, self.seq_len, self.trial, self.attempt)


def job_name(study: str, kind: Kind, seq_len: int | None, trial: int | None, attempt: int) -> str:
    """`<study>-<len>-<trial>-<attempt>`, with the kind in it unless it is a trial."""
    parts = [study]
    if kind is not Kind.TRIAL:
        parts.append(kind.value)
    parts += [str(part) for part in (seq_len, trial) if part is not None]
    return "-".join([*parts, str(attempt)])


def trial_folder(spec: StudySpec, study: str, seq_len: int, trial: int) -> str:
    """`studies/<study>/<len>/<trial>`: the folder of a trial below the data root.

    Where a study has one thing to do, a second trial (after the first has failed and the study was resumed) is
    that same thing, and goes on in its folder.
    """
    number = trial if spec.purpose.kind == "search" else 0
    return f"studies/{study}/{seq_len}/{number}"


class State(StrEnum):
    """What is seen of a job."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Reason(StrEnum):
    """Why a job failed or waits, in one word."""

    INVALID = "Invalid"  # exit 42
    GPU_OUT_OF_MEMORY = "GpuOutOfMemory"  # exit 43
    HOST_OUT_OF_MEMORY = "HostOutOfMemory"  # exit 137 by the memory limit
    DISRUPTED = "Disrupted"  # preempted, evicted, node or machine lost, exit 143
    CRASHED = "Crashed"  # anything else, after its retries
    UNSCHEDULABLE = "Unschedulable"
    IMAGE = "ImagePull"
    SUSPENDED = "Suspended"


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
    message: str = ""
    exit_code: int | None = None
    retries: int = 0
    disruptions: int = 0
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
