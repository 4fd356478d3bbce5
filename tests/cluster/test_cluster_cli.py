"""The command line against a cluster: the same verbs, the same answers."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from coref_k8s.client.cluster import ClusterBackend
from coref_k8s.client.extending import new_count
from coref_k8s.client.manifest import manifest
from coref_k8s.client.models import model_folder
from coref_k8s.cluster import names, rbac
from coref_k8s.cluster.admit import wanted
from coref_k8s.cluster.doctor import gpus
from coref_k8s.cluster.resources import JOBS, LEASES, STUDIES, VOLUME_CLAIMS
from coref_k8s.cluster.settings import ObjectStoreSettings
from coref_k8s.errors import NotFoundError, RequestError
from coref_k8s.objects import Place
from coref_k8s.settings import Settings
from coref_k8s.study.names import Kind
from coref_k8s.study.reading import spec_from_mapping
from coref_k8s.study.spec import StudySpec
from tests.cluster.world import JOBS_HERE, SERVICE, World
from tests.kube.api import AdminApi

pytestmark = pytest.mark.cluster

SMALL = (
    "--seq-lengths",
    "64",
    "--any-length",
    "--trials",
    "2",
    "--gpus",
    "0",
    "--set",
    "search.sampler=random",
)


@pytest.fixture
def call(coref: Callable[..., Any], world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run a command in the world's namespace, as somebody who has the rights of the role for users, as shipped."""
    rules = rbac.rules("user", service=f"{SERVICE}:8080")
    api = world.kube.as_service_account(world.api.namespace, "user", rules)
    monkeypatch.setenv("KUBECONFIG", str(world.kube.kubeconfig))
    monkeypatch.setattr(ClusterBackend, "api", api)
    yield lambda verb, *rest: coref(verb, *rest, "-n", world.api.namespace)
    api.close()


@pytest.fixture
def running(world: World) -> World:
    """A world with a controller that answers through its service."""
    controller = world.controller()
    world.expose(controller)
    return world


def test_a_study_from_submit_to_best(running: World, call: Callable[..., Any]) -> None:
    answer = call("submit", *SMALL, "--name", "korean")
    assert (answer.code, "study korean is created" in answer.out) == (0, True)
    assert "coref-k8s status korean" in answer.err
    running.until_phase("Succeeded")
    assert "Succeeded" in call("list").out
    status = call("status", "korean")
    assert (status.code, "2 of 2" in status.out) == (0, True), status.out
    view = json.loads(call("status", "korean", "--output", "json").out)
    assert [t["state"] for t in view["trials"]] == ["complete", "complete"]
    assert call("results", "korean", "--output", "csv").out.count("\n") == 3
    best = yaml.safe_load(call("best", "korean", "--output", "yaml").out)
    assert "64" in json.dumps(best)


def test_watch_and_report_of_a_study_in_the_cluster(
    running: World, call: Callable[..., Any], tmp_path: Path
) -> None:
    running.trials.behave = lambda order, start: (0.5, 0, True) if order.kind is Kind.TRIAL else None
    running.submit("korean")
    answer = call("watch", "korean", "--lang", "en")  # until it ends
    assert answer.code == 0, answer.err
    assert "\x1b" not in answer.out
    assert all(re.match(r"\d\d:\d\d:\d\d \S", line) for line in answer.out.splitlines())
    for number in (0, 1):
        assert f"64 trial {number} started" in answer.out
        assert re.search(rf"64 trial {number} complete: score 0\.\d+", answer.out)
    assert "study Succeeded" in answer.out
    assert "Nobody works on it" not in answer.err
    written = call("report", "korean", "--lang", "ko", "--output", tmp_path / "r.html")
    assert written.code == 0, written.err
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    best = json.loads(call("best", "korean", "-o", "json").out)["lengths"]["64"]
    assert f"{best['dev']['score']:.3f}" in page
    assert f"coref-k8s submit --namespace {running.api.namespace} --name korean-again" in page
    unknown = call("watch", "koraen")
    assert (unknown.code, "did you mean 'korean'" in unknown.err) == (1, True)


