"""What a user writes becomes a spec, or one sentence that says what to change."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from coref_k8s.errors import RequestError
from coref_k8s.study.parameters import PARAMETERS, space_for
from coref_k8s.study.ranges import Range
from coref_k8s.study.reading import (
    amended,
    build_spec,
    changed,
    load_study_file,
    paths_of,
    read_known,
    spec_from_mapping,
    validated_name,
    with_unknown,
)
from coref_k8s.study.refusals import model_of
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import codes, say


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"seqLengths": [1000]}, "1000 is not one of .*did you mean 1024"),
        (
            {"seqLengths": [1000], "anyLength": True},
            "1000 is not a positive multiple of 64; did you mean 1024",
        ),
        ({"seqLengths": [-64], "anyLength": True}, "-64 is not a positive multiple"),
        ({"seqLengths": []}, "seqLengths"),
        ({"trials": 0}, "request: trials must be at least 1, not 0"),
        ({"trials": -3}, "trials"),
        ({"parallelism": 0}, "parallelism"),
        ({"gpuMemoryGb": -1}, "gpuMemoryGb"),
        ({"trails": 3}, "unknown key 'trails'; did you mean 'trials'"),
        ({"data": {"trainLimt": 3}}, "unknown key 'data.trainLimt'; did you mean 'trainLimit'"),
        ({"seq_lengths": [512]}, "unknown key 'seq_lengths'; did you mean 'seqLengths'"),
        ({"search": {"space": {"learning_rate": {"low": 1, "high": 0}}}}, "the range is empty"),
        ({"search": {"space": {"learning_rate": {"low": 0, "high": 1, "log": True}}}}, "low above 0"),
        ({"search": {"space": {"learning_rate": {"choices": []}}}}, "choices is empty"),
        ({"search": {"space": {"learning_rate": {"low": 1, "high": 2, "choices": [3]}}}}, "not both"),
        ({"search": {"space": {"lr": {"low": 1, "high": 2}}}}, "'lr' is not a tuned parameter"),
        ({"search": {"space": {"learning_rate": {"lo": 1}}}}, "did you mean 'low'"),
        ({"search": {"spaceByLength": {"512": {}}}}, "names length 512, which the study does not tune"),
        ({"search": {"sampler": "grid"}}, "sampler must be one of .gp., .tpe., .random., not .grid."),
        ({"objective": {"weights": {"coref_f1": 0}}}, "at least one must be above 0"),
        ({"data": {"devShare": 0.6, "testShare": 0.5}}, "leave nothing to train on"),
        ({"data": {"sources": []}}, "data.sources must name at least 1"),
        ({"task": "coref"}, "task must be one of 'mentions', 'coreference', not 'coref'; did you mean"),
        (
            {"task": "coreference", "objective": {"weights": {"lea_f1": 1, "coref_f1": 1}}},
            "weights.coref_f1: 'coref_f1' is a metric of task mentions; task coreference has conll_f1, lea_f1",
        ),
        ({"objective": {"weights": {"conll_f1": 1}}}, "'conll_f1' is a metric of task coreference"),
        (
            {"task": "coreference", "search": {"space": {"mask_low": {"low": 0, "high": 1}}}},
            "'mask_low' is a parameter of task mentions; task coreference has learning_rate, head_learning_rate",
        ),
        ({"search": {"space": {"head_epochs": {"choices": [4]}}}}, "is a parameter of task coreference"),
    ],
)
def test_a_bad_request_is_one_sentence(request_: dict, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence) as caught:
        spec_from_mapping(request_)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_lengths_are_sorted_and_unique() -> None:
    assert build_spec(seq_lengths=[2048, 1024, 2048]).seq_lengths == (1024, 2048)


def test_a_task_brings_its_own_objective_sources_and_parameters() -> None:
    for request in ({}, {"objective": {}, "data": {}}):
        spec = spec_from_mapping({"task": "coreference", **request})
        assert spec.objective.weights == {"conll_f1": 1.0}
        assert [one.source for one in spec.data.sources] == ["Elda-AI/elda-coref-ko-v2"]
        assert StudySpec.model_validate_json(spec.model_dump_json(by_alias=True)) == spec
        assert amended(spec, {"trials": 30}).objective == spec.objective
        assert spec.training.epoch_choices == (5.0, 10.0, 20.0)
        assert changed(spec) == {"task": "coreference"}
        assert {*space_for(spec, 1024)} == {
            "learning_rate", "head_learning_rate", "warmup_ratio", "weight_decay", "accumulation", "layer_decay",
            "head_dropout", "position_range", "epochs",
        }  # fmt: skip
    own = {"task": "coreference", "objective": {"weights": {"lea_f1": 1.0, "mine": 1.0}}}
    assert changed(spec_from_mapping(own)) == own
    tuned = {"search": {"space": {"head_epochs": {"low": 0, "high": 20}}}, "task": "coreference"}
    assert "head_epochs" in space_for(spec_from_mapping(tuned), 1024)
    assert StudySpec().objective.weights == {"coref_f1": 0.4, "coref_top5": 0.3, "lbd_top1": 0.3}
    assert StudySpec().training.epoch_choices == (1.0, 2.0, 3.0)
    assert changed(StudySpec()) == {}


def test_weights_that_differ_in_part_are_sent_whole() -> None:
    weights = {"coref_f1": 0.5, "coref_top5": 0.3, "lbd_top1": 0.2}
    assert changed(build_spec(objective={"weights": weights})) == {"objective": {"weights": weights}}


def test_a_request_survives_its_own_yaml_names() -> None:
    spec = build_spec(
        seq_lengths=[512],
        search={"space_by_length": {512: {"learning_rate": {"low": 1e-5, "high": 1e-4, "log": True}}}},
    )
    assert spec_from_mapping(spec.model_dump(mode="json", by_alias=True)) == spec


def test_a_study_file_may_be_bare_or_a_manifest(tmp_path: Path) -> None:
    bare, manifest = tmp_path / "bare.yaml", tmp_path / "manifest.yaml"
    bare.write_text("name: mine\nseqLengths: [512]\n")
    manifest.write_text(
        "apiVersion: corefk8s.dev/v1alpha1\nkind: CorefStudy\nmetadata: {name: mine}\nspec: {seqLengths: [512]}\n"
    )
    assert load_study_file(bare) == load_study_file(manifest) == ("mine", {"seqLengths": [512]})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a: [1", "not valid YAML at line"),
        ("- 1", "holds no study"),
        ("kind: Job\napiVersion: batch/v1", "not corefk8s.dev/v1alpha1 CorefStudy"),
        ("name: Not_A_Label", "not a DNS label"),
        ("name: " + "a" * 41, "leave room for 40"),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(content)
    with pytest.raises(RequestError, match=sentence):
        load_study_file(path)
    with pytest.raises(RequestError, match="cannot be read"):
        load_study_file(tmp_path / "none.yaml")


@pytest.mark.parametrize("name", ["a", "a-1", "a" * 40, "1024"])
def test_good_names(name: str) -> None:
    assert validated_name(name) == name


@pytest.mark.parametrize(
    ("stored", "unknown"),
    [
        ({"task": "other"}, ["task"]),
        ({"search": {"sampler": "newest", "finalists": 2}}, ["search.sampler"]),
        ({"search": {"space": {"learning_rate": {"choices": [1e-4]}, "novel": {"low": 1}}}}, ["search.space.novel"]),
        ({"data": {"sources": [{"source": "a", "weight": 3}, {"source": "b"}]}}, ["data.sources.0.weight"]),
        ({"data": {"sources": [{"subset": "a"}]}}, ["data.sources"]),
        ({"training": {"checkpointSeconds": "soon", "epochChoices": [1, "two"]}},
         ["training.checkpointSeconds", "training.epochChoices"]),
        ({"limits": 3, "trials": "many"}, ["trials", "limits"]),
        ({"search": {"space": {"accumulation": {"choices": ["2"]}, "learning_rate": {"low": 0, "high": 1}}}},
         ["search.space.accumulation", "search.space.learning_rate"]),
        ({"purpose": {"kind": "distil", "study": "a"}}, ["purpose.kind", "purpose.study"]),
        ({}, []),
    ],
)  # fmt: skip
def test_of_another_version_what_is_known_is_read_and_the_rest_is_kept(
    stored: dict[str, Any], unknown: list[str]
) -> None:
    spec, rest = read_known({"seqLengths": [512], **stored})
    assert sorted(paths_of(rest)) == sorted(unknown)
    assert spec.seq_lengths == (512,)
    written = with_unknown(spec.model_copy(update={"parallelism": 7}), rest)
    assert read_known(written) == (spec.model_copy(update={"parallelism": 7}), rest)
    for key, value in stored.items():  # nothing is lost, and nothing is changed
        assert _within(value, written[key])


def _within(part: Any, whole: Any) -> bool:
    if isinstance(part, dict):
        return all(_within(value, whole[key]) for key, value in part.items())
    if isinstance(part, list) and len(part) == len(whole):
        return all(_within(one, other) for one, other in zip(part, whole, strict=True))
    return bool(part == whole)


def _fields(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[str]:
    for name, field in model.model_fields.items():
        here = (*path, field.alias or name)
        yield ".".join(here)
        inner = model_of(field.annotation)
        if inner is not None and inner is not Range:
            yield from _fields(inner, here)


def test_every_field_and_parameter_has_a_text_in_korean() -> None:
    wanted = {*_fields(StudySpec), *(f"parameter.{name}" for name in PARAMETERS)}
    assert wanted == {code.removeprefix("fields.") for code in codes() if code.startswith("fields.")}
    for path in wanted:
        assert re.search("[가-힣]", say(f"fields.{path}", "ko"))
