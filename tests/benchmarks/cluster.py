"""What the controller costs, on the fake cluster: requests, latency, memory, with the targets.

    python -m tests.benchmarks.cluster [--quick] [--output json] [--only requests|latency|scale]

requests  API requests of the controller over a trial's life, lease and watches apart (target: at most 2.5)
latency   when 1,000 Jobs live that are asked for at once; then Job finished to successor created, median (target:
          at most 250 ms)
scale     5,000 trials, 500 at a time, to the end: the controller's processor time, its requests a trial (at most
          2.5), its peak memory (at most 200 MiB) and its longest round (at most 5 s), no trial missed or run
          twice, no list that grows with finished trials

With each, the controller's rounds: their number, how many took longer than the target, the median, the longest.

The cluster (API server, Job controller, kubelet whose pods only pretend, reporting as trials do), Postgres and
the controller are processes of their own; what is measured of the controller is its own. `--quick` is a tenth.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from coref_k8s.cluster import names
from coref_k8s.cluster.api import ClusterApi
from coref_k8s.cluster.resources import STUDIES
from tests.kube.api import AdminApi
from tests.postgres import running_server

TARGETS = {
    "requests_per_trial": 2.5,
    "latency_ms_median": 250.0,
    "peak_mib": 200.0,
    "longest_round_seconds": 5.0,
}
NAMESPACE = "bench"


# -- the cluster's process -----------------------------------------------------------------------------------


def cluster(pipe: Connection, url: str, kubeconfig: str, hold: bool) -> None:
    """Run the fake cluster; `hold` lets trials run until told otherwise. Answers to `report` and `release N`."""
    from coref_k8s.study.names import Kind
    from coref_k8s.study.order import Order
    from tests.cluster.conftest import storage_secret
    from tests.cluster.simulation import WELL, Behaviour, Trials
    from tests.cluster.world import JOBS_HERE, install_crd
    from tests.kube.cluster import open_cluster
    from tests.kube.kubelet import Kubelet

    os.environ.pop("KUBECONFIG", None)
    folder = Path(kubeconfig).parent
    kube = open_cluster(folder)
    assert kube.fake is not None
    finished: dict[str, float] = {}
    created: list[tuple[str, float]] = []
    live: Counter[str] = Counter()

    def notice(resource_: Any, event: Any) -> None:
        if resource_.plural != "jobs":
            return
        name, now = event.current.obj["metadata"]["name"], time.monotonic()
        live["now"] += {"ADDED": 1, "DELETED": -1}.get(event.type, 0)
        if event.type == "ADDED":
            created.append((name, now))
        conditions = (event.current.obj.get("status") or {}).get("conditions") or ()
        if any(c["type"] == "Complete" for c in conditions):
            finished.setdefault(name, now)

    kube.fake.registry.store.listeners.append(notice)
    install_crd(kube.admin)
    api = kube.connect(namespace=NAMESPACE)
    from tests.kube.objects import NAMESPACES

    api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    storage_secret(api, JOBS_HERE, url)
    trials = Trials(url, NAMESPACE)
    gates: dict[str, threading.Event] = {}

    class Held:
        """Reports when its gate opens, as a trial does at its end."""

        def __call__(self, pod: dict[str, Any]) -> tuple[float, int]:
            return trials(pod)

    def behave(order: Order, start: int) -> Behaviour | None:
        if hold and order.kind is Kind.TRIAL:
            gates[order.name] = threading.Event()
            return 3600.0, 0, False
        return WELL

    trials.behave = behave
    with Kubelet(kube.admin, folder / "kubelet", simulate=Held()) as kubelet:
        kubelet.add_node("plain", cpu="100000", memory="10000Ti", disk="10000Ti", pods=100_000)
        pipe.send("ready")
        while (word := pipe.recv()) != "end":
            if word == "report":
                runs = Counter(order.name for order in trials.orders)
                pipe.send(
                    {
                        "finished": dict(finished),
                        "created": list(created),
                        "runs_twice": sum(n > 1 for n in runs.values()),
                        "runs": len(runs),
                        "requests": Counter(_kind(*r) for r in kube.fake.requests),
                    }
                )
            else:  # release one trial: it reports its result, and its pod ends
                order = next(o for o in trials.orders if o.name == word)
                trials._report(order)
                for worker in list(kubelet._workers.values()):
                    if worker.pod["metadata"]["labels"].get("batch.kubernetes.io/job-name") == word:
                        for container in worker.containers:
                            container.finish()
    kube.fake.close()


def _kind(method: str, path: str) -> str:
    parts = path.split("/")
    return f"{method} {parts[-1] if parts[-1] in ('jobs', 'pods', 'corefstudies') else 'one'}"


# -- the controller's process --------------------------------------------------------------------------------


def controller(pipe: Connection, url: str, kubeconfig: str) -> None:
    """Run a controller until told to end, then say what it used."""
    from coref_k8s.cluster.service import ControllerService
    from coref_k8s.cluster.settings import ClusterSettings
    from coref_k8s.telemetry.bus import Bus
    from tests.cluster.world import JOBS_HERE

    # an ended Job is removed at once here, so that the fake's memory does not limit the scale
    jobs = JOBS_HERE.model_copy(update={"keep_seconds": 0})
    api = ClusterApi.connect(kubeconfig=kubeconfig, namespace=NAMESPACE, field_manager=names.FIELD_MANAGER)
    settings = ClusterSettings(port=0, jobs=jobs)
    service = ControllerService(api, settings, url, bus=Bus(None), resync=5.0)
    rounds: list[float] = []
    # the histogram has no longest one
    service.metrics.reconcile_seconds.observe = rounds.append  # type: ignore[method-assign]
    service.start()
    pipe.send("ready")
    pipe.recv()
    used = resource.getrusage(resource.RUSAGE_SELF)
    samples = [s for m in service.metrics.requests.collect() for s in m.samples if s.name.endswith("_total")]
    requests: Counter[str] = Counter()
    for sample in samples:
        requests[f"{sample.labels['verb']} {sample.labels['resource']}"] += int(sample.value)
    lists = {r.resource.plural: r.lists for r in service._reflectors}
    service.stop()
    pipe.send(
        {
            "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
            "peak_mib": round(used.ru_maxrss / 1024, 1),
            "requests": dict(requests),
            "lists": lists,
            "rounds": rounds,
        }
    )


class Bench:
    """One run: Postgres, cluster and controller."""

    def __init__(self, url: str, folder: Path, *, hold: bool = False) -> None:
        context = multiprocessing.get_context("spawn")
        self.kubeconfig = str(folder / "kubeconfig")
        self.cluster, theirs = context.Pipe()
        self.processes = [
            context.Process(target=cluster, args=(theirs, url, self.kubeconfig, hold), daemon=True)
        ]
        self.processes[0].start()
        assert self.cluster.recv() == "ready"
        self.controller, theirs = context.Pipe()
        self.processes.append(
            context.Process(target=controller, args=(theirs, url, self.kubeconfig), daemon=True)
        )
        self.processes[1].start()
        assert self.controller.recv() == "ready"
        self.api = AdminApi.connect(kubeconfig=self.kubeconfig, namespace=NAMESPACE)

    def submit(self, trials: int, parallelism: int) -> None:
        """Create the study."""
        spec = {
            "seqLengths": [64],
            "anyLength": True,
            "trials": trials,
            "parallelism": parallelism,
            "pod": {"gpus": 0},
            "search": {"sampler": "random", "pruner": "none"},
        }
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": "bench"},
            "spec": spec,
        }
        self.api.create(STUDIES, body)

    def until(self, look: Any, what: str, seconds: float) -> None:
        """Wait for something in the status."""
        end = time.monotonic() + seconds
        while not look(self.api.get(STUDIES, "bench").get("status") or {}):
            if time.monotonic() > end:
                raise TimeoutError(
                    f"waited {seconds:g} s for {what}: {self.api.get(STUDIES, 'bench').get('status')}"
                )
            time.sleep(0.5)

    def report(self) -> dict[str, Any]:
        """Return what the cluster saw."""
        self.cluster.send("report")
        found: dict[str, Any] = self.cluster.recv()
        return found

    def end(self) -> dict[str, Any]:
        """End both processes; return what the controller used."""
        self.controller.send("end")
        used: dict[str, Any] = self.controller.recv()
        self.cluster.send("end")
        for process in self.processes:
            process.join(30)
            process.kill()
        return used


def measure_requests(url: str, folder: Path, quick: bool) -> dict[str, Any]:
    """Requests a trial costs, from a study with few trials at once: nothing can share a request."""
    trials = 20 if quick else 60
    bench = Bench(url, folder)
    bench.submit(trials, 2)
    bench.until(lambda s: s.get("phase") == "Succeeded", "the end", 300)
    used = bench.end()
    return {"trials": trials, **requests_of(used, trials), **rounds_of(used)}


def requests_of(used: dict[str, Any], trials: int) -> dict[str, Any]:
    """Return the controller's requests, those apart that it makes without any trial."""
    counted = {
        k: n
        for k, n in used["requests"].items()
        if k.split()[0] not in ("watch", "list") and "leases" not in k
    }
    return {"requests": counted, "requests_per_trial": round(sum(counted.values()) / trials, 2)}


