"""The runs that follow a search: which, with which seeds and parameters, and how the database keeps them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from coref_k8s.controller.portable import from_file, renamed, restore, to_file
from coref_k8s.controller.view import StudyView, read_view
from coref_k8s.search.finalist_study import read_runs, write_verdict
from coref_k8s.search.finalists import (
    Role,
    fresh_seeds,
    key_of,
    missing_runs,
    planned_runs,
    surplus_runs,
    wanted_runs,
)
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.search.reporting import TrialReporter
from coref_k8s.search.space import default_params, space_for
from coref_k8s.search.storage import open_storage
from coref_k8s.search.stored import stored_verdicts
from coref_k8s.search.studies import LengthStudy
from coref_k8s.search.trials import delete_trials
from coref_k8s.search.verdict import Candidate, Comparison, Difference, Verdict
from coref_k8s.store import Store
from coref_k8s.study.reading import build_spec
from coref_k8s.wording import Message

SPEC = build_spec(seq_lengths=[512], trials=4, seed=7, search={"finalists": 2, "finalist_seeds": 3})


def trial(number: int, value: float | None) -> TrialRecord:
    state = TrialState.COMPLETE if value is not None else TrialState.FAILED
    return TrialRecord(512, number, 100 + number, state, {"learning_rate": 1e-4 * (number + 1)}, value)


def test_the_best_trials_the_defaults_and_the_untuned_model_are_run() -> None:
    runs = wanted_runs(SPEC, 512, [trial(0, 0.3), trial(1, None), trial(2, 0.5), trial(3, 0.4)])
    assert len(runs) == planned_runs(SPEC) == 10
    assert (runs[0].role, runs[0].params) == (Role.UNTUNED, {})
    # every round of one seed holds every candidate, so that an early end leaves comparable runs behind
    assert [(r.role.value, r.of_trial) for r in runs[1:4]] == [
        ("trial", 2),
        ("trial", 3),
        ("defaults", None),
    ]
    assert {r.seed for r in runs[1:4]} == {runs[1].seed}
    assert runs[1].params == trial(2, 0.5).params
    assert len({run.key for run in runs}) == 10
    assert wanted_runs(SPEC, 512, [trial(0, None)]) == []


def test_seeds_are_fixed_by_the_request_and_fresh() -> None:
    seeds = fresh_seeds(SPEC, 512)
    assert seeds == fresh_seeds(SPEC, 512)
    assert len(set(seeds)) == 3
    assert not set(seeds) & set(fresh_seeds(SPEC, 1024))
    assert not set(seeds) & set(fresh_seeds(SPEC.model_copy(update={"seed": 8}), 512))


@pytest.mark.parametrize("seq_len", [512, 1024, 2048])
def test_defaults_are_the_middle_of_the_space(seq_len: int) -> None:
    spec = build_spec(seq_lengths=[seq_len], search={"space": {"weight_decay": {"choices": [0.03]}}})
    params = default_params(spec, seq_len)
    assert params.keys() == space_for(spec, seq_len).keys()
    for name, one in space_for(spec, seq_len).items():
        if one.choices is not None:
            assert params[name] in one.choices
        else:
            assert one.low < params[name] < one.high
    assert params["weight_decay"] == 0.03
    assert params["epochs"] == 2.0
    if seq_len == 512:
        assert params["learning_rate"] == pytest.approx((1e-5 * 5e-4) ** 0.5)
    else:
        assert params["position_range"] == "clamp"


def test_better_trials_replace_finalists_and_keep_the_runs_of_those_that_stay() -> None:
    old = wanted_runs(SPEC, 512, [trial(0, 0.3), trial(2, 0.5)])
    begun = [
        TrialRecord(512, n, n, TrialState.RUNNING, {}, attrs={"role": r.role.value, "of_trial": r.of_trial, "seed": r.seed})
        for n, r in enumerate(old)
    ]  # fmt: skip
    new = wanted_runs(SPEC, 512, [trial(0, 0.3), trial(2, 0.5), trial(3, 0.6)])
    assert {run.of_trial for run in missing_runs(new, begun)} == {3}
    assert {key_of(begun[number])[1] for number in surplus_runs(new, begun)} == {0}


def verdict(seq_len: int = 512) -> Verdict:
    difference = Difference("score", 0.2, 0.3, 0.1, 0.5, "better")
    return Verdict(
        seq_len=seq_len, runs=(0, 1), winner=2, run=1, dev=0.55, test=0.5, low=0.4, high=0.6,
        metrics={"score": 0.5, "score_ci_low": 0.4}, candidates=(Candidate(2, (0.5, 0.6), 3),),
        comparisons=(Comparison("untuned", (difference,), 1, 40, 12), Comparison("defaults", problem=Message.verbatim("none"))),
        made_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_runs_and_verdict_live_beside_the_trials(new_database: Callable[[str], str], kind: str) -> None:
    url = new_database(kind)
    store, storage = Store(url), open_storage(url)
    store.create_study("lab", "korean", SPEC)
    trials = LengthStudy(storage, SPEC, "korean", 512, "lab")
    number = trials.ask().number
    trials.complete(number, 0.4)
    finals = trials.finalists()
    assert finals.verdict() is None
    wanted = wanted_runs(SPEC, 512, trials.trials())
    first, second = finals.add(wanted[0]), finals.add(wanted[1])
    assert finals.add(wanted[0]).number == first.number, "adding twice is adding once"
    assert (second.number, second.params, second.open) == (1, trials.trials()[0].params, True)
    TrialReporter(url, first.trial_id).result(0.2, {"coref_f1": 0.3})
    finals.fail(second.number, Message.verbatim("diverged"))
    # whoever opens it anew finds the same
    again = LengthStudy(storage, SPEC, "korean", 512, "lab").finalists()
    assert [(r.state, r.value) for r in again.trials()] == [
        (TrialState.COMPLETE, 0.2),
        (TrialState.FAILED, None),
    ]
    assert again.trials()[1].attrs["reason"] == "diverged"
    third = again.add(wanted[2])
    again.prune(third.number)
    assert "no longer a finalist" in str(again.trials()[2].reason)
    assert again.add(wanted[2]).number == 3, "a run that was given up may be wanted again"
    assert len(trials.trials()) == 1, "the search does not see them"
    write_verdict(storage, "korean", verdict(), "lab")
    assert again.verdict() == verdict()
    assert stored_verdicts(storage.engine, "korean", [512, 1024], "lab") == [verdict()]
    view = read_view(store, "lab", "korean")
    assert StudyView.from_json(view.to_json()) == view
    (length,) = view.lengths
    assert (length.verdict, len(length.runs), length.planned_runs) == (verdict(), 4, 10)
    # exported and imported, it is the same
    moved = from_file(to_file(renamed(view, "moved")), "a file")
    restore(store, "lab", moved)
    found = read_view(store, "lab", "moved")
    assert found.verdicts == view.verdicts
    assert [replace(run, trial_id=0) for run in found.runs] == [replace(run, trial_id=0) for run in view.runs]
    delete_trials(storage, "korean", "lab")
    assert read_runs(storage, "korean", 512, "lab") == []
    store.close()


def test_a_verdict_is_the_same_after_json() -> None:
    assert Verdict.from_dict(json.loads(json.dumps(verdict().to_dict()))) == verdict()
