"""Whatever is written, the answer is a plan or one sentence, and command line, API server and controller agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coref_k8s.client.planning import plan_study
from coref_k8s.cluster.admit import wanted
from coref_k8s.cluster.crd import crd
from coref_k8s.errors import CorefError, RequestError
from coref_k8s.search.space import default_params
from coref_k8s.study import yaml12
from coref_k8s.study.parameters import PARAMETERS
from coref_k8s.study.reading import parse_yaml, read_known, spec_from_mapping, with_unknown
from coref_k8s.study.spec import StudySpec
from coref_k8s.study.tasks import TASKS
from coref_k8s.trial.hyperparameters import Hyperparameters
from tests.kube import schema as server
from tests.kube.errors import ApiError

SCHEMA = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
WORDS = st.text(max_size=8) | st.sampled_from(
    ["on", "0042", "1_0", "7815e10", "2026-11-29", "~", "none", "\ud800", "\0"]
)
NUMBERS = st.one_of(
    st.integers(-3, 3), st.sampled_from([512, 1024, 10**6, 10**19, 10**300, -(2**63), 0.15, 1]),
    st.floats(0, 1), st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
SCALARS = st.none() | st.booleans() | NUMBERS | WORDS | st.just(10**400)


def trees(scalars: st.SearchStrategy[Any], words: st.SearchStrategy[str] = WORDS) -> st.SearchStrategy[Any]:
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
        max_leaves=5,
    )


def like(node: dict[str, Any], wild: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What might be meant for a place of the schema: mostly of its kind, at its bounds and beyond, now and then anything."""
    kind = node.get("type")
    meant: st.SearchStrategy[Any] = wild
    if "enum" in node:
        meant = st.sampled_from(node["enum"])
    elif kind == "boolean":
        meant = st.booleans()
    elif kind in ("integer", "number"):
        edges = [node.get("minimum", 0), node.get("maximum", 1)]
        near = [edge + step for edge in edges for step in (-1, 0, 1)] + [2, 64, 512, 1024]
        meant = st.sampled_from(near + ([0.1, 0.2, 0.35] if kind == "number" else []))
    elif kind == "string":
        meant = st.text("ab-1Gi가", min_size=node.get("minLength", 0), max_size=4)
    elif kind == "array":
        meant = st.lists(like(node["items"], wild), max_size=3)
    elif "properties" in node:
        parts = {key: like(child, wild) for key, child in node["properties"].items()}
        meant = st.sets(st.sampled_from(sorted(parts)), max_size=4).flatmap(
            lambda keys: st.fixed_dictionaries({key: parts[key] for key in keys})
        )
    elif "additionalProperties" in node:
        keys = st.sampled_from(["512", "1024", "0512", "coref_f1", "conll_f1", "가"])
        meant = st.dictionaries(keys, like(node["additionalProperties"], wild), max_size=2)
    return st.integers(0, 19).flatmap(lambda dice: wild if dice == 0 else meant)


