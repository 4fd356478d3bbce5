"""What difference finalists can show, before they run."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from coref_k8s.client.power import POWER, Spread, power_of, spread_of
from coref_k8s.evaluation.intervals import Estimate, t_quantile
from coref_k8s.search.verdict import Candidate, Comparison, Difference
from tests.report.sample import study, with_finalists


def shown(spread: Spread, seeds: int, true: float, repetitions: int = 1200) -> float:
    """Share of simulated verdicts that claim the first side is better, as `Estimate.over_runs` makes them."""
    rng = np.random.default_rng(seeds)
    claims = 0
    for _ in range(repetitions):
        a, b = (rng.normal(0.0, spread.runs, seeds) for _ in range(2))
        differences = true + a.mean() - b.mean() + rng.normal(0.0, spread.documents, spread.count)
        error = differences.std(ddof=1) / math.sqrt(spread.count)
        documents = Estimate(float(differences.mean()), spread.count, float(error), spread.count - 1.0)
        claims += documents.over_runs(a.tolist(), b.tolist()).sign > 0
    return claims / repetitions


@pytest.mark.parametrize(("seeds", "count", "runs"), [(2, 20, 0.024), (5, 60, 0.03), (4, 8, 0.01)])
def test_the_least_difference_is_shown_as_often_as_it_says(seeds, count, runs):
    spread = Spread(runs=runs, documents=0.12, count=count)
    assert shown(spread, seeds, spread.least(seeds)) == pytest.approx(POWER, abs=0.04)
    assert shown(spread, seeds, 0.0) < 0.05


def test_seeds_and_documents_show_more():
    few = Spread(count=10)
    assert few.least(2) > few.least(3) > few.least(9)
    assert replace(few, count=80).least(3) < few.least(3)
    assert few.least(1) == math.inf
    # runs that hardly differ need few seeds, runs that differ much need many
    assert replace(few, runs=0.001).seeds == 2 < replace(few, runs=0.05).seeds <= 10


def measured(name: str):
    view = with_finalists(study())
    length = view.verdicts[0]
    found = Difference("score", 0.41, 0.01, -0.05, 0.07, "no difference shown", models=(-0.02, 0.04))
    verdict = replace(
        length,
        candidates=(Candidate(0, (0.43, 0.45), 2), Candidate(1, (0.40, 0.42, 0.41), 3)),
        comparisons=(Comparison("defaults", (found,), 2, 200, 40),),
    )
    return replace(view, name=name, verdicts=[verdict])


def test_what_finalists_have_shown_stands_in_for_the_assumption():
    view = measured("before")
    spread = spread_of(view)
    assert spread.runs == pytest.approx(math.sqrt((0.0002 * 1 + 0.0001 * 2) / 3))
    assert spread.documents == pytest.approx(0.03 / t_quantile(39) * math.sqrt(40))
    assert (spread.count, spread.study) == (40, "before")
    spec = view.spec.model_copy(update={"search": view.spec.search.model_copy(update={"finalists": 2})})
    assert power_of(spec, [view, with_finalists(study())]).spread == spread
    other = measured("other")
    other = replace(other, spec=other.spec.model_copy(update={"model": "another/model"}))
    assert power_of(spec, [view, other]).spread.study == "before"
    assert power_of(spec, [other]).spread.study == "other"


def test_nothing_is_taken_from_what_was_not_measured():
    view = measured("alike")
    found = Difference("score", 0.4, 0.0, -0.1, 0.1, "no difference shown", models=(0.0, 0.0))
    alike = replace(view.verdicts[0], comparisons=(Comparison("defaults", (found,), 2, 200, 40),))
    assert spread_of(replace(view, verdicts=[alike])) is None
    assert spread_of(replace(view, verdicts=[])) is None
    spec = view.spec.model_copy(update={"search": view.spec.search.model_copy(update={"finalists": 0})})
    assert power_of(spec, [view]) is None
