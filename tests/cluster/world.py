"""A whole small world for the service's tests: a namespace, a database, a kubelet, and controllers to start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from coref_k8s.cluster import names, rbac
from coref_k8s.cluster.api import ClusterApi
from coref_k8s.cluster.crd import crd
from coref_k8s.cluster.errors import AlreadyExists, NotFound
from coref_k8s.cluster.resources import CRDS, EVENTS, JOBS, PODS, STUDIES
from coref_k8s.cluster.service import ControllerService
from coref_k8s.cluster.settings import ClusterSettings, JobSettings
from coref_k8s.telemetry.bus import Bus
from tests.cluster.simulation import Trials
from tests.kube.cluster import KubeCluster, wait_for
from tests.kube.kubelet import Kubelet

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
JOBS_HERE = JobSettings(run_as_user=None, grace_seconds=1)


@dataclass
class World:
    """Everything in one namespace."""

    kube: KubeCluster
    api: ClusterApi
    kubelet: Kubelet
    trials: Trials
    url: str
    patience: float = 30.0
    controllers: list[ControllerService] = field(default_factory=list)

    def controller(self, *, start: bool = True, url: str | None = None, **more: Any) -> ControllerService:
        """Start a controller that has exactly the rights of its role."""
        given = {"lease_seconds": 3, "status_seconds": 0.2, "port": 0, "jobs": JOBS_HERE} | more
        connection = self.kube.as_service_account(
            self.api.namespace, "controller", rbac.rules("controller"), field_manager=names.FIELD_MANAGER
        )
        service = ControllerService(
            connection, ClusterSettings(**given), url or self.url, bus=Bus(None), resync=0.5
        )
        self.controllers.append(service)
        return service.start() if start else service

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
        """Return the names of the Jobs that exist."""
        return sorted(job["metadata"]["name"] for job in self.api.list(JOBS)[0])

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


def install_crd(api: ClusterApi) -> None:
    """Create the definition, or bring it up to date, and wait until it is served."""
    body = crd()
    try:
        api.create(CRDS, body)
    except AlreadyExists:
        live = api.get(CRDS, names.CRD_NAME)
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
