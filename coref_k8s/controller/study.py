"""What every reading of a study has in common: `Snapshot` (what `plan` decides from), `Progress` (status and metrics) and
`StudyView` (all of its trials, for whoever shows it)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Self

from coref_k8s.store.records import Phase, Standing
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import NOTHING, Message


class _Reading:
    @classmethod
    def like(cls, other: Any, **more: Any) -> Self:
        """Return a reading with the fields that it shares with another one, and `more`."""
        shared = {f.name for f in fields(cls)} & {f.name for f in fields(other)}  # type: ignore[arg-type]
        return cls(**{name: getattr(other, name) for name in shared - more.keys()}, **more)


@dataclass(frozen=True, kw_only=True)
class StudyState(_Reading, Standing):
    """Who a study is, what it asks for and where it is in its life. Times are UTC."""

    namespace: str
    """Kubernetes namespace; empty on one machine."""
    name: str
    phase: Phase
    message: Message
    """Why it is in its phase; may be empty."""
    spec: StudySpec
    """What it asks for, as far as this version knows it."""
    version: str = ""
    """coref-k8s that wrote the request; empty where that is not known."""
    not_understood: Message = NOTHING
    """Why this version must not run the study, though it may show it: what it does not know of it."""
    created_at: datetime
    started_at: datetime | None = None
    """When it was first taken up."""
    resumed_at: datetime | None = None
    """When it was last submitted, resumed or extended."""
    finished_at: datetime | None = None
    prepared: str | None = None
    """Folder of the prepared data below the data folder; None until there are any."""
    interrupted: bool = False
    """Whether it has not ended and nobody works on it, where that is known: on one machine."""
    expected: Mapping[int, float] = field(default_factory=dict)
    """What a trial of each length was expected to take before any had ended (seconds); empty before that was worked out."""
    capacity: int | None = None
    """Most jobs at once where it runs; None where a scheduler decides, or where that is not known."""

    @property
    def slots(self) -> int:
        """Most jobs of this study at once: what it asks for, and what the place where it runs carries."""
        asked = self.spec.parallelism
        return asked if self.capacity is None else min(asked, self.capacity)

    @property
    def counted_from(self) -> datetime:
        """From here on `limits.maxDuration` counts, and what went wrong before is forgiven."""
        return self.resumed_at or self.started_at or self.created_at

    def counted(self, now: datetime) -> timedelta:
        """Time that counts against `limits.maxDuration`."""
        return (self.finished_at or now) - self.counted_from

    def elapsed(self, now: datetime) -> timedelta | None:
        """Time since the study was first taken up; None before, and while nobody works on it."""
        if self.started_at is None or self.interrupted:
            return None
        return (self.finished_at or now) - self.started_at


@dataclass(frozen=True, kw_only=True)
class LengthState(_Reading):
    """The trials of one sequence length in numbers."""

    seq_len: int
    planned: int = 0
    """Trials that the request asks for."""
    complete: int = 0
    pruned: int = 0
    failed: int = 0
    forgiven: int = 0
    """Of these, failed before the study was last resumed: other trials take their places."""
    exhausted: Message | None = None
    """Why no more trials are begun before all are; None while they are, and where that is not known."""
    planned_runs: int = 0
    """Runs of finalists that follow the search; 0 without finalists."""
    runs_done: int = 0
    """Those with an outcome, as far as they still count."""
    complete_seconds: float = 0.0
    """What the complete trials took (seconds, summed)."""
    begun_at: tuple[datetime, ...] = ()
    """When each trial began that has no outcome yet."""

    @property
    def failed_lately(self) -> int:
        """Failed since the study was last resumed."""
        return self.failed - self.forgiven

    @property
    def done(self) -> int:
        """Trials with an outcome that counts."""
        return self.complete + self.pruned + self.failed_lately

    @property
    def mean_seconds(self) -> float | None:
        """Mean duration of complete trials (seconds); None before there is one."""
        return self.complete_seconds / self.complete if self.complete else None

    @property
    def left(self) -> int:
        """Trials and runs of finalists without an outcome."""
        trials = len(self.begun_at) if self.exhausted else max(0, self.planned - self.done)
        return trials + max(0, self.planned_runs - self.runs_done)


def preparing(failed: Sequence[Message]) -> Message:
    """Return that the data are being prepared; `failed` is how each attempt at it ended before."""
    if not failed:
        return Message.of("controller.preparing")
    return Message.of("controller.preparing-again", n=len(failed), why=failed[-1])


def remaining(
    lengths: Iterable[LengthState], slots: int, now: datetime, expected: Mapping[int, float] | None = None
) -> timedelta | None:
    """Return the estimated time until every trial is done, `slots` at once.

    What a trial takes is known of lengths with complete trials. Of others it is what was `expected` of it (seconds), times what
    the known ones have taken more or less than expected; without any expectation it is the nearest known one's, by tokens.
    A trial that runs longer than that takes nothing from those that have not begun. None when neither is there, or when
    only such trials are left: when they end nobody knows.
    """
    lengths, expected = list(lengths), expected or {}
    known = {one.seq_len: mean for one in lengths if (mean := one.mean_seconds)}
    if not known and not expected.keys() >= {one.seq_len for one in lengths}:
        return None
    seconds = 0.0
    for one in lengths:
        each = _trial_seconds(one.seq_len, known, expected)
        seconds += max(0, one.left - len(one.begun_at)) * each
        seconds += sum(max(0.0, each - (now - began).total_seconds()) for began in one.begun_at)
    if not seconds and any(one.begun_at for one in lengths):
        return None
    return timedelta(seconds=seconds / slots)


def _trial_seconds(seq_len: int, known: Mapping[int, float], expected: Mapping[int, float]) -> float:
    if seq_len in known:
        return known[seq_len]
    if not known:
        return expected[seq_len]
    near = min(known, key=lambda length: abs(length - seq_len))
    if seq_len in expected and near in expected:
        return known[near] * expected[seq_len] / expected[near]
    return known[near] * seq_len / near
