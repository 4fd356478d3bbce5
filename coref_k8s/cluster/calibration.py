"""The Jobs that measure a cluster's kinds of GPU: a trial's pod that runs `calibrate` in the place of a trial."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from contextlib import suppress

from coref_k8s.cluster import names
from coref_k8s.cluster.api import ClusterApi
from coref_k8s.cluster.errors import AlreadyExists, Forbidden, NotFound
from coref_k8s.cluster.jobs import CONTAINER, Manifest, job_manifest
from coref_k8s.cluster.observed import has_ended
from coref_k8s.cluster.resources import JOBS, NODES
from coref_k8s.cluster.settings import JobSettings
from coref_k8s.errors import ClusterError, RequestError
from coref_k8s.sizing.resources import size_pod
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order
from coref_k8s.study.spec import StudySpec

#: Node label with the kind of GPU, as NVIDIA's feature discovery writes it.
PRODUCT_LABEL = "nvidia.com/gpu.product"
#: `app.kubernetes.io/component` of these Jobs.
COMPONENT = "calibration"
#: What a pod may take until it measures: its image is pulled, a card becomes free (seconds).
UNTIL_IT_RUNS = 1800
#: What a pod may take beyond its deadline, for the step that it is in and for its end (seconds).
_GRACE = 300
#: Variables of trials that nothing here reads.
_OF_TRIALS = ("COREF_ORDER", "COREF_METRICS_PORT")
#: Parts of a request on which no step depends.
_NOT_MEASURED = {"data", "search", "objective", "limits"}
#: Pause between two looks for a Job that is being deleted (seconds).
_LOOK_SECONDS = 0.5


def kinds_of_gpu(api: ClusterApi, spec: StudySpec) -> list[str]:
    """Return the kinds of GPU that the cluster's nodes have, as their labels name them; one without a name where they have none.

    Raises RequestError when there is no GPU, and when the caller may not look at nodes.
    """
    resource = spec.pod.gpu_resource
    try:
        found, _ = api.list(NODES)
    except Forbidden as error:
        raise RequestError("cluster.kinds-hidden") from error
    selected = spec.pod.node_selector.items()
    kinds = {
        labels.get(PRODUCT_LABEL, "")
        for node in found
        if float(node["status"].get("allocatable", {}).get(resource, 0)) > 0
        and selected <= (labels := node["metadata"].get("labels", {})).items()
    }
    if not kinds:
        raise RequestError("cluster.no-gpu-to-measure", resource=resource)
    return sorted(kinds)


def calibration_job(
    spec: StudySpec, settings: JobSettings, kind: str, deadline: float, *, namespace: str
) -> Manifest:
    """Return the Job that measures one kind of GPU for a request; without a kind any GPU, of a request without GPUs a CPU.

    Its name tells what is measured, so that whoever asks for the same at the same time gets the same Job.
    """
    pod = spec.pod.model_copy(
        update={
            "gpus": min(spec.pod.gpus, 1),
            "node_selector": {**spec.pod.node_selector, **({PRODUCT_LABEL: kind} if kind else {})},
        }
    )
    spec = spec.model_copy(update={"pod": pod})
    asked = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=_NOT_MEASURED)
    where = asked.pop("pod", {})  # of the pod, its program has to know the GPUs and the memory alone
    kept = {key: where[key] for key in ("memory", "gpuResource") if key in where} | {"gpus": pod.gpus}
    arguments = [f"--deadline={deadline:g}"]
    for key, value in {**asked, "pod": kept}.items():
        # Kubernetes would expand $(NAME) in it
        arguments.append(f"--set={key}={json.dumps(value)}".replace("$", "$$"))
    digest = hashlib.sha256(json.dumps([asked, where]).encode()).hexdigest()[:8]
    slug = re.sub(r"[^a-z0-9]+", "-", kind.lower()).strip("-")[:30].strip("-") or (
        "gpu" if pod.gpus else "cpu"
    )
    # any card of its kind will do, however small
    resources = size_pod(spec, max(spec.seq_lengths)).model_copy(update={"gpu_memory_mb": 0})
    name = f"calibrate-{slug}-{digest}"
    order = Order(kind=Kind.TRIAL, study=name, spec=spec, resources=resources, workdir="")
    return _measuring(job_manifest(order, settings, namespace=namespace, owner_uid=None), order, settings, arguments,
                      math.ceil(deadline) + UNTIL_IT_RUNS + _GRACE)  # fmt: skip


def _measuring(
    job: Manifest, order: Order, settings: JobSettings, arguments: list[str], longest: int
) -> Manifest:
    """Return a trial's Job as one that runs `calibrate`: another program, and no labels that the controller goes by."""
    ours = {
        names.NAME_LABEL: names.APP, names.COMPONENT_LABEL: COMPONENT, names.INSTANCE_LABEL: order.study,
    }  # fmt: skip
    theirs = {**settings.labels, **order.spec.pod.labels}
    queue = {key: value for key, value in job["metadata"]["labels"].items() if key == names.QUEUE_LABEL}
    job["metadata"] |= {
        "name": order.study,
        "labels": {**theirs, **queue, **ours},
        "annotations": settings.annotations,
    }
    job["spec"] |= {"backoffLimit": 0, "activeDeadlineSeconds": longest}
    template = job["spec"]["template"]
    # policies let pods that are managed by the controller reach the database
    template["metadata"]["labels"] = {**theirs, **ours, names.MANAGED_BY_LABEL: names.APP}
    container = template["spec"]["containers"][0]
    container.pop("ports", None)
    container["command"], container["args"] = list(settings.calibrate_command), arguments
    container["env"] = [one for one in container["env"] if one["name"] not in _OF_TRIALS]
    assert container["name"] == CONTAINER
    return job


def create_or_join(api: ClusterApi, job: Manifest) -> bool:
    """Create a Job, in the place of an earlier one that has ended; return False when one is at work that will do.

    Raises RequestError for a Job of that name that is somebody else's, ClusterError when it cannot be created.
    """
    name = job["metadata"]["name"]
    while True:
        with suppress(AlreadyExists):
            api.create(JOBS, job)
            return True
        try:
            there = api.get(JOBS, name)
        except NotFound:
            continue
        if there["metadata"].get("labels", {}).get(names.COMPONENT_LABEL) != COMPONENT:
            raise RequestError("cluster.job-of-others", job=name)
        if not has_ended(there) and "deletionTimestamp" not in there["metadata"]:
            return False
        with suppress(NotFound):
            api.delete(JOBS, name, uid=there["metadata"]["uid"])
        _gone(api, name, there["metadata"]["uid"])


def _gone(api: ClusterApi, name: str, uid: str) -> None:
    """Wait until a Job is deleted. Raises ClusterError when it stays."""
    end = time.monotonic() + 60
    with suppress(NotFound):
        while api.get(JOBS, name)["metadata"]["uid"] == uid:
            if time.monotonic() > end:
                raise ClusterError("cluster.job-stays", job=name)
            time.sleep(_LOOK_SECONDS)
