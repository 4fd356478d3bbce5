"""Job manifests: whole golden files, strict schemas of two Kubernetes versions, and what must never be there.

After a wanted change: `COREF_UPDATE_GOLDEN=1 pytest tests/cluster/test_jobs.py`, and read the difference.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from coref_k8s.cluster.jobs import EXIT_KILLED, job_manifest
from coref_k8s.cluster.settings import JobSettings, KeyRef, ObjectStoreSettings
from coref_k8s.errors import RequestError
from coref_k8s.study.names import MAX_NAME, Kind
from coref_k8s.study.order import Order
from coref_k8s.study.reading import spec_from_mapping
from coref_k8s.study.spec import Toleration
from tests.cluster.orders import gpu_resources, make_order

GOLDEN = Path(__file__).parent / "golden"
UID = "5a1c7e1e-0000-4000-8000-00000000c0de"

EVERYTHING = JobSettings(
    image="registry.example/coref-k8s-trial:0.2.0",
    image_pull_secrets=("registry",),
    hf_secret=KeyRef(name="hugging-face", key="token"),
    ca_config_map=KeyRef(name="company-ca", key="ca.pem"),
    env={"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": ".svc,.cluster.local"},
    node_selector={"pool": "gpu"},
    tolerations=(Toleration(key="team", operator="Equal", value="nlp", effect="NoSchedule"),),
    runtime_class="nvidia",
    labels={"team": "nlp"},
    annotations={"backup.example/skip": "true"},
    same_node=True,
    metrics_port=9095,
)
SMALL = {"seqLengths": [64], "anyLength": True}
GPU_STUDY = {
    "seqLengths": [1024, 2048],
    "pod": {
        "image": "registry.example/mine:7",
        "nodeSelector": {"zone": "a"},
        "tolerations": [{"key": "spot", "effect": "NoSchedule"}],
        "priorityClass": "research",
        "queueName": "team-queue",
        "serviceAccount": "trials",
        "labels": {"cost-center": "42"},
        "annotations": {"sidecar.example/inject": "false"},
    },
    "limits": {"retries": 4},
}
#: GPUs by a claim, another one for one length; a queue admits it, with a priority of its own.
CLAIM_STUDY = {
    "seqLengths": [1024, 2048],
    "pod": {
        "resourceClaims": {"*": "mig-2g", "2048": "whole-gpu"},
        "queueName": "team-queue",
        "labels": {"kueue.x-k8s.io/priority-class": "overnight"},
    },
}

CASES: dict[str, tuple[Order, JobSettings]] = {
    "trial-cpu": (make_order(), JobSettings(run_as_user=None)),
    "trial-gpu": (
        make_order(seq_len=2048, trial=12, attempt=2, spec=GPU_STUDY, resources=gpu_resources()),
        EVERYTHING,
    ),
    "trial-claim": (make_order(seq_len=2048, spec=CLAIM_STUDY, resources=gpu_resources()), EVERYTHING),
    "prepare": (make_order(kind=Kind.PREPARE), JobSettings()),
    "finalist": (make_order(kind=Kind.FINALIST, trial=2, resources=gpu_resources()), JobSettings()),
    "trial-object-storage": (
        make_order(),
        JobSettings(
            object_store=ObjectStoreSettings(uri="s3://lab/studies", secret="s3", service_account="trials")
        ),
    ),
    "verdict": (make_order(kind=Kind.VERDICT, trial=None), JobSettings()),
}


def build(case: str) -> dict[str, Any]:
    order, settings = CASES[case]
    return job_manifest(order, settings, namespace="lab", owner_uid=UID)


def container(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest["spec"]["template"]["spec"]["containers"][0]


@pytest.mark.parametrize("case", CASES)
def test_manifest_is_the_golden_file(case: str) -> None:
    path = GOLDEN / f"{case}.yaml"
    found = build(case)
    if os.environ.get("COREF_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(found, sort_keys=False, width=110, allow_unicode=True))
    assert found == yaml.safe_load(path.read_text())


@pytest.mark.parametrize("version", ["1.31", "1.34", "1.36", "1.37"])
@pytest.mark.parametrize("case", CASES)
def test_manifest_passes_the_strict_schema(case: str, version: str) -> None:
    kubernetes_validate.validate(build(case), version, strict=True)


@pytest.mark.parametrize("case", CASES)
def test_pod_meets_the_restricted_security_standard(case: str) -> None:
    pod = build(case)["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for part in pod["containers"]:
        assert part["securityContext"]["allowPrivilegeEscalation"] is False
        assert part["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert part["securityContext"]["readOnlyRootFilesystem"] is True
    # the volume types that the standard lets through
    allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
    assert all(set(volume) - {"name"} <= allowed for volume in pod["volumes"])


@pytest.mark.parametrize("kind", Kind)
def test_only_pods_that_serve_metrics_have_their_port(kind: Kind) -> None:
    """A port without anything behind it would be a target that is down."""
    order = make_order(kind=kind, trial=None if kind is Kind.VERDICT else 0)
    made = container(job_manifest(order, EVERYTHING, namespace="lab", owner_uid=UID))
    serves = kind in (Kind.TRIAL, Kind.FINALIST)
    assert ("ports" in made) == serves
    assert any(one["name"] == "COREF_METRICS_PORT" for one in made["env"]) == serves


def test_gpus_are_claimed_by_length_or_asked_for_by_name() -> None:
    def claimed(seq_len: int, pod: dict[str, Any], kind: Kind = Kind.TRIAL, gpus: int = 1) -> tuple[Any, ...]:
        spec = {"seqLengths": [1024, 2048], "pod": pod}
        resources = gpu_resources().model_copy(update={"gpus": gpus})
        order = make_order(kind=kind, seq_len=seq_len, spec=spec, resources=resources)
        made = job_manifest(order, JobSettings(), namespace="lab", owner_uid=UID)
        asked = container(made)["resources"]
        claims = made["spec"]["template"]["spec"].get("resourceClaims", [])
        names = [one["resourceClaimTemplateName"] for one in claims]
        assert bool(names) == ("claims" in asked)
        return names, asked["limits"].get("nvidia.com/gpu")

    both = {"resourceClaims": {"*": "mig-2g", "2048": "whole-gpu"}}
    assert claimed(1024, both) == (["mig-2g"], None)
    assert claimed(2048, both) == (["whole-gpu"], None)
    assert claimed(1024, {"resourceClaims": {"2048": "whole-gpu"}}) == ([], "1")
    assert claimed(1024, both, gpus=0) == ([], None)
    with pytest.raises(RequestError, match=r"resourceClaims.*'512', which is no length of the study"):
        spec_from_mapping({"seqLengths": [1024], "pod": {"resourceClaims": {"512": "mig"}}})


def test_a_queue_admits_every_job_of_a_study_preparation_and_verdict_too() -> None:
    for kind in Kind:
        order = make_order(
            kind=kind, trial=None if kind is Kind.VERDICT else 0, spec=CLAIM_STUDY, seq_len=2048
        )
        made = job_manifest(order, EVERYTHING, namespace="lab", owner_uid=UID)
        labels = made["metadata"]["labels"]
        assert labels["kueue.x-k8s.io/queue-name"] == "team-queue"
        assert labels["kueue.x-k8s.io/priority-class"] == "overnight"
        assert made["spec"]["suspend"] is True
        # one pod set of one pod: what a quota is asked for
        assert (made["spec"]["parallelism"], made["spec"]["completions"]) == (1, 1)


def test_secrets_are_files_and_never_variables() -> None:
    manifest = build("trial-gpu")
    assert not any("valueFrom" in variable for variable in container(manifest)["env"])
    assert "envFrom" not in container(manifest)
    variables = {variable["name"]: variable["value"] for variable in container(manifest)["env"]}
    mounts = {m["mountPath"]: m for m in container(manifest)["volumeMounts"]}
    for name in ("COREF_STORAGE_URL_FILE", "HF_TOKEN_FILE"):
        folder = variables[name].rpartition("/")[0]
        assert mounts[folder]["readOnly"] is True


def test_order_survives_the_way_through_the_manifest() -> None:
    order, _ = CASES["trial-gpu"]
    variables = {v["name"]: v["value"] for v in container(build("trial-gpu"))["env"]}
    assert Order.model_validate_json(variables["COREF_ORDER"]) == order


def test_kubernetes_expands_nothing_in_the_order() -> None:
    data = {"sources": [{"source": "/corpus/$(HOME)/$a"}]}
    spec = {"seqLengths": [64], "anyLength": True, "pod": {"gpus": 0}, "data": data}
    order = make_order(spec=spec)
    manifest = job_manifest(order, JobSettings(), namespace="lab", owner_uid=UID)
    value = next(v["value"] for v in container(manifest)["env"] if v["name"] == "COREF_ORDER")
    # what the kubelet makes of it: $$ is a dollar
    assert Order.model_validate_json(value.replace("$$", "$")) == order
    assert "$(" not in value.replace("$$", "")


def test_failure_rules_come_in_the_order_that_decides() -> None:
    rules = build("trial-cpu")["spec"]["podFailurePolicy"]["rules"]
    told = [
        (rule["action"], rule["onExitCodes"]["values"] if "onExitCodes" in rule else "DisruptionTarget")
        for rule in rules
    ]
    assert told == [
        ("FailJob", [42]),
        ("FailJob", [43]),
        ("Ignore", "DisruptionTarget"),
        ("Ignore", [143]),
        ("FailJob", [EXIT_KILLED]),
    ]


def test_longest_name_still_is_a_job_and_label_value() -> None:
    order = make_order(
        study="s" * MAX_NAME, kind=Kind.FINALIST, seq_len=64, trial=9999, attempt=99
    )  # fmt: skip
    manifest = job_manifest(order, JobSettings(), namespace="lab", owner_uid=None)
    assert len(manifest["metadata"]["name"]) <= 63
    assert all(len(value) <= 63 for value in manifest["metadata"]["labels"].values())
    assert "ownerReferences" not in manifest["metadata"]


def test_study_cannot_replace_our_labels() -> None:
    spec = {
        "seqLengths": [64],
        "anyLength": True,
        "pod": {"gpus": 0, "labels": {"corefk8s.dev/study": "other"}},
    }
    manifest = job_manifest(make_order(spec=spec), JobSettings(), namespace="lab", owner_uid=UID)
    assert manifest["metadata"]["labels"]["corefk8s.dev/study"] == "korean"
    assert manifest["spec"]["template"]["metadata"]["labels"]["corefk8s.dev/study"] == "korean"


def test_manifest_is_plain_json() -> None:
    for case in CASES:
        assert json.loads(json.dumps(build(case))) == build(case)


@pytest.mark.parametrize(
    ("given", "operator"),
    [
        ({"key": "spot"}, "Exists"),
        ({"key": "spot", "value": "true"}, "Equal"),
        ({"key": "spot", "operator": "Equal", "value": ""}, "Equal"),
        ({"effect": "NoSchedule"}, "Exists"),
    ],
)
def test_a_toleration_without_an_operator_means_what_its_value_says(
    given: dict[str, Any], operator: str
) -> None:
    order = make_order(spec={**SMALL, "pod": {"gpus": 0, "tolerations": [given]}})
    job = job_manifest(order, JobSettings(), namespace="lab", owner_uid=None)
    assert job["spec"]["template"]["spec"]["tolerations"][:-2] == [{**given, "operator": operator}]
    kubernetes_validate.validate(job, "1.36", strict=True)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"key": "spot", "operator": "Exists", "value": "true"}, "has no value"),
        ({"value": "true"}, "needs the key"),
    ],
)
def test_a_toleration_that_kubernetes_would_refuse_is_no_request(given: dict[str, str], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        spec_from_mapping({"pod": {"tolerations": [given]}})


def test_a_cache_of_the_node_holds_what_pods_share_and_nothing_of_a_trial() -> None:
    store = ObjectStoreSettings(
        uri="s3://lab/studies", scratch_size="30Gi", node_cache="/var/cache/coref-k8s"
    )
    order = make_order(spec={**SMALL, "pod": {"serviceAccount": "mine"}})
    job = job_manifest(order, JobSettings(object_store=store), namespace="lab", owner_uid=None)
    kubernetes_validate.validate(job, "1.36", strict=True)
    cached = {m["mountPath"] for m in container(job)["volumeMounts"] if m["name"] == "cache"}
    assert cached == {"/data/prepared", "/data/huggingface"}
    disk = int(container(job)["resources"]["limits"]["ephemeral-storage"])
    assert disk == order.resources.ephemeral_bytes + 30 * 2**30
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "mine"


def test_a_volume_of_one_node_is_not_bound_away_from_the_gpus() -> None:
    """The first pod decides where the volume is, and mostly needs no GPU itself."""

    def pod(kind: Kind, **settings: Any) -> dict[str, Any]:
        job = job_manifest(make_order(kind=kind), JobSettings(**settings), namespace="lab", owner_uid=None)
        kubernetes_validate.validate(job, "1.36", strict=True)
        return dict(job["spec"]["template"]["spec"])

    for kind in (Kind.PREPARE, Kind.TRIAL):
        one_node = pod(kind, same_node=True)
        (wish,) = one_node["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
        (seen,) = wish["preference"]["matchExpressions"]
        assert seen == {"key": "nvidia.com/gpu.memory", "operator": "Exists"}
        assert "requiredDuringSchedulingIgnoredDuringExecution" not in one_node["affinity"]["nodeAffinity"]
        assert one_node["tolerations"][0]["key"] == "nvidia.com/gpu"
        for many in (pod(kind), pod(kind, same_node=True, gpu_memory_label="")):
            assert "nodeAffinity" not in many.get("affinity", {})
            assert not [one for one in many["tolerations"] if one["key"] == "nvidia.com/gpu"]


def test_a_pod_leaves_a_node_that_is_lost_after_a_minute_unless_somebody_says_otherwise() -> None:
    def tolerations(given: list[dict[str, str]], **settings: Any) -> list[dict[str, Any]]:
        order = make_order(spec={**SMALL, "pod": {"gpus": 0, "tolerations": given}})
        job = job_manifest(order, JobSettings(**settings), namespace="lab", owner_uid=None)
        kubernetes_validate.validate(job, "1.36", strict=True)
        return list(job["spec"]["template"]["spec"]["tolerations"])

    unready, unreachable = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
    bound = {"operator": "Exists", "effect": "NoExecute"}
    assert tolerations([]) == [{"key": k, **bound, "tolerationSeconds": 60} for k in (unready, unreachable)]
    assert {one["tolerationSeconds"] for one in tolerations([], node_lost_seconds=300)} == {300}
    own = {"key": unreachable, "operator": "Exists"}
    assert tolerations([own]) == [own, {"key": unready, **bound, "tolerationSeconds": 60}]
