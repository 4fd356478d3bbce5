"""`ClusterSettings`: how this installation runs pods. The chart writes it; a study cannot change it.

Read from the YAML file that `COREF_CLUSTER_SETTINGS` names. Secrets appear by name only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from coref_k8s.cluster.connection import NAMESPACE_FILE
from coref_k8s.errors import RequestError
from coref_k8s.study.base import Request, Seconds
from coref_k8s.study.reading import parse_yaml
from coref_k8s.study.refusals import refused
from coref_k8s.study.spec import Toleration


class KeyRef(Request):
    """One key of a Secret or ConfigMap."""

    name: str
    """Name of the Secret or ConfigMap."""
    key: str
    """Key in it."""


class ObjectStoreSettings(Request):
    """Object storage that keeps prepared data, checkpoints and models."""

    uri: Annotated[str, Field(pattern=r"^(s3|gs|az|abfss|file)://.")]
    """Where: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`."""
    secret: str | None = None
    """Secret whose keys are the variables of the cloud's own tools (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL…); none for workload identity."""
    service_account: str | None = None
    """ServiceAccount of the pods that the cloud trusts; a study's `pod.serviceAccount` replaces it."""
    scratch_size: str = "20Gi"
    """Disk of its node that a pod may use for what it fetches and what it has not sent yet."""
    node_cache: str | None = None
    """Folder of each node, which the pods' user may write, that keeps prepared data and the hub's files for the next pod; none: each pod fetches its own."""


class JobSettings(Request):
    """What every Job of this installation has in common."""

    image: str = "coref-k8s-trial:latest"
    """Trial image; a study's `pod.image` replaces it."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the image is pulled."""
    image_pull_secrets: tuple[str, ...] = Field(default=(), strict=False)
    """Names of Secrets with registry credentials."""
    command: tuple[str, ...] = Field(default=("python", "-m", "coref_k8s.trial"), strict=False)
    """Program of the trial container."""
    calibrate_command: tuple[str, ...] = Field(
        default=("python", "-m", "coref_k8s", "calibrate"), strict=False
    )
    """Program of the trial image that measures the card of its pod."""
    data_claim: str = "coref-k8s-data"
    """PersistentVolumeClaim (ReadWriteMany) with prepared data, checkpoints and models; not used with `objectStore`."""
    data_dir: str = "/data"
    """Where it is mounted, or the pod's own disk where `objectStore` keeps the data."""
    object_store: ObjectStoreSettings | None = None
    """Object storage in the place of the shared volume."""
    storage_secret: KeyRef = KeyRef(name="coref-k8s-storage", key="url")
    """Secret with the database URL; mounted as a file, never an environment variable."""
    hf_secret: KeyRef | None = None
    """Secret with a Hugging Face token for gated data sets; it may be missing."""
    ca_config_map: KeyRef | None = None
    """ConfigMap with a CA bundle (PEM) for HTTPS, where a proxy re-signs traffic."""
    env: dict[str, str] = {}
    """Further environment variables, such as HTTPS_PROXY and NO_PROXY; no secrets."""
    run_as_user: Annotated[int, Field(ge=1)] | None = 10001
    """User and group id of the pods; none where the platform assigns one (OpenShift)."""
    node_selector: dict[str, str] = {}
    """Labels that nodes must have, for every study; a study's own are added."""
    tolerations: tuple[Toleration, ...] = Field(default=(), strict=False)
    """Taints tolerated, for every study; a study's own are added."""
    priority_class: str | None = None
    """PriorityClass of studies that name none."""
    runtime_class: str | None = None
    """RuntimeClass of the pods, such as `nvidia`."""
    labels: dict[str, str] = {}
    """Labels added to Jobs and pods."""
    annotations: dict[str, str] = {}
    """Annotations added to Jobs and pods."""
    max_parallelism: int | None = Field(default=None, ge=1)
    """Most trials of one study at once, whatever it asks for; none for as many as it asks for."""
    same_node: bool = False
    """Keep all pods on one node at a time, as a ReadWriteOnce volume needs it."""
    gpu_memory_label: str = "nvidia.com/gpu.memory"
    """Node label with a GPU's memory (MB); empty where nodes have no such label."""
    grace_seconds: int = Field(default=120, ge=1)
    """Time a trial has to write its checkpoint after SIGTERM (seconds)."""
    node_lost_seconds: int = Field(default=60, ge=0)
    """Time a node may be not ready or unreachable before its pods are given up and start elsewhere (seconds)."""
    ttl_seconds: int = Field(default=7 * 24 * 3600, ge=60)
    """Time Kubernetes keeps a finished Job that the controller has not removed (seconds); longer than any outage."""
    keep_seconds: int = Field(default=24 * 3600, ge=0)
    """Time an ended Job is kept for its log, once its outcome is in the database (seconds); 0 removes it at once."""
    metrics_port: int | None = Field(default=None, ge=1024, le=65535)
    """Port on which trials serve Prometheus metrics; none for no metrics."""


class ClusterSettings(Request):
    """Settings of the controller on a cluster."""

    jobs: JobSettings = JobSettings()
    """Jobs."""
    service: str | None = None
    """Name and port (`coref-k8s-controller:8080`) of the Service in front of the controller, through which the command line reads results."""
    lease: str = "coref-k8s-controller"
    """Name of the Lease that elects one controller among several."""
    lease_seconds: int = Field(default=15, ge=3)
    """Time without renewal after which another controller takes over (seconds)."""
    resync_seconds: Seconds = 60.0
    """Time after which every study is looked at, whether or not something happened (seconds)."""
    status_seconds: Seconds = 2.0
    """Least time between two status updates of one study (seconds)."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port of /healthz, /readyz, /metrics and the results; 0 takes a free one."""

    @classmethod
    def load(cls, path: Path | None) -> ClusterSettings:
        """Read a YAML file; None gives the defaults. Raises RequestError."""
        if path is None:
            return cls()
        try:
            found = parse_yaml(path.read_text(encoding="utf-8"), where=str(path)) or {}
        except (OSError, UnicodeDecodeError) as error:
            raise RequestError("cluster.settings-not-read", path=str(path), why=str(error)) from error
        return cls.parse(found, where=str(path))

    @classmethod
    def parse(cls, values: Mapping[str, Any], *, where: str = "cluster settings") -> ClusterSettings:
        """Check a camelCase mapping. Raises RequestError with the first thing that is wrong."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise refused(error, cls, by_alias=True, where=where) from error


def own_namespace(environ: Mapping[str, str] | None = None) -> str:
    """Return the namespace of this pod: COREF_NAMESPACE, or what Kubernetes mounted, or `default`."""
    env = os.environ if environ is None else environ
    if env.get("COREF_NAMESPACE"):
        return env["COREF_NAMESPACE"]
    return NAMESPACE_FILE.read_text().strip() if NAMESPACE_FILE.exists() else "default"
