"""What difference finalists can show at all, before anybody pays for their runs.

The verdict's interval (docs/metrics-evaluation.md, "Runs differ, too") rests on n test documents of which the differences vary by d,
and k seeds a side of which the scores vary by s. How wide it comes out is drawn from what such samples show of d and s (chi-square);
the least difference is the one that it leaves on one side of 0 in 80 of 100 cases (power: Cohen 1988).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, median, variance
from typing import Any

import numpy as np

from coref_k8s.controller.view import StudyView
from coref_k8s.evaluation.intervals import t_quantile
from coref_k8s.search.verdict import Verdict
from coref_k8s.study.spec import StudySpec
from coref_k8s.text.document import MIN_DOCUMENTS
from coref_k8s.wording import Message

#: Probability with which the least difference is shown.
POWER = 0.8
#: What is assumed before anything is measured: standard deviations of the whole score over the runs of one setting, and of a
#: document's difference, and how many test documents there are. They are those of tests/evaluation/exchangeable.py.
RUNS_DIFFER, DOCUMENTS_DIFFER, DOCUMENTS = 0.024, 0.12, 20
#: Intervals that are drawn.
_DRAWS = 1000
#: Most seeds that are advised, and what a further one must bring of the least difference.
_MOST, _WORTH = 10, 0.05


@dataclass(frozen=True)
class Spread:
    """How much runs and documents differ, and who has shown it."""

    runs: float = RUNS_DIFFER
    """Standard deviation of the score over the seeds of one setting."""
    documents: float = DOCUMENTS_DIFFER
    """Standard deviation of a document's difference between two settings."""
    count: int = DOCUMENTS
    """Test documents."""
    study: str = ""
    """The study whose finalists showed it; empty where it is assumed."""

    def least(self, seeds: int) -> float:
        """Return the true difference that is claimed in 80 of 100 cases; infinite for one seed, of which runs tell nothing."""
        return math.inf if seeds < 2 else _least(self.runs, self.documents, self.count, seeds)

    @property
    def seeds(self) -> int:
        """The seeds from which a further one brings less than a twentieth."""
        return next((n for n in range(2, _MOST) if self.least(n + 1) > (1 - _WORTH) * self.least(n)), _MOST)


@dataclass(frozen=True)
class Power:
    """What the finalists of a request can show."""

    asked: int
    spread: Spread

    @property
    def least(self) -> float:
        """The least difference that they show; infinite for one seed."""
        return self.spread.least(self.asked)

    def sentences(self) -> list[Message]:
        """Say what they can show, what that rests on, and how many seeds are advised."""
        spread = self.spread
        values = {
            "n": self.asked, "least": self.least, "runs": spread.runs, "documents": spread.documents, "count": spread.count,
            "study": spread.study, "advised": spread.seeds, "then": spread.least(spread.seeds), "power": POWER,
        }  # fmt: skip
        said = [Message("plan.power" if self.asked > 1 else "plan.power-one-seed", values)]
        said.append(Message("plan.power-measured" if spread.study else "plan.power-assumed", values))
        if self.asked != spread.seeds:
            said.append(Message("plan.power-advice", values))
        return said

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data, keys in camelCase."""
        spread = self.spread
        return {
            "minimumDifference": round(self.least, 4) if self.asked > 1 else None,
            "power": POWER,
            "finalistSeeds": self.asked,
            "advisedFinalistSeeds": spread.seeds,
            "minimumDifferenceAdvised": round(spread.least(spread.seeds), 4),
            "runDeviation": round(spread.runs, 4),
            "documentDeviation": round(spread.documents, 4),
            "testDocuments": spread.count,
            "basis": spread.study or "assumed",
        }


@lru_cache(maxsize=256)
def _least(runs: float, documents: float, count: int, seeds: int) -> float:
    rng = np.random.default_rng(0)
    parts = [(documents**2 / count, count - 1), (runs**2 / seeds, seeds - 1), (runs**2 / seeds, seeds - 1)]
    shown = [(part * rng.chisquare(known, _DRAWS) / known, known) for part, known in parts]
    variances = np.sum([part for part, _ in shown], axis=0)
    freedoms = variances**2 / np.sum([part**2 / known for part, known in shown], axis=0)
    # half degrees are fine enough, and few
    quantiles = [t_quantile(max(1.0, round(2 * one) / 2)) for one in freedoms.tolist()]
    reaches = (np.sqrt(variances) * np.array(quantiles)).tolist()
    normal = NormalDist(0.0, math.sqrt(sum(part for part, _ in parts)))

    def power(difference: float) -> float:
        return float(np.mean([normal.cdf(difference - reach) for reach in reaches]))

    low, high = 0.0, max(reaches) + 2 * normal.stdev
    for _ in range(25):
        middle = (low + high) / 2
        low, high = (middle, high) if power(middle) < POWER else (low, middle)
    return high


def power_of(spec: StudySpec, views: Sequence[StudyView] = ()) -> Power | None:
    """Return what a request's finalists can show, by what finalists of `views` have shown; None without finalists.

    Of studies with the same objective the last that measured both spreads is taken, one with the same model first.
    """
    if not spec.search.finalists:
        return None
    alike = [view for view in views if view.spec.objective.weights == spec.objective.weights]
    alike.sort(key=lambda view: view.spec.model == spec.model)
    found = [spread for view in alike if (spread := spread_of(view))]
    return Power(spec.search.finalist_seeds, found[-1] if found else Spread())


def spread_of(view: StudyView) -> Spread | None:
    """Return how much runs and documents of a study's finalists differ; None where that was not measured."""
    of_runs = [
        (variance(one.scores), len(one.scores) - 1)
        for verdict in view.verdicts
        for one in verdict.candidates
        if len(one.scores) > 1
    ]
    of_documents = [found for verdict in view.verdicts if (found := _documents(verdict))]
    if not of_runs or not of_documents:
        return None
    runs = sum(part * known for part, known in of_runs) / sum(known for _, known in of_runs)
    deviations, counts = zip(*of_documents, strict=True)
    return Spread(math.sqrt(runs), median(deviations), int(median(counts)), view.name)


def _documents(verdict: Verdict) -> tuple[float, int] | None:
    """Return the standard deviation of a document's difference to the defaults, and the number of documents."""
    against = verdict.against("defaults")
    score = against.score if against else None
    if against is None or score is None or score.models is None or against.documents < MIN_DOCUMENTS:
        return None
    low, high = score.models
    error = (high - low) / 2 / t_quantile(against.documents - 1)
    if not error:  # both answer alike, as models do that have learnt nothing
        return None
    return error * math.sqrt(against.documents), against.documents
