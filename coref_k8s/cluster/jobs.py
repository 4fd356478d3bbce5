"""From an order to a Job manifest: pure, so that golden files can hold it to the letter."""

from __future__ import annotations

import hashlib
from typing import Any

from coref_k8s.cluster import names
from coref_k8s.cluster.settings import JobSettings, KeyRef
from coref_k8s.errors import EXIT_INVALID, EXIT_OUT_OF_MEMORY, EXIT_TERMINATED
from coref_k8s.sizing.resources import parse_quantity
from coref_k8s.study.names import WITHOUT_GPU
from coref_k8s.study.order import Order, Resources
from coref_k8s.study.paths import HUB_CACHE, PREPARED
from coref_k8s.study.spec import EVERY_LENGTH, PodSpec, Toleration

#: Name of the only container.
CONTAINER = "trial"
#: Name within a pod of the claim of its GPUs.
GPU_CLAIM = "gpu"
#: Exit code of a process that SIGKILL ended; without a disruption, that is the memory limit.
EXIT_KILLED = 137
#: Where secrets and the CA bundle are mounted.
STORAGE_DIR, HF_DIR, CA_DIR = "/run/coref/storage", "/run/coref/hf", "/run/coref/ca"
OBJECTS_DIR = "/run/coref/objects"

#: Taints of a node that says it is not well, and of one that says nothing.
_NODE_TROUBLE = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")

#: Settings that change no pod.
_NOT_OF_PODS = {"max_parallelism", "ttl_seconds", "keep_seconds"}

Manifest = dict[str, Any]


def job_manifest(order: Order, settings: JobSettings, *, namespace: str, owner_uid: str | None) -> Manifest:
    """Return the Job of an order.

    `owner_uid` is the UID of the study's custom resource, with which the Job is collected; None leaves the
    owner out.
    """
    pod = order.spec.pod
    labels = {**settings.labels, **pod.labels, **job_labels(order)}
    metadata: Manifest = {
        "name": order.name,
        "namespace": namespace,
        "labels": dict(labels),
        "annotations": {
            **settings.annotations,
            names.MAX_DISRUPTIONS_ANNOTATION: str(order.spec.limits.max_disruptions),
            names.POD_ANNOTATION: pod_digest(order.spec.pod, order.resources, settings),
        },
    }
    if pod.queue_name:
        metadata["labels"][names.QUEUE_LABEL] = pod.queue_name
    if owner_uid is not None:
        metadata["ownerReferences"] = [_owner(order.study, owner_uid)]
    spec: Manifest = {
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": order.spec.limits.retries,
        # with this, a replacement starts only once the old pod is gone, and reads its last checkpoint
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": _failure_rules()},
        "ttlSecondsAfterFinished": settings.ttl_seconds,
        "template": {
            "metadata": {"labels": dict(labels), **_annotations(order, settings)},
            "spec": _pod_spec(order, settings),
        },
    }
    if pod.queue_name:
        # Kueue admits by resuming
        spec["suspend"] = True
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def pod_digest(pod: PodSpec, resources: Resources, settings: JobSettings) -> str:
    """Return a hash of where and how a pod is to run, by the request and the installation."""
    given = settings.model_copy(update={"image": pod.image or settings.image})
    asked = (pod.model_dump_json(), resources.model_dump_json(), given.model_dump_json(exclude=_NOT_OF_PODS))
    return hashlib.sha256("/".join(asked).encode()).hexdigest()[:16]


def job_labels(order: Order) -> dict[str, str]:
    """Return the labels by which Jobs and pods are found."""
    labels = {
        names.NAME_LABEL: names.APP,
        names.COMPONENT_LABEL: order.kind.value,
        names.INSTANCE_LABEL: order.study,
        names.MANAGED_BY_LABEL: names.APP,
        names.STUDY_LABEL: order.study,
        names.KIND_LABEL: order.kind.value,
        names.ATTEMPT_LABEL: str(order.attempt),
    }
    if order.seq_len is not None:
        labels[names.SEQ_LEN_LABEL] = str(order.seq_len)
    if order.trial is not None:
        labels[names.TRIAL_LABEL] = str(order.trial)
    return labels


def _owner(study: str, uid: str) -> Manifest:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": study,
        "uid": uid,
        "controller": True,
        # blocking would need the right to set finalizers on studies
        "blockOwnerDeletion": False,
    }


def _failure_rules() -> list[Manifest]:
    def on_exit(action: str, code: int) -> Manifest:
        codes = {"containerName": CONTAINER, "operator": "In", "values": [code]}
        return {"action": action, "onExitCodes": codes}

    disrupted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    return [
        on_exit("FailJob", EXIT_INVALID),
        on_exit("FailJob", EXIT_OUT_OF_MEMORY),
        disrupted,
        # a checkpoint was written on SIGTERM: somebody deleted the pod; not the trial's fault either
        on_exit("Ignore", EXIT_TERMINATED),
        # the same memory would kill it again: the controller starts the next attempt with more
        on_exit("FailJob", EXIT_KILLED),
        # everything else counts against backoffLimit
    ]


