"""A score with what makes it readable: on which documents, of how many runs, and how sure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from coref_k8s.controller.view import LengthView
from coref_k8s.search.records import TrialRecord
from coref_k8s.search.tested import tested
from coref_k8s.search.verdict import Verdict
from coref_k8s.wording import Message


@dataclass(frozen=True)
class Figure:
    """The score of a model, or the mean of several runs."""

    split: str
    score: float
    runs: int = 1
    low: float | None = None
    high: float | None = None
    """95 % interval over documents; None where there is none."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """What the score is made of; empty for a mean on dev, of which only the score is kept."""
    not_given: Collection[str] = ()
    """Metrics that rest on too few items to be shown to a person, `score` among them where it weighs one."""

    @property
    def few(self) -> bool:
        """Whether the score is none to show."""
        return "score" in self.not_given

    @property
    def given(self) -> dict[str, float]:
        """The metrics to show."""
        return {name: value for name, value in self.metrics.items() if name not in self.not_given}

    @property
    def of(self) -> Message:
        """On what it was measured: `on dev, one run`."""
        return Message.of("verdict.measured", split=self.split, runs=self._runs)

    @property
    def message(self) -> Message:
        """The figure as people read it: `0.528 on dev (one run; 95 % interval 0.401 … 0.655)`."""
        if self.few:
            return Message.of("verdict.figure-few", split=self.split)
        about = {"score": self.score, "split": self.split, "runs": self._runs}
        if self.low is None or self.high is None:
            return Message("verdict.figure", about)
        return Message.of("verdict.figure-interval", **about, low=self.low, high=self.high)

    @property
    def _runs(self) -> Message:
        return Message.of("verdict.one-run") if self.runs == 1 else Message.of("verdict.mean-of", n=self.runs)

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data."""
        data = {"score": self.score, "runs": self.runs, "ci_low": self.low, "ci_high": self.high}
        return data | ({"metrics": dict(self.metrics)} if self.metrics else {})


def of_run(trial: TrialRecord) -> Figure | None:
    """Return what one run reached on dev; None without a result."""
    if trial.value is None:
        return None
    low, high = (trial.metrics.get(f"score_ci_{end}") for end in ("low", "high"))
    return Figure("dev", trial.value, 1, low, high, trial.metrics, trial.not_given)


def of_verdict(verdict: Verdict) -> tuple[Figure, Figure]:
    """Return what the winner reaches on dev and on test, over its runs."""
    runs = len(verdict.won.scores)
    hidden = verdict.not_given
    test = Figure("test", verdict.test, runs, verdict.low, verdict.high, verdict.metrics, hidden)
    # dev has as many items as test, but for chance
    return Figure("dev", verdict.dev, runs, not_given=[name for name in hidden if name == "score"]), test


def on_dev(length: LengthView) -> Figure | None:
    """Return what a length is chosen by: with a verdict the winner's mean, else its best single run."""
    if length.verdict is not None:
        return of_verdict(length.verdict)[0]
    return of_run(length.best) if length.best is not None else None


def on_test(length: LengthView) -> Figure | None:
    """Return what a length's model reaches on test: by its finalists, a final training or an ensemble; None before."""
    if length.verdict is not None:
        return of_verdict(length.verdict)[1]
    found = tested(length.best, None)
    if found is None:
        return None
    return Figure("test", found.score, 1, found.low, found.high, found.metrics, found.not_given)


def reported(length: LengthView) -> Figure | None:
    """Return the figure that heading and table of a length are about: on test where that is known, else on dev."""
    return on_test(length) or on_dev(length)
