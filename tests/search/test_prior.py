"""What is carried over: from another study, from a shorter length, into the sampler."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from coref_k8s.errors import RequestError
from coref_k8s.search.carrying import prior_of, warm_start
from coref_k8s.search.prior import PriorTrial, best_of, levels
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.search.reporting import TrialReporter
from coref_k8s.search.source_study import source_study
from coref_k8s.search.storage import open_storage
from coref_k8s.search.studies import LengthStudy
from coref_k8s.store import Store
from coref_k8s.study.reading import build_spec

PARAMS = {
    "learning_rate": 4e-4, "warmup_ratio": 0.1, "weight_decay": 0.05, "accumulation": 1, "mask_low": 0.1,
    "mask_high": 0.2, "layer_decay": 0.9, "mention_share": 0.5, "distance_preference": 0.7, "epochs": 2.0,
}  # fmt: skip


def record(number: int, value: float | None = 0.5, seq_len: int = 512, **params) -> TrialRecord:
    state = TrialState.COMPLETE if value is not None else TrialState.FAILED
    return TrialRecord(seq_len, number, number, state, {**PARAMS, **params}, value)


def test_the_same_length_of_another_study_keeps_its_values_within_this_space() -> None:
    here = build_spec(
        seq_lengths=[512], search={"space": {"learning_rate": {"low": 1e-5, "high": 2e-4, "log": True}}}
    )
    (carried,) = warm_start([record(0, weight_decay=0.03)], here, 512, source=build_spec(seq_lengths=[512]))
    assert (carried["learning_rate"], carried["weight_decay"]) == (2e-4, 0.03)


def test_a_study_of_another_task_gives_what_both_tasks_tune_and_no_score() -> None:
    here = build_spec(seq_lengths=[512], task="coreference")
    mentions = build_spec(seq_lengths=[512])
    (carried,) = warm_start([record(0)], here, 512, source=mentions)
    assert carried == {
        "learning_rate": 1e-4, "warmup_ratio": 0.1, "weight_decay": 0.05, "accumulation": 1, "layer_decay": 0.9,
    }  # fmt: skip
    assert prior_of([record(0)], here, 512, source=mentions) == []
    assert len(prior_of([record(0)], mentions, 512, source=build_spec(seq_lengths=[512], seed=1))) == 1


def test_another_length_keeps_the_place_in_the_range_and_the_batch() -> None:
    spec = build_spec(seq_lengths=[512, 1024])
    # 32 sequences a step: 32 x 1 at 512 tokens, 16 x 2 at 1024
    (carried,) = warm_start([record(0, learning_rate=5e-4, accumulation=1)], spec, 1024)
    assert (carried["learning_rate"], carried["accumulation"]) == (pytest.approx(2e-4), 2)


def test_scores_of_a_prior_are_moved_to_this_studys_level() -> None:
    import optuna

    prior = [PriorTrial({"x": 0.1}, record(0, 0.9)), PriorTrial({"x": 0.2}, record(1, 0.7))]
    study = optuna.create_study(direction="maximize")
    space = {"x": optuna.distributions.FloatDistribution(0, 1)}
    assert levels(prior, []) == [0.0, 0.0]
    # no trial ran in both: best against best
    study.add_trial(optuna.trial.create_trial(params={"x": 0.5}, distributions=space, value=0.4))
    assert levels(prior, study.trials) == pytest.approx([-0.5, -0.5])
    # one did
    study.add_trial(optuna.trial.create_trial(params={"x": 0.2}, distributions=space, value=0.3))
    assert levels(prior, study.trials) == pytest.approx([-0.4, -0.4])
    # another length, and another study's same length, have levels of their own
    longer = PriorTrial({"x": 0.3}, record(0, 0.6, seq_len=1024))
    elsewhere = PriorTrial({"x": 0.3}, record(0, 0.2), elsewhere=True)
    assert levels([*prior, longer, elsewhere], study.trials) == pytest.approx([-0.4, -0.4, -0.2, 0.2])


def test_of_a_large_prior_the_best_are_kept() -> None:
    prior = [PriorTrial({"x": n}, record(n, n / 10)) for n in range(10)]
    assert [one.params["x"] for one in best_of(prior, 3)] == [7, 8, 9]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/coref.db"


@pytest.mark.parametrize(("sampler", "pruner"), [("tpe", "median"), ("tpe", "hyperband"), ("gp", "median")])
def test_the_sampler_begins_where_the_prior_was_good(url: str, sampler: str, pruner: str) -> None:
    spec = build_spec(seq_lengths=[512], search={"startup_trials": 5, "sampler": sampler, "pruner": pruner})
    # good below a third of the range, bad elsewhere
    records = [
        record(n, 0.6 if place < 1 / 3 else 0.1, distance_preference=1.5 * place, learning_rate=1e-4)
        for n, place in enumerate([i / 30 for i in range(30)])
    ]
    prior = prior_of(records, spec, 512)
    with_prior = LengthStudy(open_storage(url), spec, "with", 512)
    without = LengthStudy(open_storage(url), spec, "without", 512)
    begun = [with_prior.ask(prior=prior).params["distance_preference"] for _ in range(12)]
    random = [without.ask().params["distance_preference"] for _ in range(12)]
    assert statistics.fmean(begun) < 0.6 * statistics.fmean(random)
    # what the study learns itself counts as well
    for trial in with_prior.trials():
        TrialReporter(url, trial.trial_id).result(0.5, {})
    assert with_prior.ask(prior=prior).number == 12


def test_a_study_that_has_nothing_to_offer_is_refused_in_one_sentence(url: str) -> None:
    store, storage = Store(url), open_storage(url)
    with pytest.raises(RequestError, match="there is no study 'other'"):
        source_study(store, storage, "", "other")
    spec = build_spec(seq_lengths=[512, 2048])
    store.create_study("", "other", spec)
    long = LengthStudy(storage, spec, "other", 2048)
    trial = long.ask()
    with pytest.raises(RequestError, match="has no complete trial"):
        source_study(store, storage, "", "other")
    TrialReporter(url, trial.trial_id).result(0.5, {})
    other = source_study(store, storage, "", "other")
    # only the first length of a study takes what is of another length
    assert [t.seq_len for t in other.offers(512, first=True)] == [2048]
    assert other.offers(1024, first=False) == []
    assert [t.seq_len for t in other.offers(2048, first=False)] == [2048]
    store.close()
