"""Studies from Python in a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from coref_k8s import CorefError, StudySpec, connect
from coref_k8s.client.cluster import ClusterBackend
from coref_k8s.cluster import rbac
from coref_k8s.cluster.resources import STUDIES
from coref_k8s.study.names import Kind
from tests.cluster.world import SERVICE, World

pytestmark = pytest.mark.cluster

SPEC = StudySpec(
    seq_lengths=(64,), any_length=True, trials=2, pod={"gpus": 0}, search={"sampler": "random", "pruner": "none"}
)  # fmt: skip


@pytest.fixture
def studies(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return the studies of the world's namespace, for somebody with the shipped rights of users."""
    rules = rbac.rules("user", service=f"{SERVICE}:8080")
    person = world.kube.as_service_account(world.api.namespace, "user", rules)
    monkeypatch.setenv("KUBECONFIG", str(world.kube.kubeconfig))
    monkeypatch.setattr(ClusterBackend, "api", person)
    yield connect(world.api.namespace)
    person.close()


def test_a_study_from_submit_to_delete(world: World, studies: Any, tmp_path: Any) -> None:
    controller = world.controller()
    world.expose(controller)
    world.trials.behave = lambda order, start: (0.2, 0, True) if order.kind is Kind.TRIAL else None
    study = studies.submit("korean", SPEC)
    events: list[Any] = []
    assert study.wait(on_event=events.append).phase == "Succeeded"
    told = [(event["section"], event.get("trial")) for event in events]
    assert told[-1] == ("study_end", None)
    for trial in (0, 1):
        assert told.index(("trial_begin", trial)) < told.index(("trial_end", trial))
    assert list(study.trials()["state"]) == ["complete", "complete"]
    assert study.best(64)["folder"].startswith("/data/studies/korean/64/")
    assert study.report(tmp_path / "x.html").is_file()
    assert "korean" in studies._repr_html_()
    assert "2 / 2" in study._repr_html_()
    assert study.extend(trials="+1").wait().phase == "Succeeded"
    assert len(study.trials()) == 3
    final = study.train(name="final").wait()
    assert (final.phase, final.spec.purpose.study) == ("Succeeded", "korean")
    joined = study.ensemble(2).wait()
    assert (joined.name, len(joined.spec.purpose.trials)) == ("korean-ensemble-64", 2)
    for one in studies:
        one.delete()
    world.until(lambda: not len(studies), "the studies to go")


def test_what_would_be_created_and_what_is_refused(world: World, studies: Any) -> None:
    resource = studies.dry_run("korean", SPEC)
    assert (resource["kind"], resource["spec"]["trials"]) == ("CorefStudy", 2)
    assert world.api.list(STUDIES)[0] == []
    world.submit("korean")
    with pytest.raises(CorefError, match="'korean' exists already in namespace"):
        studies.submit("korean", SPEC)
    with pytest.raises(CorefError, match="did you mean 'korean'"):
        studies.get("koraen")
    assert "has not taken it up yet" in studies["korean"].message
    with pytest.raises(CorefError, match="has no complete trial yet"):
        studies["korean"].best()


def test_ctrl_c_leaves_a_study_running(world: World, studies: Any) -> None:
    world.trials.behave = lambda order, start: (60.0, 0, False) if order.kind is Kind.TRIAL else None
    world.submit("korean")

    def press(_: Any) -> None:
        raise KeyboardInterrupt

    world.expose(world.controller())
    with pytest.raises(KeyboardInterrupt):
        studies["korean"].wait(on_event=press)
    assert studies["korean"].is_running
    assert studies["korean"].cancel().phase == "Cancelled"
