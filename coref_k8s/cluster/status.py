"""`StudyStatus`: what the custom resource says about its study; small, however many trials there are."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from coref_k8s.study.spec import Request

Phases = Literal["Pending", "Preparing", "Running", "Succeeded", "Failed", "Cancelled"]


class Condition(StrEnum):
    """Types of the conditions on a study."""

    ACCEPTED = "Accepted"
    """The request is valid and the database holds it."""
    PREPARED = "Prepared"
    """The data are prepared."""
    PROGRESSING = "Progressing"
    """Trials are running or can be started."""
    DEGRADED = "Degraded"
    """Something keeps trials from running: images, scheduling, memory, the database."""
    COMPLETE = "Complete"
    """The study has ended."""


class ConditionReason(StrEnum):
    """Reasons that conditions give, one word each."""

    ACCEPTED = "Accepted"
    INVALID = "Invalid"
    CONFLICT = "Conflict"
    PREPARING = "Preparing"
    PREPARED = "Prepared"
    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    AS_EXPECTED = "AsExpected"
    DATABASE = "DatabaseUnavailable"
    VERSION = "VersionMismatch"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE = "ImagePull"
    NOT_STARTED = "NotStarted"
    SUSPENDED = "Suspended"
    DISRUPTED = "Disrupted"
    CRASHED = "Crashed"
    OUT_OF_MEMORY = "OutOfMemory"
    REFUSED = "Refused"
    ERROR = "Error"


class StatusCondition(Request):
    """A Kubernetes condition."""

    type: str = Field(max_length=64)
    """What is said to hold or not."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: str = Field(max_length=64)
    """Why, in one word."""
    message: str = ""
    """Why, in words."""
    last_transition_time: datetime
    """When the status last changed."""
    observed_generation: int | None = None
    """Generation of the request that was judged."""


class TrialCounts(Request):
    """Trials by state."""

    total: int = 0
    """Trials asked for, over all lengths."""
    done: int = 0
    """Trials with an outcome."""
    running: int = 0
    """Trials whose pod runs."""
    waiting: int = 0
    """Trials begun whose pod does not run: suspended, refused, or without a node, an image or a volume yet; and what waits
    so beside them: the preparation, runs of finalists, their comparison."""
    succeeded: int = 0
    """Trials with a score."""
    pruned: int = 0
    """Trials given up early by the pruner."""
    failed: int = 0
    """Trials that failed."""


class BestTrial(Request):
    """The best trial of one length: the winner of its finalists, or else the best single run."""

    seq_len: int
    """Sequence length (tokens)."""
    trial: int
    """Trial number."""
    score: float = Field(strict=False)
    """Its score on dev; of a winner of finalists the mean over its runs."""
    params: dict[str, Any] = {}
    """Its parameters."""
    runs: int | None = None
    """Complete runs with fresh seeds that it was confirmed by; none before there is a verdict."""
    test: float | None = Field(default=None, strict=False)
    """Its score on test, over these runs."""
    test_low: float | None = Field(default=None, strict=False)
    """Lower end of the 95 % interval of `test` over documents."""
    test_high: float | None = Field(default=None, strict=False)
    """Upper end of it."""
    against_untuned: str | None = None
    """`better`, `worse` or `no difference shown`, on test, than the untuned model."""
    against_defaults: str | None = None
    """The same against the default parameters."""


class StudyStatus(Request):
    """What the controller observed last."""

    phase: Phases | None = None
    """Where the study is in its life."""
    message: str | None = None
    """Why it is there, in words."""
    observed_generation: int | None = None
    """Generation of the request that this status is about."""
    progress: str | None = None
    """Trials done of those asked for, such as `7/60`."""
    trials: TrialCounts | None = None
    """Trials by state."""
    best: tuple[BestTrial, ...] = Field(default=(), strict=False)
    """Best trial of each length."""
    finalists: str | None = None
    """Runs of finalists with an outcome, of those planned, such as `4/10`."""
    best_score: str | None = None
    """Highest score and its length, such as `0.6123 (2048)`."""
    start_time: datetime | None = None
    """When the controller first took the study up."""
    completion_time: datetime | None = None
    """When the study ended."""
    resumed: str | None = None
    """Last wish to resume (annotation) that was followed."""
    version: str | None = None
    """coref-k8s of the controller that wrote this status."""
    results: str | None = None
    """Where the controller answers questions about trials: `namespace/service:port`."""
    conditions: tuple[StatusCondition, ...] = Field(default=(), strict=False)
    """What holds and what does not."""
