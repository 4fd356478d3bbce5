"""What a cluster must have so that studies run: one check a function, each with a remedy."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from coref_k8s import __version__
from coref_k8s.cluster import names, rbac
from coref_k8s.cluster.api import ClusterApi
from coref_k8s.cluster.crd import crd
from coref_k8s.cluster.errors import Forbidden, NotFound
from coref_k8s.cluster.leading import leader, services
from coref_k8s.cluster.resources import CRDS, NODES, PODS, STUDIES, VOLUME_CLAIMS, Resource
from coref_k8s.cluster.settings import JobSettings
from coref_k8s.cluster.summary import problem_of, record_of
from coref_k8s.errors import ClusterError
from coref_k8s.sizing.resources import size_pod
from coref_k8s.store.records import Phase
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import NOTHING, Message, has

Json = dict[str, Any]

#: A study's status says within a minute what it waits for; longer is not waited for it (seconds).
WATCH_SECONDS = 75.0


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
    what: Message
    remedy: Message = NOTHING

    @classmethod
    def of(cls, grade: Grade, name: str, /, **values: Any) -> Finding:
        """Return the finding of a name: its words and those of its remedy are in the catalogue beside each other."""
        what, remedy = f"cluster.doctor-{name}", f"cluster.doctor-{name}-remedy"
        return cls(grade, Message(what, values), Message(remedy, values) if has(remedy) else NOTHING)


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
    def object_store(self) -> str | None:
        """The address that its Jobs use in the place of a volume."""
        return self.health.get("objectStore")

    @property
    def gpu_memory_label(self) -> str:
        """The node label that its Jobs ask for; empty when they ask for none."""
        label: str = self.health.get("gpuMemoryLabel", JobSettings().gpu_memory_label)
        return label


def examine(api: ClusterApi, spec: StudySpec, study: str | None = None) -> Iterator[Finding]:
    """Yield what is found, in the order in which things depend on each other; `spec` says what is needed.

    A `study` that waits is watched until its status says why, for a minute at most.
    """
    yield (reachable := _api(api))
    if reachable.grade is Grade.FAILED:
        return
    answer = ask(api)
    checks: tuple[Callable[[], Finding], ...] = (
        lambda: definition(api),
        lambda: permissions(api, answer.service),
        lambda: controller(api),
        lambda: gpus(api, spec, answer.gpu_memory_label),
        lambda: objects(answer.object_store) if answer.object_store else volume(api, answer.data_claim),
    )
    for check in checks:
        yield _safely(check)
    yield from _told(answer)
    if study is not None:
        yield _safely(lambda: progress(api, study))


def _safely(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Forbidden as error:
        return Finding.of(Grade.UNKNOWN, "forbidden", why=error.message)
    except ClusterError as error:
        return Finding.of(Grade.FAILED, "no-answer", why=error.message)


def _api(api: ClusterApi) -> Finding:
    try:
        return Finding.of(Grade.OK, "server", version=api.version(), namespace=api.namespace)
    except ClusterError as error:
        return Finding.of(Grade.FAILED, "no-server", why=error.message)


def definition(api: ClusterApi) -> Finding:
    """Check that the CorefStudy definition is there, and this program's."""
    missing = Finding.of(Grade.FAILED, "no-definition")
    try:
        live = api.get(CRDS, names.CRD_NAME)
    except NotFound:
        return missing
    except Forbidden:
        try:
            api.list_page(STUDIES, limit=1)
        except NotFound:
            return missing
        return Finding.of(Grade.OK, "definition-hidden")
    served = {v["name"]: v for v in live["spec"]["versions"] if v.get("served")}
    if names.VERSION not in served:
        return Finding.of(Grade.FAILED, "other-version", served=[*served], ours=names.VERSION)
    wanted = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    found = served[names.VERSION]["schema"]["openAPIV3Schema"]["properties"]["spec"].get("properties", {})
    differing = sorted(
        key for key in wanted.keys() | found.keys() if _keys(wanted.get(key)) != _keys(found.get(key))
    )
    if differing:
        return Finding.of(Grade.WARNING, "other-fields", version=names.VERSION, fields=differing)
    return Finding.of(Grade.OK, "definition", version=names.API_VERSION)


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
        return Finding.of(Grade.FAILED, "no-rights", rights=missing, namespace=api.namespace)
    return Finding.of(Grade.OK, "rights")


def controller(api: ClusterApi) -> Finding:
    """Check that our controller holds a fresh lease."""
    found = leader(api)
    if found is None:
        return Finding.of(Grade.FAILED, "no-controller", namespace=api.namespace)
    if not found.at_work:
        return Finding.of(Grade.FAILED, "old-lease", holder=found.holder, age=round(found.age))
    holder, age = found.holder.partition("_")[0], max(round(found.age), 0)
    return Finding.of(Grade.OK, "controller", holder=holder, age=age)


