"""What a runner remembers of Jobs that do not change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from coref_k8s.cluster import names
from coref_k8s.cluster.cache import JobCache
from coref_k8s.cluster.jobs import CONTAINER, job_manifest
from coref_k8s.cluster.lease import Lease
from coref_k8s.cluster.observed import has_ended
from coref_k8s.cluster.resources import JOBS, NODES, PODS
from coref_k8s.cluster.runner import ClusterRunner
from coref_k8s.cluster.settings import JobSettings
from coref_k8s.controller.runner import Reason, State
from coref_k8s.errors import RequestError
from tests.cluster.orders import make_order
from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster, wait_for


def test_a_pod_that_only_waits_becomes_trouble_in_time(
    fake_only: KubeCluster, api: AdminApi, job_settings: JobSettings
) -> None:
    moment = [datetime.now(UTC)]
    node = f"node-of-{api.namespace}"
    fake_only.admin.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    cache = JobCache(api).open(20)
    try:
        runner = ClusterRunner(api, cache, job_settings, now=lambda: moment[0])
        runner.start(make_order())
        pod = wait_for(lambda: api.list(PODS)[0], "its pod")[0]["metadata"]["name"]
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
        api.create(PODS, binding, strict=False, name=pod, subresource="binding")
        [job] = wait_for(lambda: [j for j in runner.list("korean") if j.node == node], "its node")
        assert (job.state, job.reason) == (State.PENDING, None)
        moment[0] += timedelta(minutes=6)  # nobody has touched the Job or the pod
        [job] = runner.list("korean")
        assert job.reason is Reason.NOT_STARTED
        assert f"starting on node {node}" in str(job.message)
    finally:
        cache.close()
        fake_only.admin.delete(NODES, node)


def test_jobs_that_did_not_change_are_not_read_again(
    fake_only: KubeCluster, api: AdminApi, make_runner: Callable[[], ClusterRunner]
) -> None:
    runner = make_runner()
    for trial in (0, 1):
        runner.start(make_order(trial=trial))
    pods = wait_for(lambda: len(found := api.list(PODS)[0]) == 2 and found, "their pods")
    for pod in pods:
        status = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": {"phase": "Running"}}
        api.patch(PODS, pod["metadata"]["name"], status, subresource="status")
    wait_for(lambda: all(j.state is State.RUNNING for j in runner.list("korean")), "both to run")
    first, second = runner.list("korean")
    name = next(p["metadata"]["name"] for p in pods if p["metadata"]["labels"]["job-name"] == second.name)
    api.delete(PODS, name)
    wait_for(lambda: runner.list("korean")[1] != second, "the news of one")
    assert runner.list("korean")[0] is first


def test_the_end_of_a_job_waits_for_the_news_of_its_pod(
    fake_only: KubeCluster, api: AdminApi, job_settings: JobSettings
) -> None:
    told: list[str] = []
    cache = JobCache(api, on_change=lambda _, study: told.append(study)).open(20)
    try:
        runner = ClusterRunner(api, cache, job_settings)
        order = make_order()
        runner.start(order)
        pod = wait_for(lambda: api.list(PODS)[0], "its pod")[0]["metadata"]["name"]
        api.patch(PODS, pod, {"status": {"phase": "Running"}}, subresource="status")
        wait_for(lambda: [j for j in runner.list("korean") if j.state is State.RUNNING], "it to run")
        # Jobs and pods are watched apart: here the Job's end comes first
        done = {"type": "Complete", "status": "True", "lastTransitionTime": f"{datetime.now(UTC):%FT%TZ}"}
        api.patch(JOBS, order.name, {"status": {"conditions": [done]}}, subresource="status")
        wait_for(lambda: (j := cache.job(api.namespace, order.name)) and has_ended(j), "the Job's end")
        assert runner.list("korean")[0].state is State.RUNNING
        told.clear()
        killed = {"terminated": {"exitCode": 0, "reason": "OOMKilled"}}
        status = {"phase": "Succeeded", "containerStatuses": [{"name": CONTAINER, "state": killed}]}
        api.patch(PODS, pod, {"status": status}, subresource="status")
        wait_for(lambda: told, "the controller to be told")
        [job] = runner.list("korean")
        assert (job.state, job.reason) == (State.FAILED, Reason.HOST_OUT_OF_MEMORY)
    finally:
        cache.close()


def test_a_leader_whose_lease_had_lapsed_begins_anew(api: AdminApi) -> None:
    now, told = [0.0], []
    lease = Lease(api, "lapsing", seconds=10, on_change=told.append, monotonic=lambda: now[0])
    assert lease.attempt()
    now[0] = 5.0
    assert lease.attempt()
    assert told == [True]
    now[0] = 14.0  # it was kept from renewing for too long, and turned studies away meanwhile
    assert not lease.may_write()
    assert lease.attempt()
    assert told == [True, False, True]


def test_the_lease_of_a_pod_that_is_gone_is_taken_at_once(
    api: AdminApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def holder(pod: str) -> Lease:
        monkeypatch.setenv("COREF_POD", pod)
        return Lease(api, "orphaned", seconds=60)

    spec = {"nodeSelector": {"no": "where"}, "containers": [{"name": "controller", "image": "controller"}]}
    api.create(PODS, {"metadata": {"name": "first", "namespace": api.namespace}, "spec": spec})
    first, second = holder("first"), holder("second")
    assert first.attempt()
    assert not second.attempt()  # its pod is there
    again = holder("first")  # its container was restarted
    assert again.attempt()
    api.delete(PODS, "first", grace_seconds=0)
    wait_for(lambda: not api.list(PODS, fields="metadata.name=first")[0], "it to go")
    assert second.attempt()
    monkeypatch.delenv("COREF_POD")
    elsewhere = Lease(
        api, "elsewhere", seconds=60
    )  # a process of some machine: nobody knows whether it lives
    assert elsewhere.attempt()
    assert not Lease(api, "elsewhere", seconds=60).attempt()


def test_a_job_that_another_controller_manages_is_stopped_by_its_deletion(
    api: AdminApi, job_settings: JobSettings, make_runner: Callable[[], ClusterRunner]
) -> None:
    runner, order = make_runner(), make_order()
    manifest = job_manifest(order, job_settings, namespace=api.namespace, owner_uid=None)
    # as MultiKueue does it: it copies the Job once, so that a change of the deadline never reaches the worker cluster
    manifest["spec"]["managedBy"] = "kueue.x-k8s.io/multikueue"
    api.create(JOBS, manifest)
    began = {"startTime": f"{datetime.now(UTC):%FT%TZ}", "active": 1, "ready": 1}
    api.patch(JOBS, order.name, {"status": began}, subresource="status")
    [job] = wait_for(lambda: [j for j in runner.list("korean") if j.state is State.RUNNING], "it to run")
    runner.stop(job)
    wait_for(lambda: not api.list(JOBS)[0], "it to go")


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [({names.STUDY_LABEL: "older"}, "of study older already"), ({}, "not of coref-k8s")],
)
def test_a_job_name_of_somebody_else_is_refused(
    fake_only: KubeCluster,
    api: AdminApi,
    make_runner: Callable[[], ClusterRunner],
    labels: dict[str, str],
    sentence: str,
) -> None:
    runner, order = make_runner(), make_order(trial=7)
    runner.start(order)
    mine = api.get(JOBS, order.name)
    api.delete(JOBS, order.name)
    wait_for(lambda: not api.list(JOBS)[0], "it to go")
    kept = {key: mine["metadata"][key] for key in ("name", "namespace")} | {"labels": labels}
    template = mine["spec"]["template"] | {"metadata": {}}
    api.create(JOBS, {"metadata": kept, "spec": {"template": template}})
    with pytest.raises(RequestError, match=sentence):
        runner.start(order)
