"""The life of a Job: the fake's Job controller against a real one, pods run by the stand-in kubelet on both."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from coref_k8s.cluster import errors
from coref_k8s.cluster.resources import JOBS, NODES, PODS
from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster, wait_for
from tests.kube.kubelet import Kubelet
from tests.kube.objects import CONFIG_MAPS, SECRETS
from tests.kube.test_contract_objects import config_map

Json = dict[str, Any]
pytestmark = pytest.mark.cluster

POLICY = {
    "rules": [
        {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [42]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
    ]
}
#: Runs until SIGTERM, then says so and exits with 143.
PATIENT = (
    "import signal,sys,time\n"
    "def stop(*a): print('stopping', flush=True); sys.exit(143)\n"
    "signal.signal(signal.SIGTERM, stop)\n"
    "print('started', flush=True)\n"
    "while True: time.sleep(0.05)\n"
)


def python(
    code: str, *, pod: Json | None = None, container: Json | None = None, name: str = "j", **spec: Any
) -> Json:
    """A Job of one container that runs `code`."""
    main = {
        "name": "main",
        "image": "example.com/python:1",
        "command": ["python", "-uc", code],
        **(container or {}),
    }
    template = {
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 5,
            "containers": [main],
            **(pod or {}),
        }
    }
    spec = {"backoffLimit": 0, "podReplacementPolicy": "Failed", "template": template, **spec}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def pods(api: AdminApi) -> list[Json]:
    found = api.list(PODS)[0]
    return sorted(found, key=lambda p: p["metadata"]["creationTimestamp"])


def conditions(job: Json) -> list[tuple[str, str, str]]:
    return [(c["type"], c["status"], c.get("reason", "")) for c in job["status"].get("conditions") or ()]


def finished(api: AdminApi, name: str = "j", seconds: float = 120) -> Json:
    def done() -> Json | None:
        job = api.get(JOBS, name)
        return job if {"Complete", "Failed"} & {c[0] for c in conditions(job)} else None

    return wait_for(done, f"job {name} to finish", seconds)


def running_pod(api: AdminApi, but: str = "", said: str = "") -> Json:
    """A Running pod other than `but` whose log says `said`."""

    def find() -> Json | None:
        for pod in pods(api):
            meta = pod["metadata"]
            if meta["name"] == but or "deletionTimestamp" in meta or pod["status"].get("phase") != "Running":
                continue
            if not said or said in list(api.logs(meta["name"])):
                return pod
        return None

    return wait_for(find, "a running pod")


def test_success(api: AdminApi, kubelet: Kubelet) -> None:
    api.create(JOBS, python("print('hello')"))
    job = finished(api)
    assert conditions(job) == [
        ("SuccessCriteriaMet", "True", "CompletionsReached"),
        ("Complete", "True", "CompletionsReached"),
    ]
    status = job["status"]
    assert status["succeeded"] == 1
    assert not {"active", "failed"} & set(status)
    assert (status["ready"], status["terminating"], status["uncountedTerminatedPods"]) == (0, 0, {})
    assert status["completionTime"] >= status["startTime"]
    (pod,) = pods(api)
    assert pod["status"]["phase"] == "Succeeded"
    assert pod["metadata"]["name"].startswith("j-")
    assert "finalizers" not in pod["metadata"]
    owner = pod["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Job", job["metadata"]["uid"], True)
    terminated = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (0, "Completed")
    assert list(api.logs(pod["metadata"]["name"])) == ["hello"]


def test_exit_42_fails_the_job_at_once(api: AdminApi, kubelet: Kubelet) -> None:
    api.create(JOBS, python("raise SystemExit(42)", backoffLimit=3, podFailurePolicy=POLICY))
    job = finished(api)
    assert conditions(job) == [
        ("FailureTarget", "True", "PodFailurePolicy"),
        ("Failed", "True", "PodFailurePolicy"),
    ]
    (pod,) = pods(api)
    name = f"{api.namespace}/{pod['metadata']['name']}"
    said = f"Container main for pod {name} failed with exit code 42 matching FailJob rule at index 0"
    assert job["status"]["conditions"][1]["message"] == said
    assert job["status"]["failed"] == 1


def test_backoff_limit(api: AdminApi, kubelet: Kubelet) -> None:
    api.create(JOBS, python("raise SystemExit(1)", backoffLimit=1))
    job = finished(api)
    assert conditions(job) == [
        ("FailureTarget", "True", "BackoffLimitExceeded"),
        ("Failed", "True", "BackoffLimitExceeded"),
    ]
    assert job["status"]["conditions"][1]["message"] == "Job has reached the specified backoff limit"
    assert job["status"]["failed"] == 2
    assert len(pods(api)) == 2


def test_eviction_is_ignored_and_the_replacement_waits_for_the_end(api: AdminApi, kubelet: Kubelet) -> None:
    api.create(JOBS, python(PATIENT, podFailurePolicy=POLICY))
    first = running_pod(api, said="started")["metadata"]["name"]
    api.evict(first)
    evicted = api.get(PODS, first)
    disruption = next(c for c in evicted["status"]["conditions"] if c["type"] == "DisruptionTarget")
    assert (disruption["status"], disruption["reason"]) == ("True", "EvictionByEvictionAPI")
    assert evicted["metadata"]["deletionGracePeriodSeconds"] == 5
    seen_together = False
    while True:
        names = [
            p["metadata"]["name"]
            for p in pods(api)
            if p["status"].get("phase") not in ("Failed", "Succeeded")
        ]
        seen_together |= first in names and len(names) > 1
        if names and first not in names:
            break
        time.sleep(0.02)
    assert not seen_together
    second = running_pod(api, but=first)
    assert second["metadata"]["name"] != first
    status = api.get(JOBS, "j")["status"]
    assert "failed" not in status
    assert status["active"] == 1


def test_suspend_deletes_the_pod_uncounted_and_resume_starts_anew(api: AdminApi, kubelet: Kubelet) -> None:
    api.create(JOBS, python(PATIENT))
    first = running_pod(api, said="started")
    before = api.get(JOBS, "j")["status"]["startTime"]
    api.patch(JOBS, "j", {"spec": {"suspend": True}})
    wait_for(lambda: not pods(api), "the pod to go")
    job = wait_for(lambda: (j := api.get(JOBS, "j")) and "active" not in j["status"] and j, "its status")
    assert "failed" not in job["status"]
    assert conditions(job) == [("Suspended", "True", "JobSuspended")]
    time.sleep(1)
    api.patch(JOBS, "j", {"spec": {"suspend": False}})
    running_pod(api, but=first["metadata"]["name"])
    job = api.get(JOBS, "j")
    assert conditions(job) == [("Suspended", "False", "JobResumed")]
    assert job["status"]["startTime"] > before
    assert "failed" not in job["status"]


def test_created_suspended_starts_no_pod(api: AdminApi, kubelet: Kubelet) -> None:
    api.create(JOBS, python("pass", suspend=True))
    job = wait_for(lambda: (j := api.get(JOBS, "j")) and conditions(j) and j, "the condition")
    assert conditions(job) == [("Suspended", "True", "JobSuspended")]
    assert "startTime" not in job["status"]
    assert not pods(api)
    api.patch(JOBS, "j", {"spec": {"suspend": False}})
    assert finished(api)["status"]["succeeded"] == 1


def test_deadline(api: AdminApi, kubelet: Kubelet) -> None:
    api.create(JOBS, python(PATIENT, activeDeadlineSeconds=2))
    job = finished(api)
    assert [c for c in conditions(job) if c[0] == "Failed"] == [("Failed", "True", "DeadlineExceeded")]
    assert job["status"]["conditions"][-1]["message"] == "Job was active longer than specified deadline"
    assert job["status"]["failed"] == 1


def test_ttl_removes_job_and_pods(api: AdminApi, kubelet: Kubelet) -> None:
    api.create(JOBS, python("pass", ttlSecondsAfterFinished=1))
    wait_for(lambda: api.list(PODS)[0], "the pod")
    wait_for(lambda: not api.list(JOBS)[0] and not api.list(PODS)[0], "the Job to be removed")


def test_background_delete_takes_the_running_pod_along(api: AdminApi, kubelet: Kubelet) -> None:
    api.create(JOBS, python(PATIENT))
    name = running_pod(api, said="started")["metadata"]["name"]
    (pid,) = kubelet.pids(api.namespace, name)
    api.delete(JOBS, "j")
    wait_for(lambda: not pods(api), "the pod to go")
    assert not Path(f"/proc/{pid}").exists()


def test_grace_period_then_kill(api: AdminApi, kubelet: Kubelet) -> None:
    deaf = "import signal,time; signal.signal(15, signal.SIG_IGN); print('deaf'); time.sleep(60)"
    grace = {"terminationGracePeriodSeconds": 1}
    api.create(JOBS, python(deaf, pod=grace, podFailurePolicy=POLICY))
    name = running_pod(api, said="deaf")["metadata"]["name"]
    asked = time.monotonic()
    api.evict(name)
    wait_for(lambda: name not in {p["metadata"]["name"] for p in pods(api)}, "the pod to go")
    assert 0.9 < time.monotonic() - asked < 40  # it would have slept for 60


def test_deleting_a_pod_by_hand_counts_as_a_failure(api: AdminApi, kubelet: Kubelet) -> None:
    api.create(JOBS, python(PATIENT, podFailurePolicy=POLICY))
    api.delete(PODS, running_pod(api, said="started")["metadata"]["name"])
    job = finished(api)
    assert conditions(job)[-1] == ("Failed", "True", "BackoffLimitExceeded")


def test_node_lost(kube: KubeCluster, api: AdminApi, kubelet: Kubelet) -> None:
    """On a real cluster podgc waits a minute, so there only the fake is asked."""
    if kube.real:
        pytest.skip("a real pod garbage collector waits 40 s and more before it acts")
    api.create(JOBS, python(PATIENT, podFailurePolicy=POLICY))
    first = running_pod(api, said="started")
    kubelet.add_node("other")
    kubelet.lose_node(first["spec"]["nodeName"])
    second = running_pod(api, but=first["metadata"]["name"])
    assert second["spec"]["nodeName"] != first["spec"]["nodeName"]
    assert "failed" not in api.get(JOBS, "j")["status"]


def test_unschedulable_says_why(api: AdminApi, kubelet: Kubelet) -> None:
    gpus = {"resources": {"limits": {"nvidia.com/gpu": "8"}}}
    toleration = {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]}
    api.create(JOBS, python("pass", container=gpus, pod=toleration))

    def why() -> Json | None:
        found = [
            c for p in pods(api) for c in p["status"].get("conditions") or () if c["type"] == "PodScheduled"
        ]
        return found[0] if found else None

    condition = wait_for(why, "the condition")
    assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
    assert condition["message"].startswith("0/2 nodes are available: ")
    assert "2 Insufficient nvidia.com/gpu" in condition["message"]


def test_gpu_affinity_and_taints_choose_the_node(api: AdminApi, kubelet: Kubelet) -> None:
    expression = {"key": "nvidia.com/gpu.memory", "operator": "Gt", "values": ["39999"]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    toleration = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    gpus = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
    api.create(JOBS, python("pass", container=gpus, pod={"affinity": affinity, "tolerations": toleration}))
    finished(api)
    assert pods(api)[0]["spec"]["nodeName"] == "gpu"
    api.create(JOBS, python("pass", pod={"nodeSelector": {"none": "such"}}, name="k"))
    wait_for(
        lambda: any("affinity/selector" in str(p["status"].get("conditions")) for p in pods(api)), "a refusal"
    )


def test_image_that_cannot_be_pulled(api: AdminApi, kubelet: Kubelet) -> None:
    api.create(JOBS, python("pass", container={"image": "example.com/unpullable:1"}))

    def reasons() -> set[str]:
        return {
            s["state"]["waiting"]["reason"]
            for p in pods(api)
            for s in p["status"].get("containerStatuses") or ()
            if "waiting" in s["state"]
        }

    wait_for(lambda: "ImagePullBackOff" in reasons(), "the state")
    assert pods(api)[0]["status"]["phase"] == "Pending"
    with pytest.raises(errors.Invalid, match="is waiting to start"):
        list(api.logs(pods(api)[0]["metadata"]["name"]))
    api.delete(JOBS, "j")
    wait_for(lambda: not pods(api), "the pod to go")


def test_oom_kill(api: AdminApi, kubelet: Kubelet) -> None:
    api.create(JOBS, python(PATIENT))
    name = running_pod(api, said="started")["metadata"]["name"]
    kubelet.oom_kill(api.namespace, name)
    finished(api)
    terminated = api.get(PODS, name)["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (137, "OOMKilled")


def test_oom_of_a_child_can_end_in_exit_code_0(api: AdminApi, kubelet: Kubelet) -> None:
    api.create(JOBS, python("import time; print('started'); time.sleep(1)"))
    name = running_pod(api, said="started")["metadata"]["name"]
    kubelet.oom_kill(api.namespace, name, only_a_child=True)
    assert conditions(finished(api))[-1][0] == "Complete"
    terminated = api.get(PODS, name)["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (0, "OOMKilled")


def test_volumes_and_variables(api: AdminApi, kubelet: Kubelet) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "db"},
        "stringData": {"url": "postgres://x"},
    }
    api.create(CONFIG_MAPS, config_map("conf", mode="fast"))
    code = (
        "import json, os, pathlib\n"
        "order = json.loads(os.environ['ORDER'])\n"
        "print(pathlib.Path(os.environ['URL_FILE']).read_text(), os.environ['MODE'], os.environ['POD'])\n"
        "print(os.environ['LIMIT'], os.environ['BOTH'], 'HOME' in os.environ)\n"
        "pathlib.Path(order['data'], 'out').write_text('kept')\n"
    )
    values = [
        {"name": "URL_FILE", "value": "/run/db/url"},
        {"name": "ORDER", "value": '{"data": "/data", "other": "/database"}'},
        {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "mode"}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['who']"}}},
        {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
        {"name": "BOTH", "value": "$(MODE)-$(POD)"},
    ]
    mounts = [
        {"name": "db", "mountPath": "/run/db", "readOnly": True},
        {"name": "data", "mountPath": "/data"},
    ]
    volumes = [
        {"name": "db", "secret": {"secretName": "db", "items": [{"key": "url", "path": "url"}]}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "shared"}},
    ]
    container = {"env": values, "volumeMounts": mounts, "resources": {"limits": {"memory": "1Gi"}}}
    body = python(code, container=container, pod={"volumes": volumes})
    body["spec"]["template"]["metadata"] = {"labels": {"who": "me"}}
    api.create(JOBS, body)
    wait_for(
        lambda: any(
            s["state"].get("waiting") for p in pods(api) for s in p["status"].get("containerStatuses") or ()
        ),
        "the pod to wait for its secret",
    )
    api.create(SECRETS, secret)
    finished(api)
    assert list(api.logs(pods(api)[0]["metadata"]["name"])) == ["postgres://x fast me", "1Gi fast-me False"]
    assert (kubelet.claim(api.namespace, "shared") / "out").read_text() == "kept"


def test_logs_follow_and_tail(api: AdminApi, kubelet: Kubelet) -> None:
    api.create(JOBS, python("import time\nfor i in range(5): print('line', i); time.sleep(0.2)"))
    name = running_pod(api)["metadata"]["name"]
    assert list(api.logs(name, follow=True)) == [f"line {i}" for i in range(5)]
    assert list(api.logs(name, tail_lines=2)) == ["line 3", "line 4"]
    with pytest.raises(errors.NotFound):
        list(api.logs("none"))
    with pytest.raises(errors.Invalid, match="container nope is not valid for pod"):
        list(api.logs(name, container="nope"))


def test_stand_in_nodes_look_like_nodes(api: AdminApi, kubelet: Kubelet) -> None:
    nodes = {n["metadata"]["name"]: n for n in api.list(NODES, labels="stand-in")[0]}
    assert nodes["gpu"]["status"]["allocatable"]["nvidia.com/gpu"] == "2"
    assert any(c["type"] == "Ready" and c["status"] == "True" for c in nodes["plain"]["status"]["conditions"])