def gpus(api: ClusterApi, spec: StudySpec, label: str) -> Finding:
    """Check that nodes have GPUs with the memory that the longest length needs, as their `label` (MB) says."""
    if spec.pod.gpus == 0:
        return Finding.of(Grade.OK, "no-gpu-needed")
    resource = spec.pod.gpu_resource
    try:
        found, _ = api.list(NODES)
    except Forbidden:
        # the release's role for users has no rights beyond its namespace, and nodes are beyond
        return Finding.of(Grade.UNKNOWN, "nodes-hidden", resource=resource)
    nodes = [n for n in found if float(n["status"].get("allocatable", {}).get(resource, 0)) > 0]
    if not nodes:
        return Finding.of(Grade.FAILED, "no-gpu", resource=resource)
    need = size_pod(spec, max(spec.seq_lengths)).gpu_memory_mb
    if not label:
        return Finding.of(Grade.OK, "gpus-of-any-size", n=len(nodes), resource=resource)
    labels = [node["metadata"].get("labels", {}).get(label, "") for node in nodes]
    memory = [int(value) for value in labels if value.isdecimal()]
    if not memory:
        return Finding.of(Grade.FAILED, "no-gpu-label", n=len(nodes), resource=resource, label=label)
    enough = [value for value in memory if value >= need]
    if not enough:
        length, most = max(spec.seq_lengths), max(memory)
        return Finding.of(Grade.FAILED, "small-gpus", length=length, need=need, most=most, gb=most // 1024)
    return Finding.of(Grade.OK, "gpus", n=len(enough), of=len(nodes), need=need)


def volume(api: ClusterApi, wanted: str | None) -> Finding:
    """Check the shared volume: the claim of that name, or what looks like it where the controller did not say."""
    found, _ = api.list(VOLUME_CLAIMS)

    def meant(name: str) -> bool:
        return name == wanted if wanted else name.endswith("-data")

    ours = [claim for claim in found if meant(claim["metadata"]["name"])]
    if not ours:
        return Finding.of(Grade.FAILED, "no-volume", name=wanted or "*-data", namespace=api.namespace)
    claim = ours[0]
    spec = claim["spec"]
    said = {
        "name": claim["metadata"]["name"],
        "phase": claim.get("status", {}).get("phase", "Pending"),
        "of_class": spec.get("storageClassName", "default"),
        "modes": spec.get("accessModes", []),
    }
    if said["phase"] == "Lost":
        return Finding.of(Grade.FAILED, "volume-lost", **said)
    shared = "ReadWriteMany" in said["modes"]
    return Finding.of(*((Grade.OK, "volume") if shared else (Grade.WARNING, "volume-of-one-node")), **said)


def progress(
    api: ClusterApi,
    name: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Finding:
    """Say how a study goes on, or what keeps it; one that waits is watched until that is known."""
    end = clock() + WATCH_SECONDS
    while True:
        resource = api.get(STUDIES, name)
        status = resource.get("status") or {}
        trials = status.get("trials") or {}
        told = {"study": name, "phase": status.get("phase"), "progress": status.get("progress")}
        told |= {"running": trials.get("running", 0), "waiting": trials.get("waiting", 0)}
        if why := problem_of(resource):
            return Finding.of(Grade.FAILED, "study-kept", **told, why=why)
        if record_of(resource).ended:
            return Finding.of(Grade.OK, "study-ended", **told)
        begun = told["phase"] not in (None, Phase.PENDING, Phase.PREPARING) or _has_running_pod(api, name)
        if begun and not told["waiting"]:
            return Finding.of(Grade.OK, "study-runs", **told)
        if clock() > end:
            code = "study-waits" if status else "study-not-taken-up"
            return Finding.of(Grade.WARNING, code, **told, why=Message.verbatim(status.get("message") or ""))
        sleep(1.0)


def _has_running_pod(api: ClusterApi, study: str) -> bool:
    pods, _ = api.list(PODS, labels=f"{names.STUDY_LABEL}={study}")
    return any(pod.get("status", {}).get("phase") == "Running" for pod in pods)


def objects(uri: str) -> Finding:
    """Say where the data are; only pods have the credentials to look there."""
    return Finding.of(Grade.OK, "object-storage", uri=uri)


def ask(api: ClusterApi) -> Answer:
    """Ask the controller for what only it can know: its database, its settings, whether Prometheus comes by."""
    service = ""
    try:
        found = services(api)
        if not found:
            return Answer(trouble=Finding.of(Grade.FAILED, "no-service", namespace=api.namespace))
        service = f"{found[0]['metadata']['name']}:{found[0]['spec']['ports'][0]['port']}"
        return Answer(service, json.loads(api.proxied(service, "api/v1/health")))
    except Forbidden as error:
        return Answer(service, trouble=Finding.of(Grade.UNKNOWN, "results-forbidden", why=error.message))
    except ClusterError as error:
        return Answer(service, trouble=Finding.of(Grade.FAILED, "controller-silent", why=error.message))


def _told(answer: Answer) -> Iterator[Finding]:
    if answer.trouble is not None:
        yield answer.trouble
        return
    health = answer.health
    if (theirs := health.get("version", "")) != __version__:
        yield Finding.of(Grade.WARNING, "other-controller", theirs=theirs, ours=__version__)
    if health["database"]:
        yield Finding.of(Grade.FAILED, "no-database", why=Message.load(health["database"]))
    else:
        yield Finding.of(Grade.OK, "database")
    ago = health["scrapedSecondsAgo"]
    if ago is None or ago > 600:
        yield Finding.of(Grade.WARNING, "no-scrapes")
    else:
        yield Finding.of(Grade.OK, "scrapes", age=round(ago))
