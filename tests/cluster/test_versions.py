"""Studies of other versions: shown as far as they are known, left alone where they are not, and in nobody's way."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from coref_k8s import __version__
from coref_k8s.client.cluster import ClusterBackend
from coref_k8s.client.manifest import manifest
from coref_k8s.cluster import names
from coref_k8s.cluster.admit import wanted
from coref_k8s.cluster.crd import crd
from coref_k8s.cluster.resources import CRDS, STUDIES
from coref_k8s.cluster.study_status import not_ours
from coref_k8s.cluster.summary import record_of
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import DataError, RequestError
from coref_k8s.store import Phase
from coref_k8s.study.reading import spec_from_mapping
from coref_k8s.study.spec import StudySpec
from tests.cluster.world import SMALL, World


def resource(spec: dict[str, Any], version: str = "", **status: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "korean", "namespace": "lab", "generation": 1}
    if version:
        metadata["annotations"] = {names.VERSION_ANNOTATION: version}
    return {"metadata": metadata, "spec": spec, "status": status}


@pytest.mark.parametrize(
    ("spec", "version", "words"),
    [
        ({"training": {"later": 3}}, "", "training.later"),
        ({"training": {"later": 3}}, "9.9", "cannot use training.later in the request, which coref-k8s 9.9 wrote"),
        ({"search": {"sampler": "quantum"}}, "9.9", "cannot use search.sampler"),
        ({"search": {"sampler": "quantum"}}, "", "cannot use search.sampler"),
        ({"trials": 0}, "9.9", "cannot use trials"),
        ({"trials": 0}, "", None),
        ({"trials": 0}, __version__, None),
        ({"trials": 0}, "accepted", "cannot use trials in the request, which another version accepted"),
    ],
)  # fmt: skip
def test_a_request_of_another_version_is_not_called_wrong(spec: Any, version: str, words: str | None) -> None:
    status = {"phase": "Succeeded", "conditions": [{"type": "Accepted", "status": "True"}]}
    asked = resource(spec, **status) if version == "accepted" else resource(spec, version)
    with pytest.raises(RequestError) as error:
        wanted(asked)
    trouble = not_ours(asked, error.value)
    if words is None:
        assert trouble is None
    else:
        assert trouble is not None
        assert trouble.reason == "VersionMismatch"
        assert words in str(trouble.message)
        assert f"({__version__})" in trouble.message.say("ko")


def test_a_resource_of_another_version_is_read_as_far_as_it_is_known() -> None:
    record = record_of(
        resource({"trials": 3, "training": {"later": 3}}, "9.9", phase="Paused", message="rests")
    )
    assert (record.spec.trials, record.phase, str(record.message)) == (3, Phase.UNKNOWN, "rests")
    newer = record_of(resource({"trials": 3, "training": {"later": 3}}, "9.9"))
    said = str(newer.not_understood)
    assert "training.later" in said
    assert f"it was written by coref-k8s 9.9, this is {__version__}" in said
    assert not record_of(resource({"trials": 3}, "9.9")).not_understood


def test_a_request_carries_the_version_that_wrote_it() -> None:
    metadata = manifest("korean", StudySpec(), "lab")["metadata"]
    assert metadata["annotations"] == {names.VERSION_ANNOTATION: __version__}


def test_a_view_of_another_version_is_read_as_far_as_it_is_known(sample_view: StudyView) -> None:
    data = json.loads(sample_view.to_json())
    data |= {"later": 1, "version": "9.9"}
    data["spec"]["training"]["later"] = 3
    view = StudyView.from_json(json.dumps(data))
    assert view.trials == sample_view.trials
    assert "training.later" in str(view.not_understood)
    assert "written by coref-k8s 9.9" in str(view.not_understood)
    data["trials"][0]["state"] = "paused"
    with pytest.raises(
        DataError, match=r"trials\.0\.state.*written by another version of coref-k8s, this is"
    ):
        StudyView.from_json(json.dumps(data))
    with pytest.raises(DataError, match="cannot be read"):
        StudyView.from_json("[]")


@pytest.fixture
def sample_view() -> StudyView:
    from tests.report.sample import study

    return study()


@pytest.mark.cluster
def test_what_a_newer_version_has_stored_is_left_alone_and_holds_up_no_other(world: World) -> None:
    store, namespace = world.trials.database.store(), world.api.namespace
    for name in ("korean", "broken"):
        store.create_study(namespace, name, spec_from_mapping(SMALL))
    newer = json.dumps({**SMALL, "search": {"foresight": 2}})
    with store._engine.begin() as connection:
        for name, spec in (("korean", newer), ("broken", "null")):
            write = text("UPDATE coref_study SET spec_json = :spec, version = '9.9' WHERE name = :name")
            connection.execute(write, {"spec": spec, "name": name})
    world.controller()
    for name in ("korean", "broken", "other"):
        world.submit(name)
    world.until_phase("Succeeded", "other")
    for name, words in (("korean", "search.foresight"), ("broken", "cannot be read")):
        world.until(lambda name=name: world.condition("Degraded", name), f"the condition of {name}")
        condition = world.condition("Degraded", name)
        assert (condition["status"], condition["reason"]) == ("True", "VersionMismatch")
        assert words in condition["message"]
        assert "written by coref-k8s 9.9" in condition["message"]
        assert world.status(name)["version"] == __version__
        assert not [order for order in world.trials.orders if order.study == name]
        assert store.get_study(namespace, name).phase is Phase.PENDING
    # it can be deleted, with all that is stored of it
    world.annotate("broken", purge="true")
    world.until(lambda: world.study("broken")["metadata"].get("finalizers"), "the finalizer")
    world.api.delete(STUDIES, "broken")
    world.until(lambda: [s.name for s in store.list_studies(namespace)] == ["korean", "other"], "it to go")


@pytest.mark.cluster
def test_older_readers_get_words_where_newer_ones_get_codes(world: World) -> None:
    world.trials.behave = lambda order, start: (0.0, 42, False)
    world.controller()
    world.submit(spec={"limits": {"maxFailedTrials": 0}})
    world.until_phase("Failed")
    base = f"http://localhost:{world.controllers[0].web.port}/api/v1/studies/{world.api.namespace}/korean"

    def page(query: str = "") -> bytes:
        with urllib.request.urlopen(base + query, timeout=10) as answer:
            return answer.read()

    old, new = json.loads(page()), StudyView.from_json(page(f"?{names.WITH_CODES}"))
    assert old["message"].startswith("preparation failed: cannot run as requested")
    assert old["attempts"][0]["message"] == str(new.attempts[0].message)
    assert new.message.code == "controller.preparation-failed"
    assert str(StudyView.from_json(page()).message) == old["message"]


def redefine(world: World, change: Callable[[dict[str, Any]], None]) -> None:
    """Serve a changed definition, as an upgrade or a rollback of the chart does."""
    body = crd()
    change(body["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    live = world.kube.admin.get(CRDS, names.CRD_NAME)["metadata"]["resourceVersion"]
    made = world.kube.admin.replace(CRDS, {**body, "metadata": {**body["metadata"], "resourceVersion": live}})
    knows = "task" in fields_of(made)
    world.until(lambda: served(world) == knows, "the definition")


def fields_of(definition: dict[str, Any]) -> dict[str, Any]:
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema["properties"]["spec"]["properties"]


def served(world: World) -> bool:
    """Whether the definition that is served knows `task`."""
    probe = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": "probe"}}
    probe["spec"] = {**SMALL, "task": "coreference"}
    return "task" in world.api.create(STUDIES, probe, dry_run=True, strict=False)["spec"]


def without_task(schema: dict[str, Any]) -> None:
    """Take from the definition what the release before did not know."""
    spec = schema["properties"]["spec"]
    del spec["properties"]["task"]
    for part in (schema, spec):
        part["x-kubernetes-validations"] = [
            rule for rule in part["x-kubernetes-validations"] if ".task" not in rule["rule"]
        ]


@pytest.fixture
def definition(world: World) -> Iterator[Callable[..., None]]:
    yield partial(redefine, world)
    redefine(world, lambda schema: None)


@pytest.mark.cluster
def test_a_study_that_has_started_keeps_what_a_rollback_took_from_its_resource(
    world: World, definition: Callable[..., None]
) -> None:
    world.controller()
    world.submit(spec={"task": "coreference"})
    world.until_phase("Succeeded")
    definition(without_task)
    world.annotate(note="any write")
    assert "task" not in world.study()["spec"]
    definition(lambda schema: None)
    assert "task" not in world.study()["spec"]
    world.api.patch(STUDIES, "korean", {"spec": {"trials": 3}})
    world.until(lambda: world.status().get("progress") == "3/3", "the third trial")
    world.until_phase("Succeeded")
    assert world.condition("Accepted")["status"] == "True"
    assert {order.spec.task for order in world.trials.orders} == {"coreference"}


@pytest.mark.cluster
def test_a_study_that_an_older_definition_hides_in_part_is_left_alone_and_loses_nothing(
    world: World, definition: Callable[..., None]
) -> None:
    world.submit(spec={"task": "coreference"})
    definition(without_task)
    first = world.controller()
    world.until(lambda: "VersionMismatch" in dict(world.events()), "the event")
    assert "does not know task, with which the study was submitted" in dict(world.events())["VersionMismatch"]
    backend = ClusterBackend(world.api.namespace, None)
    backend.api = world.api
    assert "does not know task" in str(backend.get("korean").not_understood)
    assert "status" not in world.study()
    first.stop()
    definition(lambda schema: None)
    world.controller()
    world.until_phase("Succeeded")
    assert {order.spec.task for order in world.trials.orders} == {"coreference"}


@pytest.mark.cluster
def test_a_request_of_other_types_than_the_definition_is_told_in_an_event(
    world: World, definition: Callable[..., None]
) -> None:
    def anything(schema: dict[str, Any]) -> None:
        ranges = schema["properties"]["spec"]["properties"]["search"]["properties"]["space"]["properties"]
        ranges["accumulation"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        # rules speak of its fields
        del schema["properties"]["spec"]["x-kubernetes-validations"]

    definition(anything)
    space = {"accumulation": {"choices": ["2", "4"]}}
    world.submit(
        spec={"search": {**SMALL["search"], "space": space}}, annotations={names.VERSION_ANNOTATION: "0.1"}
    )
    definition(lambda schema: None)
    world.controller()
    world.submit("other")
    world.until_phase("Succeeded", "other")
    world.until(lambda: "VersionMismatch" in dict(world.events()), "the event")
    assert "cannot use search.space.accumulation" in dict(world.events())["VersionMismatch"]
