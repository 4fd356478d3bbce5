"""What is known of a trial, free of Optuna's types."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from coref_k8s.study.names import Kind
from coref_k8s.wording import Message

#: Attributes of a trial in the storage that are facts of a record; a finalist's run has its parameters among them.
METRICS_ATTR, REASON_ATTR, PARAMS_ATTR = "metrics", "reason", "params"
#: Attribute of a trial with its training loss so far: pairs of a step and the mean loss (nats) of the steps up to it.
LOSSES_ATTR = "losses"
#: Attribute of a trial with the metrics of its last evaluation that rest on too few items; a full one has its `evidence`.
NOT_GIVEN_ATTR = "not_given"
#: Attributes that only the run of a finalist has: what it stands for, the number of its trial (none of the defaults and of
#: the untuned model), and its seed.
ROLE_ATTR, TRIAL_ATTR, SEED_ATTR = "role", "of_trial", "seed"
#: Best trials that are carried over from one length, or study, to another.
CARRIED = 3


class TrialState(StrEnum):
    """Life of a trial in the storage."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True)
class TrialRecord:
    """One trial as the storage has it; times are timezone-aware UTC."""

    seq_len: int
    number: int
    trial_id: int
    state: TrialState
    params: dict[str, Any]
    value: float | None = None
    """The score; of a pruned trial its last reported one."""
    intermediate: dict[int, float] = field(default_factory=dict)
    """Score by evaluation (1 is the first)."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Every metric of the last evaluation by name."""
    attrs: dict[str, Any] = field(default_factory=dict)
    """Other facts, such as `item_scores`."""
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def reason(self) -> Message:
        """Why it failed, was stopped by itself or given up; may be empty."""
        return Message.load(self.attrs.get(REASON_ATTR))

    @property
    def seconds(self) -> float | None:
        """How long it took; None unless it has begun and ended."""
        begun, ended = self.started_at, self.finished_at
        return (ended - begun).total_seconds() if begun and ended else None

    @property
    def not_given(self) -> Collection[str]:
        """Metrics that rest on too few items to be shown to a person, `score` among them where it weighs one."""
        known = self.attrs.get("evidence", self.attrs)
        found: Collection[str] = known.get(NOT_GIVEN_ATTR, ())
        return found

    @cached_property
    def shown(self) -> dict[str, float]:
        """The score and the metrics that a person is shown."""
        known = self.metrics if self.value is None else {**self.metrics, "score": self.value}
        return {name: value for name, value in known.items() if name not in self.not_given}

    @property
    def kind(self) -> Kind:
        """Whether it is a trial of the search or the run of a finalist, which has a number of its own."""
        return Kind.FINALIST if ROLE_ATTR in self.attrs else Kind.TRIAL

    @property
    def open(self) -> bool:
        """Whether the trial was asked for and has no outcome yet."""
        return self.state is TrialState.RUNNING


def unusable(record: TrialRecord) -> Message | None:
    """Return what to say of a trial with values that are not finite, which no sampler can use; None for one without."""
    values = [*record.intermediate.values(), *([] if record.value is None else [record.value])]
    found = sorted({str(value) for value in values if not math.isfinite(value)})
    if not found:
        return None
    return Message.of("search.not-finite", trial=record.number, length=record.seq_len, values=found)


def ranked(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the complete trials with a finite score, best first; equal scores in order of their number."""
    complete = [
        r
        for r in records
        if r.state is TrialState.COMPLETE and r.value is not None and math.isfinite(r.value)
    ]
    return sorted(complete, key=lambda r: (-(r.value or 0.0), r.number))
