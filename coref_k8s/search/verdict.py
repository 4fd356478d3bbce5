"""`Verdict`: what the finalists of a length have shown. Plain data, as the database holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from coref_k8s.wording import NOTHING, Message

#: What may be claimed when the interval of a difference holds 0.
NO_DIFFERENCE = "no difference shown"


@dataclass(frozen=True)
class Candidate:
    """One finalist and how it did on dev, over the seeds."""

    trial: int
    scores: tuple[float, ...]
    """Dev score of each complete run."""
    asked: int
    """Seeds it was to be run with."""

    @property
    def mean(self) -> float:
        """What the winner is chosen by."""
        return sum(self.scores) / len(self.scores)


@dataclass(frozen=True)
class Difference:
    """Winner minus another on the test documents, paired by item, with its 95 % interval."""

    metric: str
    other: float
    """What the other reaches."""
    difference: float
    low: float | None
    high: float | None
    """None below three documents."""
    claim: str
    """`better`, `worse` or `no difference shown` of the score; nothing of other metrics."""
    models: tuple[float, float] | None = None
    """The interval over documents alone, where `low` and `high` also know how runs differ: where both sides have several,
    or one learns nothing. Without it they are over documents, and tell of these models only, not of their settings."""


@dataclass(frozen=True)
class Comparison:
    """The winner against the untuned model or against the defaults."""

    against: str
    """`untuned` or `defaults`."""
    differences: tuple[Difference, ...] = ()
    """By metric, the score first; empty when nothing could be compared."""
    runs: int = 0
    """Complete runs of the other; without one there is nothing to compare with."""
    items: int = 0
    documents: int = 0
    problem: Message = NOTHING
    """Why there is no comparison although there are runs."""

    @property
    def score(self) -> Difference | None:
        """The difference of what is maximised; None when it could not be computed."""
        return next((one for one in self.differences if one.metric == "score"), None)


@dataclass(frozen=True)
class Verdict:
    """The winner of one length: chosen on dev, reported on test."""

    seq_len: int
    runs: tuple[int, ...]
    """The complete runs it rests on (numbers)."""
    winner: int
    """Trial number of the winner."""
    run: int
    """The winner's run with the best dev score: its model is the one to take."""
    dev: float
    """Mean dev score of the winner's runs."""
    test: float
    """Test score of the winner, items averaged over its runs."""
    low: float | None
    """95 % interval of the test score over documents; None when the objective cannot be resampled."""
    high: float | None
    metrics: dict[str, float]
    """Test metrics of the winner, with `_ci_low` and `_ci_high`."""
    candidates: tuple[Candidate, ...]
    """Best first, by mean dev score."""
    comparisons: tuple[Comparison, ...]
    made_at: datetime
    not_given: tuple[str, ...] = ()
    """Metrics that rest on too few test items to be shown, `score` among them where it weighs one."""

    @property
    def won(self) -> Candidate:
        """The winner as it did on dev."""
        return next(one for one in self.candidates if one.trial == self.winner)

    def against(self, other: str) -> Comparison | None:
        """Return the comparison with `untuned` or `defaults`."""
        return next((one for one in self.comparisons if one.against == other), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        data: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Verdict:
        """Read what `to_dict` wrote, of this version or another."""
        return _adapter().validate_python(data)


@cache
def _adapter() -> TypeAdapter[Verdict]:
    return TypeAdapter(Verdict)