def rounds_of(used: dict[str, Any]) -> dict[str, Any]:
    """Return how long the controller's rounds were."""
    rounds, most = used["rounds"], TARGETS["longest_round_seconds"]
    return {
        "rounds": len(rounds),
        "rounds_too_long": sum(seconds > most for seconds in rounds),
        "round_seconds_median": round(statistics.median(rounds), 2),
        "longest_round_seconds": round(max(rounds), 2),
    }


def measure_latency(url: str, folder: Path, quick: bool) -> dict[str, Any]:
    """Successor latency: trials are let go one at a time while the others live on."""
    live, samples = (100, 10) if quick else (1000, 40)
    bench = Bench(url, folder, hold=True)
    bench.submit(live + samples + 10, live)
    began = time.monotonic()
    bench.until(lambda s: (s.get("trials") or {}).get("running") == live, f"{live} live Jobs", 600)
    all_live = time.monotonic() - began
    found: list[float] = []
    for number in range(samples):
        name = f"bench-64-{number}-1"
        before = {created for created, _ in bench.report()["created"]}
        bench.cluster.send(name)
        while True:
            time.sleep(0.3)
            report = bench.report()
            successors = [at for created, at in report["created"] if created not in before]
            if name in report["finished"] and successors:
                found.append((min(successors) - report["finished"][name]) * 1000)
                break
    used = bench.end()
    ordered = sorted(found)
    return {
        "live_jobs": live,
        "live_after_seconds": round(all_live, 1),
        "samples": samples,
        "latency_ms_median": round(statistics.median(found), 1),
        "latency_ms_90": round(ordered[int(0.9 * len(ordered))], 1),
        "latency_ms_most": round(ordered[-1], 1),
        "controller_mib": used["peak_mib"],
        **rounds_of(used),
    }


