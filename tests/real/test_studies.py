"""A release and its studies with real pods, through what happens to clusters, on the cluster of KUBECONFIG.

`make test-real` runs them in this order; each makes a study of its own. They take nodes out of service, delete pods and
fill the data volume where it is small: use a cluster for tests.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from coref_k8s.cluster import names
from coref_k8s.cluster.resources import CRDS, NODES, PODS, VOLUME_CLAIMS
from tests.kube.objects import DEPLOYMENTS
from tests.real.release import RELEASE, SAID, START, STATEFUL_SETS, STUDY, Release

pytestmark = pytest.mark.real

#: A volume up to this size (bytes) is filled to the last byte; a larger one may be the disk of a node.
SMALL_VOLUME = 20 * 2**30
#: From a node's last sign of life to its trial running on another one (seconds).
NODE_LOST = 240.0


def test_the_release_passes_its_own_test(release: Release) -> None:
    told = release.helm.test(RELEASE, timeout=round(STUDY), logs=True)["logs"]
    assert "best: " in str(told)


def test_a_study_runs_to_its_end(release: Release) -> None:
    status = release.succeeds(release.submit())
    assert status["progress"] == "3/3"
    assert status["bestScore"]


def test_an_image_that_does_not_exist_is_told(release: Release) -> None:
    study = release.submit(trials=1, pod={"image": "registry.invalid/none:0"})
    assert "registry.invalid/none:0" in release.told(study, "ImagePull")
    assert release.study(study)["trials"]["waiting"] == 1
    release.annotate(study, cancel="true")


def test_a_pod_without_a_node_is_told(release: Release) -> None:
    study = release.submit(trials=1, pod={"nodeSelector": {"there-is": "no-such-node"}})
    assert "nodes are available" in release.told(study, "Unschedulable")
    release.annotate(study, cancel="true")


def test_an_evicted_trial_goes_on(release: Release) -> None:
    study = release.submit()
    pod = release.running(study)["metadata"]["name"]
    release.api.evict(pod)
    release.running(study, but=pod)
    release.succeeds(study)


def test_a_drained_node_costs_no_trial(release: Release) -> None:
    _check_another_node(release)
    study = release.submit(parallelism=1)
    pod = release.running(study)
    node = pod["spec"]["nodeName"]
    with _closed(release, {node}):
        release.api.evict(pod["metadata"]["name"])
        assert release.running(study, but=pod["metadata"]["name"])["spec"]["nodeName"] != node
        release.goes_on(study)
    release.succeeds(study)


def _check_another_node(release: Release) -> None:
    """Skip where a trial cannot go on on another node."""
    if len(release.nodes()) < 2:
        pytest.skip("the cluster lacks a second node that takes pods")
    claim = release.api.get(VOLUME_CLAIMS, f"{RELEASE}-data")
    if "ReadWriteMany" not in claim["spec"]["accessModes"]:
        pytest.skip("the cluster's data volume is on one node at a time: it lacks a class with ReadWriteMany")


@contextmanager
def _closed(release: Release, nodes: set[str]) -> Iterator[None]:
    """Keep new pods off nodes."""
    for node in nodes:
        release.api.patch(NODES, node, {"spec": {"unschedulable": True}})
    try:
        yield
    finally:
        for node in nodes:
            release.api.patch(NODES, node, {"spec": {"unschedulable": None}})


def _names(release: Release) -> set[str]:
    return {node["metadata"]["name"] for node in release.nodes()}


def test_a_lost_node_costs_four_minutes_and_no_trial(release: Release) -> None:
    program = os.environ.get("COREF_REAL_KUBELET")
    if not program:
        pytest.skip("no way to its kubelets: COREF_REAL_KUBELET names no program that stops and starts one")
    _check_another_node(release)
    node = next(iter(_names(release) - {pod["spec"]["nodeName"] for pod in release.pods("postgres")}))
    others = _names(release) - {node}
    with _closed(release, {node}):
        for pod in release.pods("controller"):
            if pod["spec"]["nodeName"] == node:
                release.api.delete(PODS, pod["metadata"]["name"])
        release.ready("controller")
    with _closed(release, others):
        study = release.submit(trials=2, parallelism=1)
        pod = release.running(study)
    assert pod["spec"]["nodeName"] == node
    began = time.monotonic()
    subprocess.run([program, "stop", node], check=True, timeout=60)
    try:
        release.until(lambda: node not in _names(release), f"{node} to be lost")
        known = time.monotonic() - began
        message = release.told(study, "Disrupted")
        told = time.monotonic() - began
        after = release.running(study, but=pod["metadata"]["name"])
        elsewhere = time.monotonic() - began
        print(f"{node} lost: known after {known:.0f} s, told after {told:.0f} s ({message}),")
        print(f"the trial runs on {after['spec']['nodeName']} after {elsewhere:.0f} s")
        assert after["spec"]["nodeName"] != node
        assert elsewhere < NODE_LOST
    finally:
        subprocess.run([program, "start", node], check=True, timeout=60)
    release.until(lambda: node in _names(release), f"{node} to come back")
    release.succeeds(study)


def test_a_database_that_is_away_costs_no_trial(release: Release) -> None:
    if not release.has_database():
        pytest.skip("the release has no database of its own here (postgres.enabled)")
    study = release.submit()
    release.running(study)
    release.api.patch(STATEFUL_SETS, f"{RELEASE}-postgres", {"spec": {"replicas": 0}})
    try:
        release.told(study, "DatabaseUnavailable")
    finally:
        release.api.patch(STATEFUL_SETS, f"{RELEASE}-postgres", {"spec": {"replicas": 1}})
    release.ready("postgres")
    release.succeeds(study)


def test_a_full_volume_is_told_and_the_study_goes_on_when_there_is_room(release: Release) -> None:
    study = release.submit(parallelism=1)
    node = release.running(study)["spec"]["nodeName"]
    size = int(release.run("import shutil; print(shutil.disk_usage('/data').total)", node=node).split()[-1])
    if size > SMALL_VOLUME:
        release.annotate(study, cancel="true")
        pytest.skip(
            f"the data volume has {size / 2**30:.0f} GiB, maybe a node's disk: it lacks a size of its own"
        )
    fill = "import os, shutil; n = shutil.disk_usage('/data').free; f = open('/data/filler', 'wb'); os.posix_fallocate(f.fileno(), 0, n); f.close()"
    release.run(fill, node=node)
    try:
        # before its Job counts as failed
        release.until(
            lambda: "is full" in release.study(study).get("message", ""), "the study to say it", STUDY
        )
    finally:
        release.run("import os; os.remove('/data/filler')", node=node)
    if release.study(study)["phase"] == "Failed":
        release.annotate(study, resume=str(time.time()))
    release.until(lambda: release.study(study).get("phase") == "Succeeded", f"the end of {study}", STUDY)


def test_a_killed_controller_is_followed_by_another(release: Release) -> None:
    study = release.submit()
    release.running(study)
    before = release.until(release.leader, "a leader")
    (pod,) = release.ready("controller")
    release.api.delete(PODS, pod["metadata"]["name"], grace_seconds=0)
    release.until(lambda: release.leader() not in ("", before), "another leader", SAID)
    release.succeeds(study)


def test_an_upgrade_and_a_rollback_cost_no_trial(release: Release) -> None:
    study = release.submit(trials=4)
    release.running(study)
    first = release.helm.history(RELEASE)[-1]["revision"]
    values = {**release.values, "controller": {**release.values.get("controller", {}), "logLevel": "debug"}}
    release.helm.upgrade(str(release.chart), RELEASE, values)
    release.until(lambda: "--log-level=debug" in _arguments(release), "the new Deployment")
    release.ready("controller")
    release.goes_on(study)
    release.helm.rollback(RELEASE, version=first)
    release.until(lambda: "--log-level=debug" not in _arguments(release), "the old Deployment")
    release.ready("controller")
    release.succeeds(study)


def _arguments(release: Release) -> list[str]:
    deployment = release.api.get(DEPLOYMENTS, f"{RELEASE}-controller")
    return list(deployment["spec"]["template"]["spec"]["containers"][0]["args"])


def test_an_uninstalled_release_leaves_trials_and_their_results(release: Release) -> None:
    study = release.submit(trials=1)
    pod = release.running(study)
    job = pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]
    own_database = release.has_database()
    release.helm.uninstall(RELEASE)
    release.until(lambda: not release.pods("controller"), "the controller to go", START)

    def done() -> bool:
        found = next(one for one in release.jobs(study) if one["metadata"]["name"] == job)
        return bool((found.get("status") or {}).get("succeeded"))

    # with the release went a database of its own: then the trial trains on, and waits for it until the next release
    if not own_database:
        release.until(done, f"the end of {job}", STUDY)
    assert release.api.get(VOLUME_CLAIMS, f"{RELEASE}-data")
    assert release.api.get(CRDS, names.CRD_NAME)
    # the next release of that name takes the study over
    release.helm.install(str(release.chart), RELEASE, release.values)
    release.ready("controller")
    release.until(done, f"the end of {job}", STUDY)
    release.succeeds(study)
    release.helm.uninstall(RELEASE)