def requests(wild: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    spec = SCHEMA["properties"]["spec"]
    search = like(spec["properties"]["search"], wild)
    closer = st.fixed_dictionaries(
        {"search": search},
        optional={
            "purpose": like(spec["properties"]["purpose"], wild), "trials": st.just(1),
            "task": st.sampled_from(TASKS), "objective": like(spec["properties"]["objective"], wild),
            "seqLengths": st.sampled_from([[512], [1024], [512, 1024]]),
        },
    )  # fmt: skip
    return (like(spec, wild) | closer).filter(lambda one: isinstance(one, dict))


UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = trees(st.none() | st.booleans() | NUMBERS | UNICODE, UNICODE)
ANYTHING = trees(SCALARS | st.sampled_from([float("nan"), float("inf"), -float("inf")]))
many = settings(
    max_examples=200, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)  # fmt: skip


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def one_sentence(error: CorefError, begins: str = "") -> None:
    for lang in ("en", "ko"):
        sentence = error.message.say(lang)
        assert len(sentence.splitlines()) == 1, sentence
        assert sentence.startswith(begins)


def answered(request: Any) -> StudySpec | None:
    """The spec, or None after one sentence."""
    try:
        return spec_from_mapping(request)
    except RequestError as error:
        return one_sentence(error, "request")


def taken(spec: StudySpec, values: dict[str, Any]) -> None:
    """A trial of the task takes these parameters."""
    assert Hyperparameters.of(values, spec.task)


@many
@given(requests(ANYTHING))
def test_a_request_is_a_plan_or_one_sentence(request_: Any) -> None:
    spec = answered(request_)
    if spec is None:
        return
    stored = spec.model_dump_json(by_alias=True)
    assert StudySpec.model_validate_json(stored) == spec
    json.dumps(spec.model_dump(mode="json"), allow_nan=False).encode()
    printed = yaml12.write(spec.model_dump(mode="json", by_alias=True))
    assert spec_from_mapping(parse_yaml(printed, where="")) == spec
    assert spec_from_mapping(yaml.safe_load(printed)) == spec
    try:
        plans = plan_study(spec)
    except CorefError as error:
        one_sentence(error)
        plans = {}
    for length, plan in plans.items():  # what is planned, a trial can take
        taken(spec, default_params(spec, length))
        for end in (0, -1):
            values = {
                name: one.choices[end] if one.choices else (one.low, one.high)[end]
                for name, one in plan.space.items()
            }
            taken(spec, values)


def refusals(spec: Any) -> list[Any]:
    """What a strict API server has against a study with this spec."""
    study = {
        "apiVersion": "corefk8s.dev/v1alpha1",
        "kind": "CorefStudy",
        "metadata": {"name": "a"},
        "spec": spec,
    }
    try:
        server.strict(SCHEMA, study)
    except ApiError as error:
        return [str(error)]
    study = server.default(SCHEMA, server.prune(SCHEMA, study))
    causes = server.admit(SCHEMA, study, None)
    if not causes:  # what it has filled in is what we would have, and the controller takes it
        assert wanted(study) == spec_from_mapping(spec)
    return causes


@many
@given(requests(JSON))
def test_command_line_api_server_and_controller_agree(request_: Any) -> None:
    refused = refusals(request_)
    assert (answered(request_) is None) == bool(refused), refused


@many
@given(requests(ANYTHING))
def test_what_is_stored_is_read_as_far_as_it_is_known(request_: Any) -> None:
    spec, unknown = read_known(request_)
    assert read_known(with_unknown(spec, unknown))[0] == spec
    assert bool(unknown) == (answered(request_) is None)


@many
@given(trees(SCALARS | st.sampled_from([float("nan"), float("inf")])), st.booleans())
def test_what_is_printed_is_read_back_the_same(tree: Any, inline: bool) -> None:
    tree = json.loads(json.dumps(tree, allow_nan=True)) if "\\ud800" not in json.dumps(tree) else None
    printed = yaml12.write({"a": tree}, inline=inline)
    assert repr(yaml12.read(printed, "")) == repr({"a": tree})
    assert repr(yaml.safe_load(printed)) == repr({"a": tree})


@many
@given(st.text(max_size=40) | st.text("{}[]:,?&*-!#|>%@`'\"\n ab01", max_size=20))
def test_any_text_is_a_value_or_one_sentence(text: str) -> None:
    try:
        parse_yaml(text, where="study.yaml")
    except RequestError as error:
        one_sentence(error, "study.yaml: ")


@settings(many, max_examples=60)
@given(requests(ANYTHING) | ANYTHING)
def test_the_commands_answer_in_one_sentence(
    coref: Callable[..., Any], tmp_path: Path, request_: Any
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(request_), encoding="utf-8")
    for command in (["plan"], ["submit", "--dry-run=client"]):
        answer = coref(*command, "-f", file, "--lang", "ko")
        assert answer.code in (0, 1, 2)
        if answer.code:
            assert not answer.out
            assert len(answer.err.splitlines()) == 1, answer.err


def test_the_table_is_what_a_trial_takes() -> None:
    assert {*PARAMETERS} == {*Hyperparameters.__dataclass_fields__, "accumulation"}
    for one in PARAMETERS.values():
        assert one.tasks
        for task in one.tasks:
            for by_length in one.ranges[task].values():
                assert one.problems(by_length) == []
        assert one.default is None or one.problem(one.default, "") is None
