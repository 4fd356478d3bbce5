"""What the store holds: one record a study, one record an ended attempt."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from coref_k8s.study.names import Kind
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import NOTHING, Message


class Phase(StrEnum):
    """Where a study is in its life."""

    PENDING = "Pending"
    PREPARING = "Preparing"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


#: Phases in which nothing runs any more; only `resume` leaves them.
TERMINAL = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED})


class Outcome(StrEnum):
    """How an attempt ended; GPU time is accounted by it."""

    SUCCEEDED = "succeeded"
    PRUNED = "pruned"
    FAILED = "failed"
    OUT_OF_MEMORY = "out_of_memory"
    DISRUPTED = "disrupted"  # not the trial's fault; counts against maxDisruptions
    STOPPED = "stopped"  # by us: cancelled, interrupted, a limit; counts against nothing


@dataclass(frozen=True)
class StudyRecord:
    """A study as the database has it. Times are UTC."""

    namespace: str
    """Kubernetes namespace; empty on one machine."""
    name: str
    spec_json: str = field(repr=False)
    phase: Phase
    message: Message
    """Why the study is in its phase; may be empty."""
    cancel_requested: bool
    prepared: str | None
    """Folder of the prepared data below the data root; None until preparation has succeeded."""
    statistics_json: str | None = field(repr=False)
    created_at: datetime
    started_at: datetime | None
    """First time the controller took it up."""
    resumed_at: datetime | None
    """Last time it was submitted or resumed; `limits.maxDuration` counts from here."""
    finished_at: datetime | None

    @cached_property
    def spec(self) -> StudySpec:
        """The request."""
        return StudySpec.model_validate_json(self.spec_json)

    @property
    def statistics(self) -> dict[str, Any]:
        """What preparation counted; empty before it has succeeded."""
        return json.loads(self.statistics_json) if self.statistics_json else {}

    @property
    def ended(self) -> bool:
        """Whether the study has reached a terminal phase."""
        return self.phase in TERMINAL


@dataclass(frozen=True)
class AttemptRecord:
    """One job that has ended. `log_tail` is the end of its log (at most 4 KiB), kept for failures."""

    job_name: str
    kind: Kind
    seq_len: int | None
    trial: int | None
    attempt: int
    tier: int
    """Memory tier it ran in: 0 as requested, higher after running out of memory."""
    outcome: Outcome
    reason: str = ""
    """One word (see `coref_k8s.controller.runner.Reason`); empty when it succeeded."""
    message: Message = NOTHING
    exit_code: int | None = None
    retries: int = 0
    disruptions: int = 0
    gpus: int = 0
    gpu_seconds: float = 0.0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    node: str = ""
    log_tail: str = field(default="", repr=False)
