"""Who wins, and what may be said about it: the verdict from runs whose scores are made up."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from coref_k8s.errors import TrialError
from coref_k8s.evaluation.average import averaged
from coref_k8s.evaluation.result import EvaluationResult, ItemScores
from coref_k8s.report.claims import sentences
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.search.verdict import Verdict
from coref_k8s.trial.verdict_job import judge

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOCUMENTS = [f"d{n // 4}" for n in range(80)]
IDS = [f"i{n}" for n in range(80)]


def result(hits: list[float]) -> EvaluationResult:
    """A result whose score is the mean of what each item is worth."""
    score = sum(hits) / len(hits)
    return EvaluationResult(
        metrics={"score": score, "lbd_top1": score, "seed_lbd_top1": 0.5 + score / 10},
        counts={}, buckets=[], thresholds={"tau": 0.0}, warnings=[], items_sha256="", tokenizer="", seq_len=512, full=True,
        item_scores={"lambada": ItemScores(IDS, DOCUMENTS, {"lbd_top1": hits})}, weights={"lbd_top1": 1.0},
    )  # fmt: skip


def every(n: int) -> list[float]:
    """Every n-th item is a hit."""
    return [float(i % n == 0) for i in range(80)]


def run(number: int, role: str, of_trial: int | None, dev: float) -> TrialRecord:
    attrs = {"role": role, "of_trial": of_trial, "seed": number}
    return TrialRecord(512, number, number, TrialState.COMPLETE, {}, dev, attrs=attrs)


RUNS = [
    run(0, "untuned", None, 0.05),
    run(1, "trial", 4, 0.50), run(2, "trial", 9, 0.70), run(3, "defaults", None, 0.49),
    run(4, "trial", 4, 0.60), run(5, "trial", 9, 0.30), run(6, "defaults", None, 0.51),
]  # fmt: skip
TEST = {0: every(20), 1: every(2), 2: every(1), 3: every(2), 4: every(2), 5: every(1), 6: every(2)}


def verdict(runs=RUNS, test=TEST, asked: int = 2) -> Verdict:
    return judge(512, runs, {n: result(hits) for n, hits in test.items()}, asked=asked, now=NOW)


def test_dev_chooses_and_test_reports() -> None:
    found = verdict()
    # trial 9 has the best single run on dev, and would be better on test; its mean on dev is not
    assert (found.winner, found.run) == (4, 4)
    assert found.dev == pytest.approx(0.55)
    assert [(c.trial, c.scores, round(c.mean, 2)) for c in found.candidates] == [
        (4, (0.5, 0.6), 0.55),
        (9, (0.7, 0.3), 0.5),
    ]
    assert found.test == pytest.approx(0.5)
    assert found.low < 0.5 < found.high or found.low == found.high == pytest.approx(0.5)
    assert found.runs == tuple(range(7))


def test_better_is_said_only_when_the_interval_excludes_zero() -> None:
    found = verdict()
    untuned = found.against("untuned").score
    assert (untuned.claim, untuned.other) == ("better", pytest.approx(0.05))
    assert untuned.low > 0
    # the defaults do as well on every item
    defaults = found.against("defaults").score
    assert (defaults.claim, defaults.difference) == ("no difference shown", 0.0)
    # better on average, by chance as it seems
    one_up = {**TEST, 3: [*every(2)[:-2], 0.0, 0.0], 6: [*every(2)[:-2], 0.0, 0.0]}
    slightly = verdict(test=one_up).against("defaults").score
    assert slightly.difference > 0
    assert slightly.low <= 0
    assert slightly.claim == "no difference shown"
    assert verdict(test={**TEST, 0: every(1)}).against("untuned").score.claim == "worse"


def test_settings_are_judged_where_runs_tell_how_much_they_differ() -> None:
    # every document is better, but one run of the defaults is as good as the winner's
    luck = {**TEST, 3: every(2), 6: every(4)}
    found = verdict(test=luck).against("defaults").score
    assert found.models is not None
    low, high = found.models
    assert found.low < 0 < low <= high < found.high
    assert found.claim == "no difference shown"
    # a model that learns nothing has one run and is one model
    untuned = verdict(test=luck).against("untuned").score
    assert untuned.models == pytest.approx((untuned.low, untuned.high))
    # of single runs nothing can be said but of the models
    single = [run for run in RUNS if run.number in (0, 1, 3)]
    alone = verdict(single, {**luck, 3: every(4)}, asked=1)
    assert alone.against("defaults").score.models is None
    assert alone.against("defaults").score.claim == "better"
    assert "this is said of these models, not of their settings" in sentences(alone)[2]
    assert "of these models alone" in sentences(verdict(test=luck))[2]


def test_a_candidate_that_lost_most_of_its_seeds_does_not_win_by_luck() -> None:
    # one run of three, and a lucky one
    lost = [r for r in RUNS if r.number != 5]
    found = judge(512, lost, {n: result(h) for n, h in TEST.items()}, asked=3, now=NOW)
    assert found.winner == 4
    assert found.candidates[0].trial == 9
    assert sentences(found)[-2:] == [
        "trial 9 has 1 of 3 runs: the others failed or were not made",
        "trial 4 has 2 of 3 runs: the others failed or were not made",
    ]
    # where all have lost most, the best of what is there wins
    few = [r for r in RUNS if r.number not in (4, 5)]
    assert judge(512, few, {n: result(h) for n, h in TEST.items()}, asked=3, now=NOW).winner == 9


def test_what_is_missing_is_said_and_not_made_up() -> None:
    no_defaults = verdict([r for r in RUNS if r.attrs["role"] != "defaults"])
    assert sentences(no_defaults)[-1] == "not compared with the defaults: it has no complete run"
    assert sentences(no_defaults, "ko")[-1] == "기본값과 비교하지 못함: 완료된 실행이 없음"
    assert no_defaults.against("defaults").score is None
    with pytest.raises(TrialError, match="no run of a finalist is complete"):
        verdict([RUNS[0], RUNS[3]])


def test_other_items_are_not_compared() -> None:
    other = result(every(2))
    other.item_scores["lambada"] = ItemScores([f"x{n}" for n in range(80)], DOCUMENTS, {"lbd_top1": every(2)})
    results = {n: result(hits) for n, hits in TEST.items()} | {0: other}
    found = judge(512, RUNS, results, asked=2, now=NOW)
    assert "no evaluation item in common" in str(found.against("untuned").problem)


def test_items_are_averaged_over_seeds() -> None:
    mean = averaged([result(every(1)), result(every(2))])
    assert mean.item_scores["lambada"].columns["lbd_top1"] == [1.0, 0.5] * 40
    assert mean.metrics["lbd_top1"] == pytest.approx(0.75)
    assert mean.metrics["score"] == pytest.approx(0.75)
    assert mean.metrics["score_ci_low"] <= 0.75 <= mean.metrics["score_ci_high"]
    # what no item score stands behind is a plain mean, without an interval
    assert mean.metrics["seed_lbd_top1"] == pytest.approx(0.575)
    assert "seed_lbd_top1_ci_low" not in mean.metrics