def test_what_does_not_run_is_shown_as_waiting_and_why(running: World, call: Callable[..., Any]) -> None:
    def waits_for(words: str, study: str = "korean") -> str:
        def look() -> str:
            told = " ".join(call("status", study).out.split())
            return told if words in told else ""

        return str(running.until(look, words))

    running.trials.behave = lambda order, start: (60.0, 0, False) if order.kind is Kind.TRIAL else None
    running.submit("korean", spec={"trials": 1})
    running.running("korean-64-0-1")
    assert "waiting" not in waits_for("0 of 1 1 ")
    running.api.patch(JOBS, "korean-64-0-1", {"spec": {"suspend": True}})
    told = waits_for("64 trial 0 suspended, and by no queue of its study")
    assert "tokens progress running waiting" in told
    assert "0 of 1 0 1 " in told
    view = running.controllers[0].database.view(running.api.namespace, "korean")
    seen = call("status", "korean", "-o", "json").out
    (one,) = json.loads(seen)["waiting"]
    assert (one["kind"], one["seq_len"], one["trial"], one["reason"]) == ("trial", 64, 0, "Suspended")
    assert [t.number for t in view.trials if t.open] == [0]
    running.api.patch(JOBS, "korean-64-0-1", {"spec": {"suspend": False}})
    running.running("korean-64-0-1")
    assert "waiting" not in waits_for("0 of 1 1 ")
    assert call("cancel", "korean").code == 0
    assert "0 of 1 0 1 " in waits_for("Cancelled")
    running.submit("far", spec={"pod": {"gpus": 0, "nodeSelector": {"disk": "golden"}}})
    waits_for("prepare 0/", "far")


def test_a_report_before_the_controller_has_looked(
    world: World, call: Callable[..., Any], tmp_path: Path
) -> None:
    world.submit("korean")
    answer = call("report", "korean", "--lang", "en", "--output", tmp_path / "r.html")
    assert answer.code == 0, answer.err
    assert "No trial has a result yet" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_wait_follows_to_the_end(running: World, call: Callable[..., Any]) -> None:
    answer = call("submit", *SMALL, "--name", "korean", "--wait")
    assert answer.code == 0, answer.err
    running.trials.behave = lambda order, start: (0.05, 42, False)
    answer = call("submit", *SMALL, "--name", "broken", "--wait")
    assert answer.code == 1
    assert "preparation failed" in answer.err


def test_what_would_be_created(world: World, call: Callable[..., Any]) -> None:
    for where in ("client", "server"):
        answer = call("submit", *SMALL, "--name", "korean", f"--dry-run={where}", "--output", "yaml")
        resource = yaml.safe_load(answer.out)
        assert (answer.code, resource["metadata"]["name"]) == (0, "korean")
        assert resource["spec"]["seqLengths"] == [64]
    assert world.api.list(STUDIES)[0] == []
    answer = call("submit", *SMALL, "--name", "korean", "--output", "json")
    assert json.loads(answer.out)["metadata"]["uid"]


def test_a_resource_of_coreference_says_its_task_and_leaves_the_rest_to_it(
    world: World, call: Callable[..., Any]
) -> None:
    answer = call("submit", "--task", "coreference", "--name", "who", "--dry-run=server", "--output", "yaml")
    assert answer.code == 0, answer.err
    made = yaml.safe_load(answer.out)
    assert made["spec"]["task"] == "coreference"
    assert "weights" not in made["spec"]["objective"]
    assert wanted(made) == StudySpec(task="coreference")
    refused = call(
        "submit",
        "--task",
        "coreference",
        "--name",
        "who",
        "--set",
        "objective.weights={coref_f1: 1}",
        "--dry-run=server",
    )
    assert refused.code == 2
    assert "'coref_f1' is a metric of task mentions" in refused.err


def test_a_name_that_is_taken(world: World, call: Callable[..., Any]) -> None:
    world.submit("korean")
    answer = call("submit", *SMALL, "--name", "korean")
    assert answer.code == 2
    assert "exists already" in answer.err


def test_before_the_controller_has_looked(world: World, call: Callable[..., Any]) -> None:
    world.submit("korean")
    answer = call("status", "korean")
    assert (answer.code, "controller has not taken it up" in answer.out) == (0, True)
    assert "did you mean 'korean'" in call("status", "koraen").err


