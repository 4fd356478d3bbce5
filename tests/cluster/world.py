"""A whole small world for the service's tests: a namespace, a database, a kubelet, and controllers to start."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from coref_k8s.cluster import names, rbac
from coref_k8s.cluster.cache import LIVE_SELECTOR
from coref_k8s.cluster.crd import crd
from coref_k8s.cluster.errors import AlreadyExists, NotFound
from coref_k8s.cluster.resources import CRDS, EVENTS, JOBS, PODS, SERVICES, STUDIES
from coref_k8s.cluster.service import ControllerService
from coref_k8s.cluster.settings import ClusterSettings, JobSettings
from coref_k8s.telemetry.bus import Bus
from tests.cluster.simulation import Trials
from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster, wait_for
from tests.kube.kubelet import Kubelet
from tests.kube.objects import ENDPOINTS

Json = dict[str, Any]

#: A study of one small length on CPU.
SMALL: Json = {
    "seqLengths": [64],
    "anyLength": True,
    "trials": 2,
    "parallelism": 2,
    "pod": {"gpus": 0},
    "search": {"sampler": "random", "pruner": "none"},
}
SERVICE = "coref-k8s-controller"
JOBS_HERE = JobSettings(run_as_user=None, grace_seconds=1)


@dataclass
class World:
    """Everything in one namespace."""

    kube: KubeCluster
    api: AdminApi
    kubelet: Kubelet
    trials: Trials
    url: str
    patience: float = 30.0
    controllers: list[ControllerService] = field(default_factory=list)

    def controller(
        self,
        *,
        start: bool = True,
        url: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        **more: Any,
    ) -> ControllerService:
        """Start a controller that has exactly the rights of its role."""
        given = {
            "service": f"{SERVICE}:8080",
            "lease_seconds": 3,
            "status_seconds": 0.2,
            "port": 0,
            "jobs": JOBS_HERE,
        } | more
        connection = self.kube.as_service_account(
            self.api.namespace, "controller", rbac.rules("controller"), field_manager=names.FIELD_MANAGER
        )
        service = ControllerService(
            connection,
            ClusterSettings(**given),
            url or self.url,
            bus=Bus(None),
            monotonic=monotonic,
            resync=0.5,
        )
        self.controllers.append(service)
        return service.start() if start else service

    def expose(self, controller: ControllerService) -> None:
        """Put a Service in front of a controller of this machine, as the chart does."""
        meta = {"namespace": self.api.namespace, "name": SERVICE}
        # a real API server passes nothing on to loopback addresses
        address = own_address() if self.kube.real else "127.0.0.1"
        pod: Json = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": meta,
            # nobody is to run it: it stands for this process
            "spec": {
                "nodeSelector": {"no": "where"},
                "containers": [{"name": "controller", "image": "controller"}],
            },
        }
        self.api.create(PODS, pod)
        ips = {"podIP": address, "podIPs": [{"ip": address}]}
        self.api.patch(PODS, SERVICE, {"status": ips}, subresource="status")
        labels = {names.NAME_LABEL: names.APP, names.COMPONENT_LABEL: "controller"}
        ports = [{"name": "http", "port": 8080}]
        self.api.create(
            SERVICES,
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {**meta, "labels": labels},
                "spec": {"ports": ports},
            },
        )
        target = {"kind": "Pod", **meta}
        subset = {
            "addresses": [{"ip": address, "targetRef": target}],
            "ports": [{"name": "http", "port": controller.web.port}],
        }
        body = {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, "subsets": [subset]}
        self.api.create(ENDPOINTS, body)

    def submit(self, name: str = "korean", spec: Json | None = None, **metadata: Any) -> Json:
        """Create a study."""
        return self.api.create(
            STUDIES,
            {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "metadata": {"name": name, **metadata},
                "spec": {**SMALL, **(spec or {})},
            },
        )

    def study(self, name: str = "korean") -> Json:
        """Return a study's resource."""
        return self.api.get(STUDIES, name)

    def annotate(self, name: str = "korean", **annotations: str | None) -> None:
        """Set or (None) remove annotations of our group."""
        found = {f"{names.GROUP}/{key}": value for key, value in annotations.items()}
        self.api.patch(STUDIES, name, {"metadata": {"annotations": found}})

    def status(self, name: str = "korean") -> Json:
        """Return a study's status."""
        return self.study(name).get("status") or {}

    def condition(self, kind: str, name: str = "korean") -> Json:
        """Return one condition; empty while it is not there."""
        found = (c for c in self.status(name).get("conditions", ()) if c["type"] == kind)
        return next(found, {})

    def until(self, look: Callable[[], Any], what: str) -> Any:
        """Return the first true value."""
        return wait_for(look, what, self.patience)

    def until_phase(self, phase: str, name: str = "korean") -> Json:
        """Wait for a phase and return the status."""

        def look() -> Json | None:
            status = self.status(name)
            return status if status.get("phase") == phase else None

        try:
            return self.until(look, phase)
        except AssertionError:
            raise AssertionError(f"{name} never was {phase}, but {self.status(name)}") from None

    def jobs(self) -> list[str]:
        """Return the names of the Jobs that are not only kept for their logs."""
        found, _ = self.api.list(JOBS, labels=LIVE_SELECTOR)
        return sorted(job["metadata"]["name"] for job in found)

    def pods(self, job: str = "") -> list[Json]:
        """Return the pods (of a Job), oldest first."""
        labels = f"batch.kubernetes.io/job-name={job}" if job else ""
        found, _ = self.api.list(PODS, labels=labels)
        return sorted(found, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def running(self, job: str) -> Json:
        """Wait for a running pod of a Job and return it."""

        def look() -> Json | None:
            found = [p for p in self.pods(job) if p["status"].get("phase") == "Running"]
            return next((p for p in found if not p["metadata"].get("deletionTimestamp")), None)

        return self.until(look, f"a running pod of {job}")

    def events(self) -> list[tuple[str, str]]:
        """Return (reason, message) of the events on studies."""
        found, _ = self.api.list(EVENTS)
        return [(e["reason"], e["message"]) for e in found if e["involvedObject"]["kind"] == names.KIND]


def own_address() -> str:
    """Return an address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


def foreign_owner(definition: Json) -> str:
    """Return the Helm release, of no test, that a definition belongs to; empty when there is none."""
    annotations = definition["metadata"].get("annotations") or {}
    namespace = annotations.get("meta.helm.sh/release-namespace", "")
    if not namespace or namespace.startswith("test-"):
        return ""
    return f"release {annotations.get('meta.helm.sh/release-name', '')} in namespace {namespace}"


def install_crd(api: AdminApi) -> None:
    """Create the definition, or bring it up to date, and wait until it is served."""
    body = crd()
    try:
        api.create(CRDS, body)
    except AlreadyExists:
        live = api.get(CRDS, names.CRD_NAME)
        if whose := foreign_owner(live):
            pytest.exit(
                f"this cluster's definition belongs to {whose}, whose studies the tests would disturb: use another one",
                returncode=2,
            )
        api.replace(
            CRDS,
            {
                **body,
                "metadata": {**body["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]},
            },
        )

    def served() -> bool:
        try:
            api.list(STUDIES, "default")
        except NotFound:
            return False
        return True

    wait_for(served, "the CorefStudy definition")
