"""What a cluster must have so that studies run: one check a function, each with a remedy in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from coref_k8s.cluster import names, rbac
from coref_k8s.cluster.api import ClusterApi
from coref_k8s.cluster.crd import crd
from coref_k8s.cluster.errors import Forbidden, NotFound
from coref_k8s.cluster.observed import parse_time
from coref_k8s.cluster.resources import CRDS, LEASES, NODES, SERVICES, STUDIES, VOLUME_CLAIMS, Resource
from coref_k8s.cluster.settings import JobSettings
from coref_k8s.errors import ClusterError
from coref_k8s.sizing.resources import size_pod
from coref_k8s.study.spec import StudySpec

Json = dict[str, Any]

#: A lease that was not renewed for so long has no controller behind it (seconds).
LEASE_AGE = 60.0


class Grade(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    grade: Grade
    what: str
    remedy: str = ""


@dataclass(frozen=True)
class Answer:
    """What the controller says of itself; nothing but the trouble when it does not answer."""

    service: str = ""
    """Name and port through which it was asked; empty when there is no such service."""
    health: Json = field(default_factory=dict)
    trouble: Finding | None = None

    @property
    def data_claim(self) -> str | None:
        """The volume claim that its Jobs mount."""
        return self.health.get("dataClaim")

    @property
    def gpu_memory_label(self) -> str:
        """The node label that its Jobs ask for; empty when they ask for none."""
        label: str = self.health.get("gpuMemoryLabel", JobSettings().gpu_memory_label)
        return label


def examine(api: ClusterApi, spec: StudySpec) -> Iterator[Finding]:
    """Yield what is found, in the order in which things depend on each other; `spec` says what is needed."""
    yield (reachable := _api(api))
    if reachable.grade is Grade.FAILED:
        return
    answer = ask(api)
    checks: tuple[Callable[[], Finding], ...] = (
        lambda: definition(api),
        lambda: permissions(api, answer.service),
        lambda: controller(api),
        lambda: gpus(api, spec, answer.gpu_memory_label),
        lambda: volume(api, answer.data_claim),
    )
    for check in checks:
        yield _safely(check)
    yield from _told(answer)


def _safely(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Forbidden as error:
        return Finding(Grade.UNKNOWN, str(error), "ask somebody who may look")
    except ClusterError as error:
        return Finding(Grade.FAILED, str(error), "try again; the cluster did not answer as expected")


def _api(api: ClusterApi) -> Finding:
    try:
        return Finding(Grade.OK, f"API server {api.version()}, namespace {api.namespace}")
    except ClusterError as error:
        return Finding(Grade.FAILED, str(error), "check KUBECONFIG, --context and the network")


def definition(api: ClusterApi) -> Finding:
    """Check that the CorefStudy definition is there, and this program's."""
    missing = Finding(
        Grade.FAILED, "the CorefStudy definition is not installed", "helm install (docs/install.md)"
    )
    try:
        live = api.get(CRDS, names.CRD_NAME)
    except NotFound:
        return missing
    except Forbidden:
        try:
            api.list_page(STUDIES, limit=1)
        except NotFound:
            return missing
        return Finding(Grade.OK, "the CorefStudy definition is installed (its content cannot be read)")
    served = {v["name"]: v for v in live["spec"]["versions"] if v.get("served")}
    if names.VERSION not in served:
        return Finding(
            Grade.FAILED,
            f"the cluster serves CorefStudy {', '.join(served)}, this program speaks {names.VERSION}",
            "upgrade the older one of chart and command line",
        )
    wanted = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    found = served[names.VERSION]["schema"]["openAPIV3Schema"]["properties"]["spec"].get("properties", {})
    differing = sorted(
        key for key in wanted.keys() | found.keys() if _keys(wanted.get(key)) != _keys(found.get(key))
    )
    if differing:
        return Finding(
            Grade.WARNING,
            f"the cluster's CorefStudy {names.VERSION} differs from this program's in {', '.join(differing)}",
            "upgrade the older one of chart and command line",
        )
    return Finding(Grade.OK, f"CorefStudy {names.API_VERSION}, as this program knows it")


