"""Faults on the control plane of KUBECONFIG, and after how long `kubectl get` and `describe` tell their cause.

    KUBECONFIG=… python -m tests.benchmarks.cluster_faults

Pods are those of the stand-in kubelet and pretend to run; the database is a real Postgres. Everything happens in a
namespace `faults-…` that is removed; the CorefStudy definition stays.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from coref_k8s.cluster.resources import LEASES, STUDIES, Resource
from coref_k8s.cluster.settings import ClusterSettings
from coref_k8s.errors import ClusterError
from coref_k8s.study.names import Kind
from tests.cluster.conftest import storage_secret
from tests.cluster.simulation import Trials
from tests.cluster.test_whole import Controller
from tests.cluster.world import JOBS_HERE, World, install_crd
from tests.kube.cluster import KubeCluster
from tests.kube.kubelet import Kubelet
from tests.postgres import Server, running_server

QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
HOOKS = Resource(
    "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration",
    False,
)  # fmt: skip
#: Longest time that is waited for anything (seconds).
PATIENCE = 180.0


class Look:
    """Reads as an administrator does: with kubectl only."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def row(self, study: str) -> str:
        return " ".join(self._kubectl("get", "cstudy", study, "-o", "wide", "--no-headers").split())

    def after(self, what: str, words: str, study: str, began: float, *, gone: bool = False) -> None:
        """Print how long it took until the words were told, or (`gone`) are not in the row any more."""
        while time.monotonic() - began < PATIENCE:
            told = self.row(study)
            if not gone:
                told += " ".join(self._kubectl("describe", "cstudy", study).split())
            if (words in told) != gone:
                print(f"{what}: {time.monotonic() - began:.1f} s; {self.row(study)[:200]}", flush=True)
                return
            time.sleep(0.5)
        print(f"{what}: not within {PATIENCE:g} s; {self.row(study)[:200]}", flush=True)

    def _kubectl(self, *arguments: str) -> str:
        command = ["kubectl", "-n", self._namespace, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@contextmanager
def worlds(folder: Path, server: Server) -> Iterator[World]:
    """Yield a namespace with a database, one node and a controller that leads."""
    kube = KubeCluster(Path(os.environ["KUBECONFIG"]), None)
    namespace = kube.make_namespace("faults")
    api = kube.connect(namespace=namespace, field_manager="test")
    url = server.new_database()
    trials = Trials(url, namespace)
    trials.behave = lambda order, start: (
        (600.0 if order.study == "wide" else 30.0, 0, True)
        if order.kind is Kind.TRIAL and order.study in ("slow", "wide")
        else (0.3, 0, True)
    )
    try:
        install_crd(kube.admin)
        storage_secret(api, JOBS_HERE, url)
        with Kubelet(kube.admin, folder / "kubelet", simulate=trials, real=True) as kubelet:
            kubelet.add_node("plain")
            world = World(kube, api, kubelet, trials, url, patience=PATIENCE)
            controller = world.controller(status_seconds=2.0)
            world.until(controller.lease.may_write, "a leader")
            yield world
            for one in world.controllers:
                one.stop()
    finally:
        kube.remove_namespace(namespace)


def hook(namespace: str) -> dict[str, Any]:
    """Return a webhook for Jobs at which nobody answers."""
    rules = [{"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}]
    webhook = {
        "name": "down.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/x"},
        "rules": rules,
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 3,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
    }
    kind = {"apiVersion": f"{HOOKS.group}/v1", "kind": HOOKS.kind}
    return {**kind, "metadata": {"name": f"down-{namespace}"}, "webhooks": [webhook]}


def waiting(world: World) -> int:
    """Return how many studies say that they wait for a node."""
    found, _ = world.api.list(STUDIES)
    return sum("node" in (one.get("status") or {}).get("message", "") for one in found)


def restart(world: World, folder: Path) -> None:
    """Kill a controller's process and start it again, as a kubelet does with a container of the only replica."""
    os.environ["COREF_POD"] = "controller-0"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the image has what it imports compiled

    def leads() -> bool:
        holder = world.api.get(LEASES, ClusterSettings().lease)["spec"].get("holderIdentity") or ""
        return holder.startswith(f"pod/controller-0_{controller.process.pid}_")

    for number, what in enumerate(("begun", "begun again after SIGKILL", "and again")):
        began = time.monotonic()
        with Controller(world, folder, number, lease_seconds=ClusterSettings().lease_seconds) as controller:
            world.until(leads, "it to lead")
            leading = time.monotonic() - began
            world.submit(f"after-{number}", spec={"model": "my model"})
            world.until(lambda n=number: world.status(f"after-{n}").get("phase"), "a status from it")
            print(
                f"a controller, {what}: leads after {leading:.1f} s, a new study has its status after "
                f"{time.monotonic() - began:.1f} s",
                flush=True,
            )


def main() -> None:
    """Bring the faults about, one after the other."""
    with TemporaryDirectory() as folder, running_server() as server, worlds(Path(folder), server) as world:
        api, look = world.api, Look(world.api.namespace)

        world.submit("slow", spec={"trials": 4})
        world.running("slow-64-0-1")
        began = time.monotonic()
        server.stop()
        look.after("the database stopped in a round", "did not answer", "slow", began)
        time.sleep(15)
        server.start()
        look.after("the database back", "did not answer", "slow", time.monotonic(), gone=True)

        began = time.monotonic()
        world.submit("nowhere", spec={"pod": {"gpus": 0, "nodeSelector": {"disk": "golden"}}})
        look.after("no node", "nodes are available", "nowhere", began)

        none = {"apiVersion": "v1", "kind": QUOTAS.kind, "metadata": {"name": "none"}}
        api.create(QUOTAS, {**none, "spec": {"hard": {"pods": "0"}}})
        time.sleep(3)  # until the API server knows of it
        began = time.monotonic()
        world.submit("quota", spec={"trials": 1})
        look.after("a quota on pods", "exceeded quota", "quota", began)
        api.delete(QUOTAS, "none")
        look.after("the quota gone", "exceeded quota", "quota", time.monotonic(), gone=True)

        body = hook(api.namespace)
        api.create(HOOKS, body)
        try:
            time.sleep(2)
            began = time.monotonic()
            world.submit("hook", spec={"trials": 1})
            look.after("a webhook that is down", "failed calling webhook", "hook", began)
        finally:
            api.delete(HOOKS, body["metadata"]["name"])
        look.after("the webhook gone", "failed calling webhook", "hook", time.monotonic(), gone=True)

        for study, spec in {
            "blank": {"model": "my model"},
            "long": {"model": "m" * 1024},
            "endless": {"limits": {"pendingDeadline": 1e300}},
        }.items():
            began = time.monotonic()
            try:
                world.submit(study, spec={"trials": 1, **spec})
            except ClusterError as error:
                print(f"{study}: refused: {error}", flush=True)
            else:
                look.after(study, f"model '{spec['model'][:9]}", study, began)

        noise = {f"corefk8s.dev/{name}": "x" * 5000 for name in ("cancel", "resume", "version", "purge")}
        began = time.monotonic()
        world.submit("noise", spec={"trials": 1}, annotations=noise)
        look.after("annotations of 5,000 characters, the study", "1/1", "noise", began)

        world.submit("wide", spec={"trials": 20000, "parallelism": 20000})
        world.running("wide-64-0-1")
        began = time.monotonic()
        world.annotate("wide", cancel="true")
        look.after("cancel of 20,000 at once", "Cancelled", "wide", began)

        began = time.monotonic()
        for number in range(300):
            world.submit(f"many-{number}", spec={"pod": {"gpus": 0, "nodeSelector": {"disk": "golden"}}})
        world.until(lambda: waiting(world) >= 300, "300 studies to say why they wait")
        print(
            f"300 studies at once: {time.monotonic() - began:.1f} s until all say why they wait", flush=True
        )

        old = world.controllers.pop()
        old.stop()
        restart(world, Path(folder))
        for le in ("5.0", "+Inf"):
            rounds = old.metrics.registry.get_sample_value(
                "coref_controller_reconcile_seconds_bucket", {"le": le}
            )
            print(f"rounds of at most {le} s: {rounds:g}", flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
