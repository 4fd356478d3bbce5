"""The controller on a cluster: from a CorefStudy to Jobs, and back to its status. Pods only pretend to run."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy

from coref_k8s.cluster import names, rbac
from coref_k8s.cluster.errors import Invalid
from coref_k8s.cluster.observed import noted_spent, ran_seconds
from coref_k8s.cluster.resources import CRDS, JOBS, LEASES, PODS, STUDIES
from coref_k8s.cluster.runner import ClusterRunner
from coref_k8s.controller.portable import from_file, renamed, restore, to_file
from coref_k8s.errors import NotFoundError
from coref_k8s.store import Outcome, Phase
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order
from tests.cluster.simulation import WELL, Behaviour
from tests.cluster.world import JOBS_HERE, World, install_crd
from tests.kube.faults import Fault

pytestmark = pytest.mark.cluster


def test_a_study_runs_to_its_end(world: World) -> None:
    world.controller()
    world.submit(spec={"seqLengths": [64, 128], "trials": 3})
    status = world.until_phase("Succeeded")
    assert status["progress"] == "6/6"
    counts = {"running": 0, "waiting": 0, "succeeded": 6, "pruned": 0, "failed": 0}
    assert status["trials"] == {"total": 6, "done": 6, **counts}
    assert [best["seqLen"] for best in status["best"]] == [64, 128]
    assert "learning_rate" in status["best"][0]["params"]
    assert status["bestScore"].endswith(("(64)", "(128)"))
    assert status["startTime"] <= status["completionTime"]
    kinds = {c["type"]: c["status"] for c in status["conditions"]}
    assert kinds == {
        "Accepted": "True", "Prepared": "True", "Progressing": "False", "Degraded": "False", "Complete": "True",
    }  # fmt: skip
    world.until(lambda: world.jobs() == [], "the jobs to be removed")
    assert sorted(reason for reason, _ in world.events()) == ["Preparing", "Running", "Succeeded"]
    # each job ran once, the preparation first
    names_of = [order.name for order in world.trials.orders]
    assert len(names_of) == len(set(names_of)) == 7
    assert world.trials.orders[0].kind is Kind.PREPARE


def test_jobs_belong_to_their_study(world: World) -> None:
    world.trials.behave = lambda order, start: (60.0, 0, False)
    world.controller()
    study = world.submit()
    world.running("korean-prepare-1")
    job = world.api.get(JOBS, "korean-prepare-1")
    owner = job["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"]) == (names.KIND, study["metadata"]["uid"])
    assert world.until_phase("Preparing")["progress"] == "0/2"


def test_failures_are_told_and_bounded(world: World) -> None:
    world.trials.behave = lambda order, start: (0.05, 42, False) if order.kind is Kind.TRIAL else None
    world.controller()
    world.submit(spec={"trials": 4, "limits": {"maxFailedTrials": 1}})
    status = world.until_phase("Failed")
    # two ran at once, so a third may have begun
    assert "trials failed, which exceeds limits.maxFailedTrials (1)" in status["message"]
    told = [message for reason, message in world.events() if reason == "TrialFailed"]
    assert any("cannot run as requested" in message and "exit code 42" in message for message in told), told


def test_memory_runs_out_and_the_next_attempt_has_more(world: World) -> None:
    def behave(order: Order, start: int) -> Behaviour | None:
        if order.kind is Kind.TRIAL and order.trial == 0 and order.attempt == 1:
            return 0.05, 43, False
        return None

    world.trials.behave = behave
    world.controller()
    world.submit(spec={"trials": 1})
    world.until_phase("Succeeded")
    first, second = (o for o in world.trials.orders if o.kind is Kind.TRIAL)
    assert (first.attempt, second.attempt, second.trial_id) == (1, 2, first.trial_id)
    assert second.resources.memory_bytes > first.resources.memory_bytes
    assert second.batch is not None
    assert first.batch is not None
    assert second.batch.effective_batch == first.batch.effective_batch
    assert any(reason == "OutOfMemory" for reason, _ in world.events())


def test_an_evicted_pod_is_replaced_and_costs_the_trial_nothing(world: World) -> None:
    def behave(order: Order, start: int) -> Behaviour | None:
        return (60.0, 0, False) if order.kind is Kind.TRIAL and start <= 2 else None

    def spent() -> dict[str, float]:
        return noted_spent(world.api.get(JOBS, "korean-64-0-1"))

    world.trials.behave = behave
    world.controller()
    world.submit(spec={"trials": 1, "parallelism": 1})
    first = world.running("korean-64-0-1")["metadata"]["name"]
    # times have whole seconds
    world.until(lambda: ran_seconds(world.running("korean-64-0-1"), datetime.now(UTC)) >= 2, "a pod to lose")
    world.api.evict(first)
    world.until(lambda: spent().get(first, 0) >= 1, "its time to be noted")
    second = world.running("korean-64-0-1")["metadata"]["name"]
    assert second != first
    world.api.evict(second)
    world.until_phase("Succeeded")
    orders = [o for o in world.trials.orders if o.kind is Kind.TRIAL]
    assert [(o.trial, o.attempt) for o in orders] == [(0, 1)] * 3
    attempt = world.trials.database.store().attempts(world.api.namespace, "korean", trial=0)[0]
    assert (attempt.outcome, attempt.disruptions, attempt.retries) == (Outcome.SUCCEEDED, 2, 0)


def test_an_upgrade_reaches_jobs_that_wait_and_no_others(world: World) -> None:
    def image(job: str) -> str:
        return str(world.api.get(JOBS, job)["spec"]["template"]["spec"]["containers"][0]["image"])

    world.trials.behave = lambda order, start: (300.0, 0, False)
    old = world.controller(jobs=JOBS_HERE.model_copy(update={"image": "trial:1"}))
    world.submit("runs")
    running = world.running("runs-prepare-1")
    world.submit("waits", spec={"pod": {"gpus": 0, "nodeSelector": {"no": "where"}}})
    world.until(lambda: "waits-prepare-1" in world.jobs(), "the Job that waits")
    old.stop()
    world.controller(jobs=JOBS_HERE.model_copy(update={"image": "trial:2"}))
    world.until(lambda: image("waits-prepare-1") == "trial:2", "the new image")
    assert image("runs-prepare-1") == "trial:1"
    assert world.running("runs-prepare-1")["metadata"]["uid"] == running["metadata"]["uid"]
    assert world.trials.database.store().attempts(world.api.namespace, "waits") == [], "no attempt has ended"


def test_a_queue_admits_preempts_and_admits_again(world: World) -> None:
    """As Kueue does it: Jobs come suspended, and are suspended again for something more urgent."""

    def behave(order: Order, start: int) -> Behaviour | None:
        return (60.0, 0, False) if order.kind is Kind.TRIAL and start == 1 else None

    def suspend(job: str, value: bool) -> None:
        world.until(lambda: job in world.jobs(), job)
        world.api.patch(JOBS, job, {"spec": {"suspend": value}})

    world.trials.behave = behave
    world.controller()
    world.submit(spec={"trials": 1, "pod": {"gpus": 0, "queueName": "team"}})
    world.until(lambda: world.condition("Degraded").get("reason") == "Suspended", "the study to say it waits")
    suspend("korean-prepare-1", False)
    suspend("korean-64-0-1", False)
    world.running("korean-64-0-1")
    world.until(lambda: counts(world) == (1, 0), "the trial to be counted as running")
    suspend("korean-64-0-1", True)
    world.until(lambda: not world.pods("korean-64-0-1"), "the pod to go")
    world.until(lambda: world.condition("Degraded").get("reason") == "Suspended", "the study to say so again")
    world.until(lambda: counts(world) == (0, 1), "the trial to be counted as waiting")
    suspend("korean-64-0-1", False)
    world.until_phase("Succeeded")
    attempt = world.trials.database.store().attempts(world.api.namespace, "korean", trial=0)[0]
    assert (attempt.outcome, attempt.attempt, attempt.retries) == (Outcome.SUCCEEDED, 1, 0)
    assert attempt.disruptions == 1


def counts(world: World) -> tuple[int, int]:
    """Return how many trials the status counts as running and as waiting."""
    trials = world.status().get("trials", {})
    return trials.get("running", 0), trials.get("waiting", 0)


def test_a_lost_node_costs_the_trial_nothing(world: World) -> None:
    def behave(order: Order, start: int) -> Behaviour | None:
        return (60.0, 0, False) if order.kind is Kind.TRIAL and start == 1 else None

    world.trials.behave = behave
    world.controller()
    world.submit(spec={"trials": 1, "parallelism": 1})
    world.running("korean-64-0-1")
    world.kubelet.add_node("spare")
    world.kubelet.lose_node("plain")
    world.patience *= 3  # a real pod collector waits 40 s, and looks every 20
    world.until_phase("Succeeded")
    attempt = world.trials.database.store().attempts(world.api.namespace, "korean", trial=0)[0]
    assert (attempt.outcome, attempt.attempt, attempt.disruptions) == (Outcome.SUCCEEDED, 1, 1)


def test_a_job_that_ends_well_without_a_result_is_a_failed_trial(world: World) -> None:
    world.trials.behave = lambda order, start: (0.05, 0, False) if order.kind is Kind.TRIAL else None
    world.controller()
    world.submit(spec={"trials": 1})
    status = world.until_phase("Failed")
    assert status["trials"]["failed"] == 1
    told = [message for reason, message in world.events() if reason == "TrialFailed"]
    assert any("without a result" in message for message in told), told


def test_exit_0_of_a_container_that_lost_a_child_to_its_memory_limit_is_out_of_memory(world: World) -> None:
    def behave(order: Order, start: int) -> Behaviour | None:
        if order.kind is Kind.TRIAL and order.attempt == 1:
            return 60.0, 0, False
        return None

    world.trials.behave = behave
    world.controller()
    world.submit(spec={"trials": 1})
    pod = world.running("korean-64-0-1")["metadata"]["name"]
    world.kubelet.oom_kill(world.api.namespace, pod, only_a_child=True)
    world.kubelet.finish(world.api.namespace, pod)
    world.until_phase("Succeeded")
    first, second = world.trials.database.store().attempts(world.api.namespace, "korean", trial=0)
    assert (first.outcome, first.reason) == (Outcome.OUT_OF_MEMORY, "HostOutOfMemory")
    assert (second.outcome, second.tier) == (Outcome.SUCCEEDED, 1)


def test_a_job_deleted_by_hand_comes_again(world: World) -> None:
    def behave(order: Order, start: int) -> Behaviour | None:
        return (60.0, 0, False) if order.kind is Kind.TRIAL and order.attempt == 1 else None

    world.trials.behave = behave
    world.controller()
    world.submit(spec={"trials": 1})
    world.running("korean-64-0-1")
    # one that goes before it was looked at counts as not seen yet, for minutes
    world.until(lambda: world.status()["trials"]["running"] == 1, "the controller to see it run")
    world.api.delete(JOBS, "korean-64-0-1")
    world.until_phase("Succeeded")
    assert [o.attempt for o in world.trials.orders if o.kind is Kind.TRIAL] == [1, 2]


def test_cancel_and_resume(world: World) -> None:
    def behave(order: Order, start: int) -> Behaviour | None:
        return (60.0, 0, False) if order.kind is Kind.TRIAL and order.attempt == 1 else None

    world.trials.behave = behave
    world.controller()
    world.submit(spec={"trials": 1})
    world.running("korean-64-0-1")
    world.annotate(cancel="true")
    world.until_phase("Cancelled")
    world.until(lambda: world.jobs() == [], "the jobs to go")
    attempt = world.trials.database.store().attempts(world.api.namespace, "korean", trial=0)[0]
    assert attempt.outcome is Outcome.STOPPED
    world.annotate(cancel=None)
    status = world.until_phase("Succeeded")
    assert status["trials"]["succeeded"] == 1


def test_a_job_that_an_earlier_controller_stopped_counts_as_stopped(world: World) -> None:
    world.trials.behave = lambda order, start: (60.0, 0, False) if order.kind is Kind.TRIAL else None
    first = world.controller()
    world.submit(spec={"trials": 1, "limits": {"maxDisruptions": 0}})
    world.running("korean-64-0-1")
    first.stop()
    runner = ClusterRunner(world.api, first.cache, JOBS_HERE)
    job = next(job for job in runner.list("korean") if job.kind is Kind.TRIAL)
    # all that the first one still did
    runner.stop(job, "cancelled on request")
    world.annotate(cancel="true")
    world.controller()
    world.until_phase("Cancelled")
    attempt = world.trials.database.store().attempts(world.api.namespace, "korean", trial=0)[0]
    assert (attempt.outcome, attempt.disruptions) == (Outcome.STOPPED, 0)


def test_more_trials_wake_a_finished_study(world: World) -> None:
    world.controller()
    world.submit()
    world.until_phase("Succeeded")
    world.api.patch(STUDIES, "korean", {"spec": {"trials": 4, "parallelism": 1}})
    world.until(lambda: world.status().get("progress") == "4/4", "two more trials")
    assert world.until_phase("Succeeded")["observedGeneration"] == world.study()["metadata"]["generation"]
    # and finalists, which are no other search
    world.api.patch(STUDIES, "korean", {"spec": {"search": {"finalists": 1, "finalistSeeds": 1}}})
    world.until(lambda: world.status().get("finalists") == "3/3", "its finalists")
    (best,) = world.until_phase("Succeeded")["best"]
    assert (best["runs"], best["againstUntuned"]) == (1, "better")
    with pytest.raises(
        Invalid, match="search cannot change but for finalists, finalistSeeds, patience, minGain, budget"
    ):
        world.api.patch(STUDIES, "korean", {"spec": {"search": {"sampler": "tpe"}}})


def test_finalists_run_as_jobs_and_the_status_has_their_verdict(world: World) -> None:
    def behave(order: Order, start: int) -> Behaviour | None:
        # one seed of a finalist is lost; only that
        return (0.05, 42, False) if order.kind is Kind.FINALIST and order.trial == 1 else None

    world.trials.behave = behave
    world.controller()
    search = {"sampler": "random", "pruner": "none", "finalists": 1, "finalistSeeds": 2}
    # early in a second: a run that fails in the one in which the study began has failed all the same
    time.sleep(1 - time.time() % 1)
    world.submit(spec={"search": search, "limits": {"maxFailedTrials": 0}})
    status = world.until_phase("Succeeded")
    assert status["message"] == "1 run of the finalists of length 64 failed"
    assert status["finalists"] == "5/5"
    assert status["trials"]["failed"] == 0
    (best,) = status["best"]
    assert (best["runs"], best["test"], best["againstUntuned"]) == (1, 0.5, "better")
    assert best["againstDefaults"] == "no difference shown"
    assert best["testLow"] <= best["test"] <= best["testHigh"]
    names_of = [order.name for order in world.trials.orders]
    assert names_of[-1] == "korean-64-verdict-1"
    assert sorted(n for n in names_of if "finalist" in n) == [f"korean-64-finalist{n}-1" for n in range(5)]
    assert all(order.resources.gpus == 0 for order in world.trials.orders)
    # what a command line reads through the controller
    view = world.trials.database.view(world.api.namespace, "korean")
    assert view.lengths[0].verdict.winner == best["trial"] == view.lengths[0].best.number
    assert [run.state.value for run in view.runs].count("failed") == 1


def test_deleting_the_resource_ends_the_jobs_and_keeps_the_study(world: World) -> None:
    world.trials.behave = lambda order, start: (60.0, 0, False) if order.kind is Kind.TRIAL else None
    world.controller()
    world.submit()
    world.running("korean-64-0-1")
    world.api.delete(STUDIES, "korean")
    store = world.trials.database.store()
    world.until(lambda: world.jobs() == [], "the jobs to be collected")
    world.until(lambda: store.get_study(world.api.namespace, "korean").ended, "the study to end")
    record = store.get_study(world.api.namespace, "korean")
    assert (record.phase, "deleted" in str(record.message)) == (Phase.CANCELLED, True)
    # the same request again goes on with the trials that are there
    world.trials.behave = lambda order, start: WELL
    world.submit()
    world.until_phase("Succeeded")
    assert len(world.trials.database.view(world.api.namespace, "korean").trials) == 2


def test_purge_takes_the_study_out_of_the_database(world: World) -> None:
    world.controller()
    world.submit()
    world.until_phase("Succeeded")
    world.annotate(purge="true")
    world.until(
        lambda: names.PURGE_FINALIZER in world.study()["metadata"].get("finalizers", ()), "the finalizer"
    )
    world.api.delete(STUDIES, "korean")
    store = world.trials.database.store()

    def gone() -> bool:
        try:
            store.get_study(world.api.namespace, "korean")
        except NotFoundError:
            return not world.api.list(STUDIES)[0]
        return False

    world.until(gone, "the study and its resource to be gone")


def test_a_name_that_the_database_has_otherwise_is_refused(world: World) -> None:
    world.controller()
    world.submit()
    world.until_phase("Succeeded")
    world.api.delete(STUDIES, "korean")
    world.until(lambda: not world.api.list(STUDIES)[0], "the resource to be gone")
    world.submit(spec={"seed": 9})
    status = world.until_phase("Failed")
    assert "another seed" in status["message"]
    assert world.condition("Accepted")["reason"] == "Conflict"


def test_an_imported_study_is_shown_whole_and_goes_on(world: World) -> None:
    world.controller()
    world.submit()
    world.until_phase("Succeeded")
    database, namespace = world.trials.database, world.api.namespace
    view = renamed(from_file(to_file(database.view(namespace, "korean")), "here"), "again")
    restore(database.store(), namespace, view)
    world.submit("again")
    status = world.until_phase("Succeeded", "again")
    assert (status["progress"], status["trials"]["succeeded"]) == ("2/2", 2)
    assert status["bestScore"] == world.status()["bestScore"]
    assert world.condition("Prepared", "again")["status"] == "False"
    assert not [order for order in world.trials.orders if order.study == "again"]
    world.api.patch(STUDIES, "again", {"spec": {"trials": 3}})
    world.until(lambda: world.status("again").get("progress") == "3/3", "the new trial")
    world.until_phase("Succeeded", "again")
    assert [order.name for order in world.trials.orders if order.study == "again"] == [
        "again-prepare-2",
        "again-64-2-1",
    ]
    assert world.condition("Prepared", "again")["status"] == "True"


def test_a_definition_newer_than_the_controller_fails_no_study(world: World) -> None:
    newer = world.api.get(CRDS, names.CRD_NAME)
    version = newer["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    version["spec"]["properties"]["training"]["properties"]["laterKey"] = {"type": "integer", "default": 3}
    try:
        world.api.replace(CRDS, newer)

        def submitted() -> bool:
            # until the new definition is served, its default is not filled in
            found = world.submit("korean")["spec"]["training"]
            if "laterKey" not in found:
                world.api.delete(STUDIES, "korean")
                world.until(lambda: not world.api.list(STUDIES)[0], "the study to go")
            return "laterKey" in found

        world.until(submitted, "a study of the newer definition")
        # only now: a watch that is older than the definition goes on as before
        world.controller()
        world.until(lambda: world.condition("Degraded").get("reason") == "VersionMismatch", "the mismatch")
        assert world.status()["phase"] == "Pending"
        assert "laterKey" in world.status()["message"]
        assert world.jobs() == []
    finally:
        install_crd(world.api)
    world.controllers.pop().stop()

    def submitted_anew() -> bool:
        # until the old definition is served, the default is filled in again
        world.api.delete(STUDIES, "korean")
        world.until(lambda: not world.api.list(STUDIES)[0], "the study to go")
        return "laterKey" not in world.submit("korean")["spec"]["training"]

    world.until(submitted_anew, "a study of the controller's own definition")
    world.controller()
    world.until_phase("Succeeded")


@pytest.mark.parametrize(
    ("pod", "reason", "words"),
    [
        ({"image": "registry.example/unpullable:1"}, "ImagePull", "cannot be pulled"),
        ({"nodeSelector": {"no": "where"}}, "Unschedulable", "waited for a node"),
    ],
)
def test_what_keeps_pods_from_running_is_said(world: World, pod: Any, reason: str, words: str) -> None:
    world.controller()
    world.submit(spec={"pod": {"gpus": 0, **pod}, "limits": {"pendingDeadline": 1}})
    found = world.until(
        lambda: (c := world.condition("Degraded")).get("reason") == reason and c, f"Degraded/{reason}"
    )
    assert found["status"] == "True"
    assert words in found["message"]
    # and `kubectl describe cstudy` shows it among its events
    world.until(lambda: [m for r, m in world.events() if r == reason and words in m], f"an event {reason}")


def test_an_installation_bounds_how_many_trials_run_at_once(world: World) -> None:
    world.trials.behave = lambda order, start: (60.0, 0, False) if order.kind is Kind.TRIAL else None
    bounded = world.controller(jobs=JOBS_HERE.model_copy(update={"max_parallelism": 1}))
    world.submit(spec={"trials": 3, "parallelism": 3})
    world.running("korean-64-0-1")
    world.until(lambda: world.status()["trials"]["running"] == 1, "the status of the first trial")
    # a preparation that is still ending takes no trial's place
    assert [name for name in world.jobs() if "prepare" not in name] == ["korean-64-0-1"]
    # as `helm upgrade` does it: another controller, other settings, the same trial
    bounded.stop()
    world.controller(jobs=JOBS_HERE.model_copy(update={"max_parallelism": 2}))
    world.running("korean-64-1-1")
    assert [name for name in world.jobs() if "prepare" not in name] == ["korean-64-0-1", "korean-64-1-1"]
    world.annotate(cancel="true")
    world.until_phase("Cancelled")


@pytest.fixture
def slow_time() -> Iterator[Callable[[float], float]]:
    """Time as a controller's workers have it where each statement takes 10 ms, whatever it takes here.

    Called with seconds, it lets them pass, for workers alone; returns what the clock shows.
    """
    shown = [0.0]

    def clock(seconds: float = 0.0) -> float:
        if threading.current_thread().name.startswith("worker-"):
            shown[0] += seconds
        return shown[0]

    def statement(*_: Any) -> None:
        clock(0.01)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", statement)
    yield clock
    sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", statement)


def test_where_everything_is_slow_a_wide_study_is_told_of_and_cancelled_between_bounded_rounds(
    world: World, slow_time: Callable[[float], float]
) -> None:
    world.trials.behave = lambda order, start: (600.0, 0, False) if order.kind is Kind.TRIAL else None
    controller = world.controller(start=False, monotonic=slow_time)
    count = controller.api.on_request

    def slowly(verb: str, plural: str, code: int, seconds: float) -> None:
        slow_time(0.3)
        count(verb, plural, code, seconds)

    controller.api.on_request = slowly
    controller.start()
    world.submit(spec={"trials": 1000, "parallelism": 1000})
    world.until(lambda: world.status().get("trials", {}).get("running", 0) >= 8, "eight trials in the status")
    world.annotate(cancel="true")
    assert world.until_phase("Cancelled")["trials"]["running"] == 0
    begun = {order.name for order in world.trials.orders}
    assert len(begun) < 500
    sample = controller.metrics.registry.get_sample_value
    rounds = sample("coref_controller_reconcile_seconds_count")
    assert sample("coref_controller_reconcile_seconds_bucket", {"le": "5.0"}) == rounds
    # it was as slow as all that: in one round it would have taken them together
    assert sample("coref_controller_reconcile_seconds_sum") > 0.3 * 2 * len(begun) > 5


def test_jobs_that_the_server_refuses_are_told_and_come_when_it_takes_them(world: World) -> None:
    world.controller()
    account = (world.api.namespace, "controller")
    without = [
        {**rule, "verbs": [verb for verb in rule["verbs"] if verb != "create"]}
        if rule["resources"] == ["jobs"]
        else rule
        for rule in rbac.rules("controller")
    ]
    world.kube.as_service_account(*account, without).close()
    world.submit()
    told = world.until(
        lambda: world.condition("Degraded").get("status") == "True" and world.status(), "trouble"
    )
    assert world.condition("Degraded")["reason"] == "Refused"
    assert 'cannot create resource "jobs"' in told["message"]
    world.until(lambda: world.status()["trials"]["waiting"] == 1, "the preparation to be counted")
    assert world.jobs() == []
    world.kube.as_service_account(*account, rbac.rules("controller")).close()
    world.until_phase("Succeeded")
    assert world.condition("Degraded")["status"] == "False"


def test_a_webhook_that_is_down_is_told_and_forgotten_when_it_is_back(world: World) -> None:
    if world.kube.real:
        pytest.skip("faults cannot be ordered from a real API server")
    posts_jobs = lambda method, path: method == "POST" and "/jobs" in path  # noqa: E731
    world.controller()
    world.kube.fake.faults.add(Fault("error", 500, times=None, when=posts_jobs))
    world.submit()
    told = world.until(lambda: (c := world.condition("Degraded")).get("status") == "True" and c, "trouble")
    assert told["reason"] == "Refused"
    assert "injected 500" in told["message"]
    assert "tried again within" in world.status()["message"]
    world.kube.fake.faults.clear()
    status = world.until_phase("Succeeded")
    assert world.condition("Degraded")["status"] == "False"
    assert "injected" not in status.get("message", "")


def test_an_error_that_nobody_foresaw_is_in_the_status(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ClusterRunner.start

    def start(self: ClusterRunner, order: Any) -> None:
        if order.trial == 0:
            raise ValueError(f"{'m' * 1024}: an URL of no known form")
        real(self, order)

    monkeypatch.setattr(ClusterRunner, "start", start)
    world.controller()
    world.submit()
    # the other trial goes on meanwhile, and its success stands beside the trouble
    status = world.until(lambda: (s := world.status()).get("trials", {}).get("succeeded") and s, "a trial")
    told = world.until(lambda: (c := world.condition("Degraded")).get("reason") == "Error" and c, "the error")
    # a name of a thousand characters does not hide what is wrong with it
    assert re.search("ValueError: m{50}…m{49}: an URL of no known form", told["message"]), told
    assert status["progress"] == "1/2"
    monkeypatch.setattr(ClusterRunner, "start", real)
    world.until_phase("Succeeded")
    assert world.condition("Degraded")["status"] == "False"


def test_trouble_after_the_end_leaves_with_its_cause(world: World) -> None:
    """A database that is away for a moment must not stay in the status of a study that has long ended."""
    controller = world.controller()
    world.submit()
    world.until_phase("Succeeded")
    controller.stop()
    later = world.controller(url="postgresql+psycopg2://nobody@127.0.0.1:1/nothing")
    world.until(lambda: world.condition("Degraded").get("reason") == "DatabaseUnavailable", "trouble")
    later.stop()
    world.controller()
    world.until(lambda: world.condition("Degraded").get("status") == "False", "the end of the trouble")
    assert world.status()["phase"] == "Succeeded"


def test_a_status_that_is_refused_is_not_sent_all_the_time(world: World) -> None:
    if world.kube.real:
        pytest.skip("faults cannot be ordered from a real API server")
    asked: list[str] = []

    def refused(method: str, path: str) -> bool:
        if method == "PATCH" and "/status" in path and "studies" in path:
            asked.append(path)
            return True
        return False

    world.kube.fake.faults.add(Fault("error", 500, times=None, when=refused))
    world.controller()
    world.submit(spec={"trials": 6})
    ended = lambda: sum(order.kind is Kind.TRIAL for order in world.trials.orders) >= 6  # noqa: E731
    world.until(ended, "six trials without a status")
    assert len(asked) <= 10
    world.kube.fake.faults.clear()
    world.until_phase("Succeeded")


def test_a_request_that_is_repaired_reaches_the_pods_that_wait(world: World) -> None:
    world.controller()
    world.submit(spec={"trials": 1, "parallelism": 1, "pod": {"gpus": 0, "nodeSelector": {"no": "where"}}})
    world.until(lambda: "korean-prepare-1" in world.jobs(), "the preparation's Job")
    first = world.api.get(JOBS, "korean-prepare-1")["metadata"]["uid"]
    world.api.patch(STUDIES, "korean", {"spec": {"pod": {"nodeSelector": None}}})
    world.until_phase("Succeeded")
    attempts = world.trials.database.store().attempts(world.api.namespace, "korean")
    assert {(one.kind, one.attempt, one.outcome) for one in attempts} == {
        (Kind.PREPARE, 1, Outcome.SUCCEEDED),
        (Kind.TRIAL, 1, Outcome.SUCCEEDED),
    }
    assert world.api.get(JOBS, "korean-prepare-1")["metadata"]["uid"] != first


def test_annotations_that_anybody_may_write_are_read_with_limits(world: World) -> None:
    world.trials.behave = lambda order, start: (60.0, 0, False) if order.kind is Kind.TRIAL else None
    world.controller()
    world.submit(spec={"trials": 1, "parallelism": 1})
    world.running("korean-64-0-1")
    long = "x" * 5000
    ours = {names.MAX_DISRUPTIONS_ANNOTATION: "²" * 9, names.SPENT_ANNOTATION: f"p={'9' * 5000}"}
    world.api.patch(JOBS, "korean-64-0-1", {"metadata": {"annotations": ours}})
    world.annotate(cancel=long, resume=long, version=long)
    world.until(lambda: world.status().get("resumed", "").startswith("xxxx"), "the wish in the status")
    assert len(world.status()["resumed"]) < 200
    assert world.status()["trials"]["running"] == 1
    world.annotate(cancel="true")
    world.until_phase("Cancelled")
    world.trials.behave = lambda order, start: None
    world.annotate(cancel="", resume=long + "y")
    world.until_phase("Succeeded")


def test_only_the_leader_works_and_another_takes_over(world: World) -> None:
    world.trials.behave = lambda order, start: (0.5, 0, True)
    # longer than a busy machine lets its holder wait
    first = world.controller(start=False, lease_seconds=15)
    first.start()
    world.until(first.lease.may_write, "the first to lead")
    second = world.controller(lease_seconds=15)
    world.submit(spec={"trials": 6, "parallelism": 1})
    world.until(lambda: world.status().get("progress", "0/6") >= "2/6", "two trials")
    assert not second.lease.may_write()
    first.stop()
    # given back, not run out
    lease = world.api.get(LEASES, "coref-k8s-controller")["spec"]
    assert lease.get("holderIdentity", "") in ("", second.lease.holder)
    world.until_phase("Succeeded")
    names_of = [order.name for order in world.trials.orders]
    assert len(names_of) == len(set(names_of)) == 7


def test_a_controller_that_lost_its_lease_writes_nothing(world: World) -> None:
    controller = world.controller()
    world.until(controller.lease.may_write, "to lead")
    lease = world.api.get(LEASES, "coref-k8s-controller")
    lease["spec"] |= {"holderIdentity": "somebody-else", "leaseDurationSeconds": 60}
    world.api.patch(LEASES, "coref-k8s-controller", {"spec": lease["spec"]})
    world.until(lambda: not controller.lease.may_write(), "it to notice")
    written = _writes(controller)
    world.submit()
    controller.queue.add(next(iter([_key(world)])))
    world.until(lambda: len(controller.queue) == 0, "the queue to be empty")
    assert world.jobs() == []
    assert world.status() == {}
    assert _writes(controller) == written


def _key(world: World) -> Any:
    from coref_k8s.controller.workqueue import Key

    return Key(world.api.namespace, "korean")


def _writes(controller: Any) -> float:
    found = controller.metrics.requests.collect()[0].samples
    return sum(
        s.value
        for s in found
        if s.name.endswith("_total") and s.labels["verb"] in ("create", "patch", "apply", "delete")
    )


def test_pages_say_how_it_is(world: World) -> None:
    import urllib.error
    import urllib.request

    controller = world.controller()
    world.submit()
    world.until_phase("Succeeded")
    base = f"http://127.0.0.1:{controller.web.port}"

    def page(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(base + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    assert page("/healthz") == (200, "ok\n")
    assert page("/readyz") == (200, "ok\n")
    metrics = page("/metrics")[1]
    namespace = world.api.namespace
    assert f'coref_study_phase{{namespace="{namespace}",phase="Succeeded",study="korean"}} 1.0' in metrics
    assert "coref_controller_leading 1.0" in metrics
    code, text = page(f"/api/v1/studies/{namespace}/korean")
    assert (code, '"phase":"Succeeded"' in text, "secret" in text) == (200, True, False)
    assert page(f"/api/v1/studies/{namespace}/nope")[0] == 404
    assert page("/nothing")[0] == 404


def test_requests_are_few(world: World) -> None:
    controller = world.controller(status_seconds=2.0)
    world.submit(spec={"trials": 12, "parallelism": 2})
    world.until_phase("Succeeded")
    world.until(lambda: world.jobs() == [], "the jobs to go")
    found = controller.metrics.requests.collect()[0].samples
    per_trial = sum(s.value for s in found if s.name.endswith("_total") and s.labels["resource"] in ("jobs", "corefstudies", "events") and s.labels["verb"] not in ("list", "watch")) / 12  # fmt: skip
    assert per_trial <= 6, per_trial
    assert not any(s.labels["resource"] == PODS.plural and s.labels["verb"] == "get" for s in found)