def _keys(schema: Any) -> Any:
    """Return the names and types in a schema; the API server adds and reorders other things."""
    if not isinstance(schema, dict):
        return None
    return {
        "type": schema.get("type"),
        "properties": {k: _keys(v) for k, v in (schema.get("properties") or {}).items()},
        "items": _keys(schema.get("items")),
    }


def permissions(api: ClusterApi, service: str = "") -> Finding:
    """Check what the caller may do, against the role for users; `service` is the one that results come through."""
    missing = []
    for rule in rbac.rules("user"):
        for name in rule["resources"]:
            plural, _, subresource = name.partition("/")
            # the shipped role names this one service, so the question has to
            one = service if subresource == "proxy" else ""
            resource = Resource(rule["apiGroups"][0], "v1", plural, "")
            missing += [
                f"{verb} {name}"
                for verb in rule["verbs"]
                if not api.can_i(verb, resource, subresource=subresource, name=one)
            ]
    if missing:
        return Finding(
            Grade.FAILED,
            f"you may not: {', '.join(missing)}",
            f"bind the role for users in namespace {api.namespace} (docs/install.md)",
        )
    return Finding(Grade.OK, "you may create, read and delete studies and read their logs and results")


def controller(api: ClusterApi) -> Finding:
    """Check that somebody holds a fresh lease."""
    found, _ = api.list(LEASES)
    ours = [lease for lease in found if lease["metadata"]["name"].endswith("-controller")]
    held = [one for one in ours if one["spec"].get("holderIdentity") and one["spec"].get("renewTime")]
    if not held:
        return Finding(
            Grade.FAILED,
            f"no controller holds a lease in namespace {api.namespace}",
            "kubectl get pods -l app.kubernetes.io/component=controller; kubectl logs says why it does not start; "
            "a controller of all namespaces is asked in its own (-n)",
        )
    ages = {
        lease["spec"]["holderIdentity"]: (datetime.now(UTC) - renewed).total_seconds()
        for lease in held
        if (renewed := parse_time(lease["spec"].get("renewTime"))) is not None
    }
    holder, age = min(ages.items(), key=lambda one: one[1])
    if age > LEASE_AGE:
        return Finding(
            Grade.FAILED,
            f"the controller {holder} has not renewed its lease for {age:.0f} s",
            "kubectl logs deploy/… of the controller; it starts again by itself when its node is well",
        )
    return Finding(
        Grade.OK, f"controller {holder.partition('_')[0]} leads, lease renewed {max(age, 0):.0f} s ago"
    )


def gpus(api: ClusterApi, spec: StudySpec, label: str) -> Finding:
    """Check that nodes have GPUs with the memory that the longest length needs, as their `label` (MB) says."""
    if spec.pod.gpus == 0:
        return Finding(Grade.OK, "the study asks for no GPU")
    resource = spec.pod.gpu_resource
    try:
        found, _ = api.list(NODES)
    except Forbidden:
        # the release's role for users has no rights beyond its namespace, and nodes are beyond
        return Finding(
            Grade.UNKNOWN,
            f"you may not list nodes, so whether any has {resource} is not known",
            "ask somebody who may; a trial that finds no node shows as waiting in the study's status",
        )
    nodes = [n for n in found if float(n["status"].get("allocatable", {}).get(resource, 0)) > 0]
    if not nodes:
        return Finding(
            Grade.FAILED,
            f"no node has {resource}",
            "install the GPU operator or device plug-in, or run on CPU with --gpus 0 and a small model",
        )
    need = size_pod(spec, max(spec.seq_lengths)).gpu_memory_mb
    if not label:
        return Finding(Grade.OK, f"{len(nodes)} nodes have {resource}; trials do not ask for its memory")
    labels = [node["metadata"].get("labels", {}).get(label, "") for node in nodes]
    memory = [int(value) for value in labels if value.isdecimal()]
    if not memory:
        return Finding(
            Grade.FAILED,
            f"{len(nodes)} nodes have {resource}, none has the label {label} (MB) that trials ask for",
            'install GPU feature discovery, or set the chart\'s trial.gpuMemoryLabel to ""',
        )
    enough = [value for value in memory if value >= need]
    if not enough:
        most = max(memory)
        return Finding(
            Grade.FAILED,
            f"length {max(spec.seq_lengths)} asks for GPUs of {need} MB, the largest here has {most} MB",
            f"submit with --gpu-memory-gb {most // 1024}",
        )
    return Finding(
        Grade.OK, f"{len(enough)} of {len(nodes)} GPU nodes have the {need} MB that trials ask for"
    )


