"""Faults on the control plane of KUBECONFIG, and after how long `kubectl get` and `describe` tell their cause.

    KUBECONFIG=… python -m tests.benchmarks.cluster_faults [--only faults|many|restart] [--cgroup FOLDER]

Pods are those of the stand-in kubelet and pretend to run; the database is a real Postgres. Everything happens in a
namespace `faults-…` that is removed; the CorefStudy definition stays. `many` and `restart` have a controller of their
own, a process; `--cgroup` puts that of `restart` where a kubelet would, to start beside what keeps the cores busy.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from coref_k8s.cluster import rbac
from coref_k8s.cluster.errors import NotFound
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
#: After so long each study that waits for a node is Degraded, too, and says nothing new (seconds).
PENDING = 60.0
#: The metric of the controller's requests.
REQUESTS = "coref_controller_api_requests_total{"


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
    """Yield a namespace with a database and one node."""
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
        kube.as_service_account(namespace, "controller", rbac.rules("controller")).close()
        with Kubelet(kube.admin, folder / "kubelet", simulate=trials, real=True) as kubelet:
            kubelet.add_node("plain")
            yield World(kube, api, kubelet, trials, url, patience=PATIENCE)
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


def leads(world: World, controller: Controller) -> bool:
    """Return whether a controller's process holds the lease."""
    try:
        holder = world.api.get(LEASES, ClusterSettings().lease)["spec"].get("holderIdentity") or ""
    except NotFound:
        return False
    return holder.startswith(f"pod/controller-0_{controller.process.pid}_")


def seconds_of_cpu(process: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def requests(controller: Controller) -> float:
    """Return how many API requests a controller has made; watches count when they begin."""
    port = re.search(r"web on port (\d+)", controller.log.read_text())
    assert port is not None
    with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/metrics") as page:
        lines = page.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(REQUESTS))


def many(world: World, folder: Path, count: int = 300) -> None:
    """Create studies at once that all wait for a node: when each has a status, when each says why, what it costs."""
    lease = ClusterSettings().lease_seconds
    with Controller(world, folder, 0, lease_seconds=lease) as controller:
        process = controller.process.pid
        world.until(lambda: leads(world, controller), "it to lead")
        began, spent = time.monotonic(), seconds_of_cpu(process)

        def submit(number: int) -> None:
            world.submit(f"many-{number}", spec={"pod": {"gpus": 0, "nodeSelector": {"disk": "golden"}}})

        def told(what: str, words: str, key: str) -> None:
            def look() -> bool:
                found, _ = world.api.list(STUDIES)
                all_ = [(one.get("status") or {}).get(key, "") for one in found]
                return sum(words in text for text in all_ if text) >= count

            world.until(look, what)
            print(
                f"{count} studies at once: {what} after {time.monotonic() - began:.1f} s, for "
                f"{seconds_of_cpu(process) - spent:.1f} s of the controller's processor time",
                flush=True,
            )

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(submit, range(count)))
        print(f"{count} studies created in {time.monotonic() - began:.1f} s", flush=True)
        told("all have a status", "", "phase")
        told("all say why they wait", "nodes are available", "message")
        print(
            f"requests of the controller until then: {requests(controller) / count:.1f} a study", flush=True
        )
        time.sleep(PENDING)
        asked, spent, pause = requests(controller), seconds_of_cpu(process), 30.0
        time.sleep(pause)
        most = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
        assert most is not None
        print(
            f"afterwards: {(requests(controller) - asked) / pause:.1f} requests a second, "
            f"{(seconds_of_cpu(process) - spent) / pause:.2f} cores; {int(most[1]) / 1024:.0f} MiB at most",
            flush=True,
        )


def restart(world: World, folder: Path, cgroup: Path | None) -> None:
    """Kill a controller's process and start it again, as a kubelet does with a container of the only replica."""
    for number, what in enumerate(("begun", "begun again after SIGKILL", "and again", "and again")):
        began = time.monotonic()
        with Controller(world, folder, number, lease_seconds=ClusterSettings().lease_seconds) as controller:
            process = controller.process.pid
            if cgroup is not None:
                (cgroup / "cgroup.procs").write_text(str(process))
            world.until(lambda one=controller: leads(world, one), "it to lead")
            leading = time.monotonic() - began
            world.submit(f"after-{number}", spec={"model": "my model"})
            world.until(lambda n=number: world.status(f"after-{n}").get("phase"), "a status from it")
            print(
                f"a controller, {what}: leads after {leading:.1f} s, a new study has its status after "
                f"{time.monotonic() - began:.1f} s ({seconds_of_cpu(process):.1f} s of processor time)",
                flush=True,
            )


def faults(world: World, server: Server) -> None:
    """Bring the faults about, one after the other."""
    api, look = world.api, Look(world.api.namespace)
    controller = world.controller(status_seconds=2.0)
    world.until(controller.lease.may_write, "a leader")

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

    controller.stop()
    for le in ("5.0", "+Inf"):
        rounds = controller.metrics.registry.get_sample_value(
            "coref_controller_reconcile_seconds_bucket", {"le": le}
        )
        print(f"rounds of at most {le} s: {rounds:g}", flush=True)


def main() -> None:
    """Do all three, or one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["faults", "many", "restart"])
    parser.add_argument("--cgroup", type=Path)
    options = parser.parse_args()
    os.environ["COREF_POD"] = "controller-0"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the image has what it imports compiled
    with TemporaryDirectory() as name, running_server() as server, worlds(Path(name), server) as world:
        if options.only in (None, "faults"):
            faults(world, server)
        if options.only in (None, "many"):
            many(world, Path(name))
        if options.only in (None, "restart"):
            restart(world, Path(name), options.cgroup)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
