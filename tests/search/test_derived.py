"""What comes after a search is asked for by an ordinary request, made from the search's own."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from coref_k8s.errors import RequestError
from coref_k8s.search.derived import ensemble_spec, final_spec, same_data
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.search.space import space_for
from coref_k8s.study.reading import build_spec, parse_yaml, spec_from_mapping
from coref_k8s.study.spec import StudySpec

PARAMS = {"learning_rate": 3e-5, "accumulation": 4, "position_range": "grow", "epochs": 2.0}


def record(number: int, value: float = 0.5, **params: Any) -> TrialRecord:
    return TrialRecord(1024, number, number, TrialState.COMPLETE, PARAMS | params, value=value)


def parent(**changes: Any) -> StudySpec:
    fields: dict[str, Any] = {
        "seq_lengths": [512, 1024],
        "trials": 9,
        "parallelism": 3,
        "seed": 5,
        "model": "some/model",
        "search": {"finalists": 2, "warm_start_from": "old", "space_by_length": {512: {"epochs": {"choices": [1]}}}},
        "limits": {"max_gpu_hours": 10, "max_duration": 60, "retries": 4},
        "data": {"train_limit": 1000, "eval_items": 50},
        "pod": {"gpus": 2, "queue_name": "team"},
    }  # fmt: skip
    return build_spec(**(fields | changes))


def test_a_final_training_is_the_parents_request_with_one_trial_and_its_parameters() -> None:
    spec = final_spec(parent(), "korean", record(3))
    assert (spec.seq_lengths, spec.trials, spec.parallelism) == ((1024,), 1, 1)
    assert (spec.purpose.kind, spec.purpose.study, spec.purpose.trials) == ("train", "korean", (3,))
    # nothing is searched, and what the winner did not have keeps its default
    assert {name: one.choices for name, one in space_for(spec, 1024).items()} == {
        name: (value,) for name, value in PARAMS.items()
    }
    assert (spec.search.pruner, spec.search.finalists, spec.search.warm_start_from) == ("none", 0, None)
    # the search's budget is not this run's, and its one trial is not borne as a loss
    assert (spec.limits.max_gpu_hours, spec.limits.max_duration, spec.limits.max_failed_trials) == (
        None,
        None,
        0,
    )
    assert spec.limits.retries == 4
    before = parent()
    for kept in ("model", "seed", "data", "training", "objective", "pod", "gpu_memory_gb"):
        assert getattr(spec, kept) == getattr(before, kept), kept


def test_the_request_survives_yaml_and_the_custom_resource() -> None:
    for spec in (
        final_spec(parent(), "korean", record(3)),
        ensemble_spec(parent(), "korean", [record(3), record(1)]),
    ):
        text = yaml.safe_dump(spec.model_dump(mode="json", by_alias=True, exclude_defaults=True))
        assert spec_from_mapping(parse_yaml(text, where="a file")) == spec


def test_whose_data_are_used() -> None:
    before = parent()
    assert same_data(final_spec(before, "korean", record(3)), before)
    assert same_data(ensemble_spec(before, "korean", [record(3), record(1)]), before)
    more = before.data.model_copy(update={"train_limit": None})
    assert not same_data(final_spec(before, "korean", record(3), data=more), before)
    assert not same_data(before, before.model_copy(update={"seed": 6}))


def test_an_ensemble_names_its_members_best_first_and_searches_nothing() -> None:
    spec = ensemble_spec(parent(), "korean", [record(3), record(1), record(7)])
    assert spec.purpose.trials == (3, 1, 7)
    assert space_for(spec, 1024) == {}
    chosen = [record(3, dataset="/a"), record(1, dataset="/a")]
    assert space_for(ensemble_spec(parent(), "korean", chosen), 1024)["dataset"].choices == ("/a",)
    with pytest.raises(RequestError, match="different prepared data"):
        ensemble_spec(parent(), "korean", [record(3, dataset="/a"), record(1, dataset="/b")])


def test_prepared_data_of_a_fixed_size_do_not_grow() -> None:
    before = parent()
    more = before.data.model_copy(update={"train_limit": None})
    with pytest.raises(RequestError, match="trial 3 trained on the prepared data /a"):
        final_spec(before, "korean", record(3, dataset="/a"), data=more)


TRAIN = {"seqLengths": [512], "trials": 1, "purpose": {"kind": "train", "study": "korean", "trials": [3]}}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"purpose": {"kind": "train"}}, "name it in purpose.study"),
        ({"purpose": {"study": "korean"}}, "are for purpose.kind train and ensemble"),
        ({"purpose": {"kind": "trian", "study": "korean"}}, "did you mean 'train'"),
        ({"trials": 2}, "one length, one trial and no finalists"),
        ({"seqLengths": [512, 1024]}, "one length, one trial and no finalists"),
        ({"purpose": {"kind": "ensemble", "study": "korean", "trials": [3]}}, "two members or more"),
        ({"purpose": {"kind": "ensemble", "study": "korean", "trials": [3, 3]}}, "different trials"),
        ({"search": {"space": {"learning_rate": {"low": 1e-5, "high": 1e-4}}}}, "search.space.learning_rate: .* a single choice"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence) as error:
        spec_from_mapping(TRAIN | changes)
    assert "\n" not in str(error.value)


def test_a_final_training_may_be_asked_for_by_hand() -> None:
    spec = spec_from_mapping(TRAIN | {"search": {"space": {"learning_rate": {"choices": [1e-4]}}}})
    assert list(space_for(spec, 512)) == ["learning_rate"]