def volume(api: ClusterApi, wanted: str | None) -> Finding:
    """Check the shared volume: the claim of that name, or what looks like it where the controller did not say."""
    found, _ = api.list(VOLUME_CLAIMS)

    def meant(name: str) -> bool:
        return name == wanted if wanted else name.endswith("-data")

    ours = [claim for claim in found if meant(claim["metadata"]["name"])]
    if not ours:
        return Finding(
            Grade.FAILED,
            f"there is no volume claim {wanted or 'for data'} in namespace {api.namespace}",
            "helm install makes one; storage.existingClaim names yours",
        )
    claim = ours[0]
    name, phase = claim["metadata"]["name"], claim.get("status", {}).get("phase", "Pending")
    modes, storage_class = (
        claim["spec"].get("accessModes", []),
        claim["spec"].get("storageClassName", "default"),
    )
    if phase == "Lost":
        return Finding(Grade.FAILED, f"the volume of {name} is lost", "restore it from a backup")
    if "ReadWriteMany" not in modes:
        return Finding(
            Grade.WARNING,
            f"volume {name} ({storage_class}, {phase}) is {', '.join(modes)}: all trials share one node",
            "a class with ReadWriteMany (NFS, CephFS, Filestore, EFS) lets them run on many",
        )
    return Finding(Grade.OK, f"volume {name} ({storage_class}, {phase}, ReadWriteMany)")


def ask(api: ClusterApi) -> Answer:
    """Ask the controller for what only it can know: its database, its settings, whether Prometheus comes by."""
    service = ""
    try:
        found, _ = api.list(
            SERVICES, labels=f"{names.NAME_LABEL}={names.APP},{names.COMPONENT_LABEL}=controller"
        )
        if not found:
            what = f"no service leads to a controller in namespace {api.namespace}"
            return Answer(
                trouble=Finding(Grade.FAILED, what, "helm install makes one; results are read through it")
            )
        service = f"{found[0]['metadata']['name']}:{found[0]['spec']['ports'][0]['port']}"
        return Answer(service, json.loads(api.proxied(service, "api/v1/health")))
    except Forbidden as error:
        return Answer(
            service, trouble=Finding(Grade.UNKNOWN, str(error), "bind the role for users (docs/install.md)")
        )
    except ClusterError as error:
        what = f"the controller does not answer: {error}"
        return Answer(service, trouble=Finding(Grade.FAILED, what, "kubectl logs of its pod"))


def _told(answer: Answer) -> Iterator[Finding]:
    if answer.trouble is not None:
        yield answer.trouble
        return
    health = answer.health
    if health["database"]:
        yield Finding(
            Grade.FAILED, health["database"], "check the database's pod and the Secret with its URL"
        )
    else:
        yield Finding(Grade.OK, "the controller reaches its database")
    ago = health["scrapedSecondsAgo"]
    if ago is None or ago > 600:
        yield Finding(
            Grade.WARNING,
            "nobody reads the controller's metrics",
            "monitoring.podMonitor.enabled=true with the Prometheus operator, or monitoring.bundled=true",
        )
    else:
        yield Finding(Grade.OK, f"metrics were read {ago:.0f} s ago")