def measure_scale(url: str, folder: Path, quick: bool) -> dict[str, Any]:
    """A large study to its end."""
    trials, parallelism = (500, 50) if quick else (5000, 500)
    bench = Bench(url, folder)
    began = time.monotonic()
    bench.submit(trials, parallelism)
    bench.until(lambda s: s.get("phase") == "Succeeded", "the end", 3600)
    seconds = time.monotonic() - began
    report = bench.report()
    used = bench.end()
    return {
        "trials": trials,
        "parallelism": parallelism,
        "seconds": round(seconds, 1),
        "peak_mib": used["peak_mib"],
        "cpu_seconds": used["cpu_seconds"],
        "cpu_ms_per_trial": round(used["cpu_seconds"] / trials * 1000, 1),
        "missed": trials + 1 - report["runs"],
        "run_twice": report["runs_twice"],
        "lists": used["lists"],
        **requests_of(used, trials),
        **rounds_of(used),
    }


MEASURES = {"requests": measure_requests, "latency": measure_latency, "scale": measure_scale}


def main() -> int:
    """Measure and compare with the targets; 1 when one is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=MEASURES)
    parser.add_argument("--output", choices=["text", "json"], default="text")
    options = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    with running_server() as server:
        for name in [options.only] if options.only else MEASURES:
            with tempfile.TemporaryDirectory() as folder:
                results[name] = MEASURES[name](server.new_database(), Path(folder), options.quick)
    missed = [
        f"{key} is {found[key]}, the target is {target}"
        for found in results.values()
        for key, target in TARGETS.items()
        if key in found and found[key] > target
    ]
    scale = results.get("scale", {})
    missed += [f"{scale[key]} trials {key}" for key in ("missed", "run_twice") if scale.get(key)]
    if options.output == "json":
        print(
            json.dumps(
                {"quick": options.quick, "results": results, "targets": TARGETS, "missed": missed}, indent=2
            )
        )
    else:
        for name, found in results.items():
            print(name, *(f"{key}={value}" for key, value in found.items()), sep="\n  ")
        print(*missed or ["every target is met"], sep="\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