def _annotations(order: Order, settings: JobSettings) -> Manifest:
    annotations = {**settings.annotations, **order.spec.pod.annotations}
    return {"annotations": annotations} if annotations else {}


def _pod_spec(order: Order, settings: JobSettings) -> Manifest:
    pod, resources = order.spec.pod, order.resources
    security: Manifest = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if settings.run_as_user is not None:
        user = settings.run_as_user
        security |= {"runAsUser": user, "runAsGroup": user, "fsGroup": user}
        # the shared volume holds many files: chown them once, not for every pod
        security["fsGroupChangePolicy"] = "OnRootMismatch"
    spec: Manifest = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": settings.grace_seconds,
        "securityContext": security,
        "containers": [_container(order, settings)],
        "volumes": _volumes(resources, settings),
    }
    store = settings.object_store
    if account := pod.service_account or (store and store.service_account):
        spec["serviceAccountName"] = account
    if settings.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    if priority := pod.priority_class or settings.priority_class:
        spec["priorityClassName"] = priority
    if selector := {**settings.node_selector, **pod.node_selector}:
        spec["nodeSelector"] = selector
    tolerations = [_toleration(t) for t in (*settings.tolerations, *pod.tolerations)]
    # One volume that one node has at a time may be tied to a node or a zone by its first pod, which mostly needs no
    # GPU (a preparation, `helm test`): it must not end up where no trial with one can follow.
    near_gpus = settings.same_node and not resources.gpus and bool(settings.gpu_memory_label)
    claim = _claim(order)
    if resources.gpus or near_gpus:
        tolerations.insert(0, {"key": pod.gpu_resource, "operator": "Exists", "effect": "NoSchedule"})
    known = {toleration.get("key") for toleration in tolerations}
    # Kubernetes would wait for five minutes; whoever tolerates these taints otherwise knows why
    tolerations += [_until_lost(key, settings) for key in _NODE_TROUBLE if key not in known]
    spec["tolerations"] = tolerations
    if settings.runtime_class:
        spec["runtimeClassName"] = settings.runtime_class
    affinity: Manifest = {}
    if claim:
        # the template says which devices: a node's label knows nothing of their shares
        spec["resourceClaims"] = [{"name": GPU_CLAIM, "resourceClaimTemplateName": claim}]
    elif resources.gpus and resources.gpu_memory_mb and settings.gpu_memory_label:
        affinity["nodeAffinity"] = _gpu_affinity(settings.gpu_memory_label, resources.gpu_memory_mb)
    elif near_gpus:
        affinity["nodeAffinity"] = _near_gpus(settings.gpu_memory_label)
    if settings.same_node:
        affinity["podAffinity"] = _same_node()
    if affinity:
        spec["affinity"] = affinity
    return spec


def _claim(order: Order) -> str:
    """Return the template of the claim with which a pod has its GPUs; empty where it asks for them by resource name."""
    if not order.resources.gpus:
        return ""
    claims = order.spec.pod.resource_claims
    return claims.get(str(order.seq_len)) or claims.get(EVERY_LENGTH) or ""


def _toleration(toleration: Toleration) -> Manifest:
    # Kubernetes reads a missing operator as Equal, also where no value is given
    operator = toleration.operator or ("Exists" if toleration.value is None else "Equal")
    return toleration.model_copy(update={"operator": operator}).model_dump(by_alias=True, exclude_none=True)


def _until_lost(key: str, settings: JobSettings) -> Manifest:
    bound = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": settings.node_lost_seconds}
    return {"key": key, **bound}


def _gpu_affinity(label: str, megabytes: int) -> Manifest:
    enough = {"key": label, "operator": "Gt", "values": [str(megabytes - 1)]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [enough]}]}
    return {"requiredDuringSchedulingIgnoredDuringExecution": terms}


def _near_gpus(label: str) -> Manifest:
    # a wish only: where no node has GPUs, any will do
    found = {"matchExpressions": [{"key": label, "operator": "Exists"}]}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": found}]}


def _same_node() -> Manifest:
    # a first pod, which finds no other, may go anywhere
    ours = {"matchLabels": {names.MANAGED_BY_LABEL: names.APP}}
    term = {"labelSelector": ours, "topologyKey": "kubernetes.io/hostname"}
    return {"requiredDuringSchedulingIgnoredDuringExecution": [term]}


def _container(order: Order, settings: JobSettings) -> Manifest:
    container: Manifest = {
        "name": CONTAINER,
        "image": order.spec.pod.image or settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": list(settings.command),
        "env": [{"name": name, "value": value} for name, value in environment(order, settings).items()],
        "resources": _resources(order, settings),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": _mounts(settings),
    }
    if settings.metrics_port is not None and order.kind not in WITHOUT_GPU:
        # preparation and verdict serve nothing: a port of theirs would be a target that is down
        container["ports"] = [{"name": "metrics", "containerPort": settings.metrics_port}]
    return container