def test_without_a_controller_it_is_said_what_nobody_does(world: World, call: Callable[..., Any]) -> None:
    # a lease of another program, whatever its name ends in
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": "other_1_0a1b2c3d", "renewTime": now, "leaseDurationSeconds": 15}
    body = {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": {"name": "some-controller"}}
    world.api.create(LEASES, {**body, "spec": spec})
    submitted = call("submit", *SMALL, "--name", "korean")
    assert (submitted.code, "no controller works in" in submitted.err) == (0, True), submitted
    assert "no controller holds a lease" in call("doctor").out
    cancelled = call("cancel", "korean")
    assert (cancelled.code, "the controller ends it as soon as it can" in cancelled.err) == (1, True), (
        cancelled
    )
    assert world.study()["metadata"]["annotations"][names.CANCEL_ANNOTATION] == "true"
    world.controller()
    world.until_phase("Cancelled")


def test_what_a_database_that_is_away_keeps_the_controller_from_is_said_and_stays_asked(
    running: World, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A controller leads, and can do nothing: no command waits for it for long."""
    monkeypatch.setattr("coref_k8s.client.cluster._TROUBLED_FOR", 1.0)
    running.trials.behave = lambda order, start: (600.0, 0, True) if order.study == "long" else None
    for study in ("done", "long"):
        running.submit(study)
    running.until_phase("Succeeded", "done")
    running.running("long-64-0-1")
    running.controllers.pop().stop()
    away = running.controller(url="postgresql+psycopg2://nobody@127.0.0.1:1/nothing")
    running.until(away.lease.may_write, "a leader")
    began = time.monotonic()
    asked = {
        "cancel long": (1, "the controller ends it as soon as it can"),
        "submit --name new": (0, "what is asked of study new is not taken up yet"),
        "delete done --yes": (1, "the controller removes it as soon as it can"),
    }
    for command, (code, words) in asked.items():
        verb, *rest = command.split()
        answer = call(verb, *(SMALL if verb == "submit" else ()), *rest)
        assert (answer.code, words in answer.err) == (code, True), answer
        assert "did not answer as expected" in answer.err, answer
    # what needs the trials says so at once
    for verb in ("results", "extend --trials +1"):
        verb, *rest = verb.split()
        answer = call(verb, "long", *rest)
        assert (answer.code, "does not answer" in answer.err) == (1, True), answer
    assert time.monotonic() - began < 90, "on a slow machine"
    away.stop()
    running.controllers.remove(away)
    running.controller()
    running.until_phase("Cancelled", "long")
    running.until_phase("Succeeded", "new")
    running.until(
        lambda: [s["metadata"]["name"] for s in running.api.list(STUDIES)[0]] == ["long", "new"], "gone"
    )


def test_the_doctor_watches_a_study_until_it_knows_why_it_waits(
    running: World, call: Callable[..., Any]
) -> None:
    running.submit("far", spec={"pod": {"gpus": 0, "nodeSelector": {"disk": "golden"}}})
    began = time.monotonic()
    told = " ".join(call("doctor", "far").out.split())
    assert "✗ study far (Preparing, 0/2) does not go on: a pod has waited for a node" in told
    assert time.monotonic() - began < 60
    running.submit("korean")
    running.until_phase("Succeeded")
    assert "✓ study korean has ended: Succeeded, 2/2" in call("doctor", "korean").out


def test_cancel_resume_extend_delete(running: World, call: Callable[..., Any]) -> None:
    running.trials.behave = lambda order, start: (
        (60.0, 0, False) if order.kind is Kind.TRIAL and order.attempt == 1 else None
    )
    running.submit("korean")
    for trial in (0, 1):  # both have begun: what comes later is a second attempt
        running.running(f"korean-64-{trial}-1")
    assert call("cancel", "korean").code == 0
    assert running.status()["phase"] == "Cancelled"
    assert call("resume", "korean").code == 0
    running.until_phase("Succeeded")
    answer = call(
        "extend",
        "korean",
        "--trials",
        "+2",
        "--parallelism",
        "3",
        "--finalists",
        "1",
        "--finalist-seeds",
        "1",
    )
    assert "trials 2 → 4, parallelism 2 → 3, finalists 0 → 1, finalistSeeds 3 → 1" in answer.out
    running.trials.behave = lambda order, start: None
    running.until(lambda: running.status().get("progress") == "4/4", "the new trials")
    running.until(lambda: running.status().get("finalists") == "3/3", "the finalists")
    running.until_phase("Succeeded")
    deleted = call("delete", "korean", "--yes")
    assert (deleted.code, "/data/studies/korean" in deleted.err) == (0, True), deleted
    running.until(lambda: not running.api.list(STUDIES)[0], "the study to go")
    running.until(lambda: not running.api.list(JOBS)[0], "its jobs to go")


def test_the_doctor_says_what_is_there_and_what_is_not(running: World, call: Callable[..., Any]) -> None:
    running.until(running.controllers[0].lease.may_write, "a leader")
    answer = call("doctor")
    assert answer.code == 1
    told = answer.out
    for words in (
        "✓ API server v",
        "✓ you may create, read and delete studies",
        "leads, lease renewed",
        "✓ the controller reaches its database",
        "✗ there is no volume claim coref-k8s-data",
        "nobody reads the controller's metrics",
    ):
        assert words in told, told
    for name in ("another-data", "coref-k8s-data"):
        running.api.create(VOLUME_CLAIMS, claim(name))
    assert "! volume coref-k8s-data (slow, Pending) is ReadWriteOnce" in call("doctor").out


def claim(name: str) -> dict[str, Any]:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "slow",
        "resources": {"requests": {"storage": "1Gi"}},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


class Nodes:
    """An API that has nodes of one GPU, with these values of a label."""

    def __init__(self, label: str, *values: str) -> None:
        self._nodes = [
            {"metadata": {"labels": {label: value}}, "status": {"allocatable": {"nvidia.com/gpu": "1"}}}
            for value in values
        ]

    def list(self, _: Any) -> tuple[list[Any], str]:
        return self._nodes, ""


@pytest.mark.parametrize(
    ("label", "values", "grade", "words"),
    [
        ("nvidia.com/gpu.memory", ("81559", "16384"), "ok", "1 of 2 GPU nodes"),
        ("nvidia.com/gpu.memory", ("16384",), "failed", "the largest here has 16384 MB"),
        ("gpu-memory", ("81559",), "ok", "1 of 1 GPU nodes"),
        # words of another system, which are no megabytes
        ("gpu-memory", ("80Gi",), "failed", "none has the label gpu-memory"),
        ("", ("81559",), "ok", "do not ask for its memory"),
    ],
)
def test_the_doctor_reads_the_label_that_trials_ask_for(
    label: str, values: tuple[str, ...], grade: str, words: str
) -> None:
    api: Any = Nodes(label or "nvidia.com/gpu.memory", *values)
    finding = gpus(api, StudySpec(seq_lengths=(1024,)), label)
    assert (finding.grade, words in str(finding.what)) == (grade, True), finding


def test_the_doctor_says_what_a_user_may_not_see(world: World) -> None:
    """The shipped role ends at the release's namespace, nodes are outside of it."""
    rights = rbac.rules("user", service=f"{SERVICE}:8080")
    with closing(world.kube.as_service_account(world.api.namespace, "person", rights)) as person:
        finding = gpus(person, StudySpec(seq_lengths=(1024,)), "nvidia.com/gpu.memory")
    assert (finding.grade, "403" in str(finding.what)) == ("unknown", False)
    assert "you may not list nodes" in str(finding.what)


def test_what_the_server_refuses_is_said_with_a_remedy(
    world: World, coref: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(world.kube.kubeconfig))

    def told(api: AdminApi, *arguments: str) -> str:
        monkeypatch.setattr(ClusterBackend, "api", api)
        answer = coref(*arguments)
        assert (answer.code, answer.out) == (1, "")
        assert answer.err.count("\n") == 1, answer.err
        return str(answer.err)

    namespace = world.api.namespace
    with closing(world.kube.as_service_account(namespace, "nobody", [])) as nobody:
        for verb in (("list", "-n", namespace), ("submit", "-n", namespace, *SMALL), ("status", "x")):
            assert "an administrator can bind the release's role for users" in told(nobody, *verb)
    with closing(world.kube.with_token("no-such-token", namespace=namespace)) as stranger:
        assert "log in again" in told(stranger, "submit", "--name", "korean", *SMALL)
    with closing(world.kube.connect(namespace="nowhere")) as nowhere:
        words = told(nowhere, "submit", "--name", "korean", *SMALL)
    assert 'namespaces "nowhere" not found; make the namespace first' in words
    assert "definition" not in words


def test_a_manifest_says_only_what_differs_and_means_the_same() -> None:
    spec = spec_from_mapping(
        {
            "seqLengths": [512],
            "data": {"trainLimit": None, "sources": [{"source": "gaps:10"}]},
            "search": {"space": {"epochs": {"choices": [1, 2]}}, "spaceByLength": {"512": {"mask_low": {"low": 0.1, "high": 0.14}}}},
            "pod": {"tolerations": [{"key": "spot"}]},
        }
    )  # fmt: skip
    found = manifest("korean", spec, "lab")
    assert set(found["spec"]) == {"seqLengths", "data", "search", "pod"}
    assert spec_from_mapping(json.loads(json.dumps(found["spec"]))) == spec
    assert manifest("korean", StudySpec(), "lab")["spec"] == {}


@pytest.mark.parametrize(("text", "count"), [("12", 12), ("+10", 14)])
def test_counts_of_trials(text: str, count: int) -> None:
    assert new_count(text, 4, "--trials") == count


@pytest.mark.parametrize("text", ["ten", "-1", "0"])
def test_counts_that_are_none(text: str) -> None:
    with pytest.raises(RequestError, match="--trials"):
        new_count(text, 4, "--trials")


def test_a_final_training_and_an_ensemble_of_a_study(running: World, call: Callable[..., Any]) -> None:
    call("submit", *SMALL, "--name", "korean", "--wait")
    best = yaml.safe_load(call("best", "korean", "--output", "yaml").out)["lengths"][64]
    shown = yaml.safe_load(call("train", "korean", "--from-best", "--dry-run=server", "-o", "yaml").out)
    assert shown["spec"]["purpose"] == {"kind": "train", "study": "korean", "trials": [best["trial"]]}
    answer = call("train", "korean", "--from-best", "--train-limit", "none", "--wait")
    assert answer.code == 0, answer.err
    answer = call("ensemble", "korean", "--top", "2", "--wait")
    assert answer.code == 0, answer.err
    orders = {order.study: order for order in running.trials.orders if order.kind is Kind.TRIAL}
    final, joined = orders["korean-final-64"], orders["korean-ensemble-64"]
    assert final.params == best["params"]
    assert final.spec.data.train_limit is None
    assert (final.spec.purpose.kind, final.workdir) == ("train", "studies/korean-final-64/64/0")
    assert (joined.spec.purpose.kind, len(joined.spec.purpose.trials), joined.params) == ("ensemble", 2, {})
    assert "korean-final-64" in call("list").out
    answer = call("train", "korean", "--from-best")
    assert (answer.code, "exists already" in answer.err) == (2, True)
    call("delete", "korean-final-64", "--yes")
    running.until(lambda: "korean-final-64" not in call("list").out, "the final training to be gone")


def test_results_in_object_storage_are_read_by_the_names_of_the_cluster(
    world: World, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept = f"file://{tmp_path}/kept"
    jobs = JOBS_HERE.model_copy(update={"object_store": ObjectStoreSettings(uri=kept)})
    world.expose(world.controller(jobs=jobs))
    world.submit("korean")
    world.until_phase("Succeeded")
    for number in (0, 1):
        model = tmp_path / f"{number}/model"
        model.mkdir(parents=True)
        (model / "config.json").write_text(json.dumps({"trial": number}))
        Place(kept).put(f"studies/korean/64/{number}", tmp_path / f"{number}")
    monkeypatch.setenv("COREF_OBJECT_STORE", kept)
    monkeypatch.setenv("COREF_DATA_DIR", str(tmp_path / "laptop"))
    best = yaml.safe_load(call("best", "korean", "--output", "yaml").out)["lengths"][64]
    settings = Settings.from_env()
    found = model_folder("korean/64", settings)
    assert found == tmp_path / f"laptop/studies/korean/64/{best['trial']}/model"
    assert json.loads((found / "config.json").read_text()) == {"trial": best["trial"]}
    assert model_folder("korean/64/1", settings).is_dir()
    with pytest.raises(NotFoundError, match="korean"):
        model_folder("korean/64/7", settings)
    with pytest.raises(NotFoundError, match="korea"):
        model_folder("korea/64", settings)
    assert f"{kept}" in call("doctor").out
