"""One release with real pods, in a namespace of its own, as its administrator sees it; every wait has a limit."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm_python
import yaml

from coref_k8s.cluster import names
from coref_k8s.cluster.errors import NotFound
from coref_k8s.cluster.resources import JOBS, LEASES, NODES, PODS, STUDIES, Resource
from tests.kube.api import AdminApi
from tests.kube.cluster import wait_for

Json = dict[str, Any]

STATEFUL_SETS = Resource("apps", "v1", "statefulsets", "StatefulSet")
RELEASE = "coref"
#: Time for a pod to be placed and its image to be pulled (seconds).
START = 600.0
#: Time for a small study to run to its end (seconds).
STUDY = 1800.0
#: The longest time within which a study says what is wrong (seconds).
SAID = 60.0


class LacksError(Exception):
    """The cluster lacks something that a test needs; the message names it."""


@dataclass
class Release:
    """A release and the studies of its namespace."""

    api: AdminApi
    helm: helm_python.Config
    chart: Path
    values: Json

    def until(self, look: Callable[[], Any], what: str, seconds: float = START) -> Any:
        """Return the first true value of `look`; AssertionError with how everything stands after `seconds`."""
        try:
            return wait_for(look, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.state()}") from None

    def state(self) -> str:
        """Return pods and studies in a few lines."""
        pods = [f"pod {p['metadata']['name']}: {p['status'].get('phase')} {_waits(p)}" for p in self.pods()]
        studies = [f"study {s['metadata']['name']}: {s.get('status')}" for s in self.api.list(STUDIES)[0]]
        return "\n".join([*pods, *studies])

    def pods(self, component: str = "", **labels: str) -> list[Json]:
        """Return pods, of a component of the release or with labels of our group (`study=NAME`), oldest first."""
        wanted = {f"{names.GROUP}/{key}": value for key, value in labels.items()}
        wanted |= {names.COMPONENT_LABEL: component} if component else {}
        found, _ = self.api.list(PODS, labels=",".join(f"{key}={value}" for key, value in wanted.items()))
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def ready(self, component: str, count: int = 1) -> list[Json]:
        """Wait for ready pods of a component, and for no others. Raises LacksError for an image that does not come."""

        def look() -> list[Json] | None:
            found = [pod for pod in self.pods(component) if not pod["metadata"].get("deletionTimestamp")]
            for pod in found:
                if "Image" in (why := _waits(pod)):
                    raise LacksError(f"an image that its nodes can pull: {why}")
            good = [pod for pod in found if _is_ready(pod)]
            return good if len(good) == len(found) == count else None

        return list(self.until(look, f"{count} ready pods of the {component}"))

    def has_database(self) -> bool:
        """Return whether the release has a Postgres of its own."""
        try:
            self.api.get(STATEFUL_SETS, f"{RELEASE}-postgres")
        except NotFound:
            return False
        return True

    def submit(self, *, trials: int = 3, pod: Json | None = None, **spec: Any) -> str:
        """Create a small study on CPU, of the kind that `helm test` runs, with longer trials; return its name."""
        name = f"real-{uuid.uuid4().hex[:6]}"
        smoke = yaml.safe_load((self.chart / "files" / "smoke.yaml").read_text(encoding="utf-8"))
        smoke["training"] |= {"maxSteps": 150, "evaluations": 3}
        smoke["pod"] |= pod or {}
        body = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": name}}
        self.api.create(STUDIES, {**body, "spec": {**smoke, "trials": trials, "parallelism": 2, **spec}})
        return name

    def study(self, name: str) -> Json:
        """Return a study's status."""
        return self.api.get(STUDIES, name).get("status") or {}

    def annotate(self, name: str, **annotations: str) -> None:
        """Set annotations of our group on a study."""
        found = {f"{names.GROUP}/{key}": value for key, value in annotations.items()}
        self.api.patch(STUDIES, name, {"metadata": {"annotations": found}})

    def told(self, name: str, reason: str) -> str:
        """Wait until a study is degraded for a reason, no longer than promised, and return its message."""

        def look() -> str:
            conditions = self.study(name).get("conditions") or ()
            found = next((c for c in conditions if c["type"] == "Degraded"), {})
            return str(found["message"]) if found.get("reason") == reason else ""

        return str(self.until(look, f"{name} to say {reason}", SAID))

    def running(self, study: str, but: str = "") -> Json:
        """Wait for a running pod of a trial, another one than `but`, and return it."""

        def look() -> Json | None:
            found = [
                pod for pod in self.pods("trial", study=study) if pod["status"].get("phase") == "Running"
            ]
            good = (
                p for p in found if "deletionTimestamp" not in p["metadata"] and p["metadata"]["name"] != but
            )
            return next(good, None)

        return dict(self.until(look, f"a running trial of {study}"))

    def progress(self, study: str) -> int:
        """Return how many trials are done."""
        return int(self.study(study).get("progress", "0/").partition("/")[0])

    def goes_on(self, study: str) -> None:
        """Wait until one more trial is done, or all are."""
        before = self.progress(study)

        def look() -> bool:
            return self.progress(study) > before or self.study(study).get("phase") == "Succeeded"

        self.until(look, f"another trial of {study}", STUDY)

    def succeeds(self, study: str) -> Json:
        """Wait for the end, and see to it that each trial counted once and none failed."""

        def ended() -> Json | None:
            status = self.study(study)
            return status if status.get("phase") in ("Succeeded", "Failed", "Cancelled") else None

        status = dict(self.until(ended, f"the end of {study}", STUDY))
        counts = status["trials"]
        assert status["phase"] == "Succeeded", status
        assert counts["total"] == counts["done"] == counts["succeeded"], status
        return status

    def leader(self) -> str:
        """Return who leads."""
        return str(self.api.get(LEASES, f"{RELEASE}-controller")["spec"].get("holderIdentity") or "")

    def jobs(self, study: str) -> list[Json]:
        """Return the Jobs of a study."""
        return list(self.api.list(JOBS, labels=f"{names.STUDY_LABEL}={study}")[0])

    def nodes(self) -> list[Json]:
        """Return the ready nodes on which pods may be placed."""
        found, _ = self.api.list(NODES)
        return [n for n in found if _is_ready(n) and not n["spec"].get("unschedulable")]

    def run(self, script: str, *, node: str, seconds: float = START) -> str:
        """Run Python with the data volume at /data on a node, in the trial's image, and return what it printed."""
        beside = next(pod for pod in reversed(self.pods("trial")) if pod["spec"].get("nodeName"))
        template = beside["spec"]
        container = template["containers"][0]
        volumes = [v for v in template["volumes"] if v["name"] in ("data", "tmp")]
        mounts = [{"name": "data", "mountPath": "/data"}, {"name": "tmp", "mountPath": "/tmp"}]
        kept = {
            key: template[key]
            for key in ("securityContext", "tolerations", "imagePullSecrets")
            if key in template
        }
        name = f"probe-{uuid.uuid4().hex[:6]}"
        spec = {
            **kept,
            "nodeName": node,
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "probe",
                    "image": container["image"],
                    "command": [*container["command"][:1], "-c", script],
                    "securityContext": container["securityContext"],
                    "volumeMounts": mounts,
                }
            ],
            "volumes": volumes,
        }
        self.api.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
        ended = lambda: self.api.get(PODS, name)["status"].get("phase") in ("Succeeded", "Failed")  # noqa: E731
        try:
            self.until(ended, f"the end of {name}", seconds)
            return "\n".join(self.api.logs(name))
        finally:
            self.api.delete(PODS, name, grace_seconds=0)


def _is_ready(one: Json) -> bool:
    conditions = one.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _waits(pod: Json) -> str:
    """Return what the containers of a pod wait for, as the kubelet says it."""
    statuses = pod["status"].get("containerStatuses") or ()
    waiting = [(c.get("state") or {}).get("waiting") or {} for c in statuses]
    return "; ".join(f"{one['reason']} {one.get('message', '')}" for one in waiting if "reason" in one)