def environment(order: Order, settings: JobSettings) -> dict[str, str]:
    """Return the container's variables; secrets are files, named here."""
    variables = {
        # Kubernetes would expand $(NAME) in it
        "COREF_ORDER": order.model_dump_json(by_alias=True).replace("$", "$$"),
        "COREF_DATA_DIR": settings.data_dir,
        "COREF_STORAGE_URL_FILE": f"{STORAGE_DIR}/{settings.storage_secret.key}",
        # events go to standard output, where `kubectl logs` has them; appending over a network is not atomic
        "COREF_BUS": "-",
        # the root file system is read-only
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "HF_HOME": f"{settings.data_dir}/{HUB_CACHE}",
        "PYTHONUNBUFFERED": "1",
    }
    if settings.object_store is not None:
        variables["COREF_OBJECT_STORE"] = settings.object_store.uri
        if settings.object_store.secret:
            variables["COREF_OBJECT_STORE_SECRET"] = OBJECTS_DIR
    if settings.hf_secret is not None:
        variables["HF_TOKEN_FILE"] = f"{HF_DIR}/{settings.hf_secret.key}"
    if settings.ca_config_map is not None:
        bundle = f"{CA_DIR}/{settings.ca_config_map.key}"
        variables |= {"SSL_CERT_FILE": bundle, "REQUESTS_CA_BUNDLE": bundle}
    if settings.metrics_port is not None and order.kind not in WITHOUT_GPU:
        variables["COREF_METRICS_PORT"] = str(settings.metrics_port)
    return {**variables, **settings.env}


def _resources(order: Order, settings: JobSettings) -> Manifest:
    resources = order.resources
    disk = resources.ephemeral_bytes
    if settings.object_store is not None:  # the data folder is on the pod's own disk
        disk += int(parse_quantity(settings.object_store.scratch_size))
    fixed = {"memory": str(resources.memory_bytes), "ephemeral-storage": str(disk)}
    claimed: Manifest = {"claims": [{"name": GPU_CLAIM}]} if _claim(order) else {}
    if resources.gpus and not claimed:
        fixed[order.spec.pod.gpu_resource] = str(resources.gpus)
    # no CPU limit: throttling a trial while cores are idle only keeps its GPU waiting
    return {"requests": {"cpu": f"{resources.cpu_millis}m", **fixed}, "limits": fixed, **claimed}


def _mounts(settings: JobSettings) -> list[Manifest]:
    mounts: list[Manifest] = [
        {"name": "data", "mountPath": settings.data_dir},
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "shm", "mountPath": "/dev/shm"},
        {"name": "storage", "mountPath": STORAGE_DIR, "readOnly": True},
    ]
    if (store := settings.object_store) is not None:
        if store.node_cache:
            for part in (PREPARED, HUB_CACHE):
                mounts.append({"name": "cache", "mountPath": f"{settings.data_dir}/{part}", "subPath": part})
        if store.secret:
            mounts.append({"name": "objects", "mountPath": OBJECTS_DIR, "readOnly": True})
    if settings.hf_secret is not None:
        mounts.append({"name": "hf", "mountPath": HF_DIR, "readOnly": True})
    if settings.ca_config_map is not None:
        mounts.append({"name": "ca", "mountPath": CA_DIR, "readOnly": True})
    return mounts


def _volumes(resources: Resources, settings: JobSettings) -> list[Manifest]:
    shm = {"medium": "Memory", "sizeLimit": str(resources.shm_bytes)}
    volumes: list[Manifest] = [
        {"name": "data", **_data(settings)},
        {"name": "tmp", "emptyDir": {"sizeLimit": str(resources.ephemeral_bytes)}},
        {"name": "shm", "emptyDir": shm},
        {"name": "storage", "secret": _secret(settings.storage_secret)},
    ]
    if (store := settings.object_store) is not None:
        if store.node_cache:
            volumes.append({"name": "cache", "hostPath": {"path": store.node_cache, "type": "Directory"}})
        if store.secret:
            # as a folder, and not as variables: what is renewed in it reaches pods that run
            volumes.append({"name": "objects", "secret": {"secretName": store.secret, "defaultMode": 0o440}})
    if settings.hf_secret is not None:
        volumes.append({"name": "hf", "secret": {**_secret(settings.hf_secret), "optional": True}})
    if settings.ca_config_map is not None:
        ref = settings.ca_config_map
        items = [{"key": ref.key, "path": ref.key}]
        volumes.append({"name": "ca", "configMap": {"name": ref.name, "items": items}})
    return volumes


def _data(settings: JobSettings) -> Manifest:
    """Return where the data folder is: on the shared volume, or on the pod's own disk."""
    if settings.object_store is None:
        return {"persistentVolumeClaim": {"claimName": settings.data_claim}}
    return {"emptyDir": {"sizeLimit": settings.object_store.scratch_size}}


def _secret(ref: KeyRef) -> Manifest:
    # readable by the pod's group only
    return {"secretName": ref.name, "defaultMode": 0o440, "items": [{"key": ref.key, "path": ref.key}]}
