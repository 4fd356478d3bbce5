"""The stand-in kubelet and scheduler: an API client that runs pods as processes of this machine.

It speaks only the API, so it serves the fake and a real API server without nodes alike. It registers nodes, binds pods
to them, runs their containers, reports status as a kubelet does, and ends them: SIGTERM, grace period, SIGKILL, then the
forced delete. Not done: probes, networking, cgroups (a memory limit is enforced only by `oom_kill`), preemption.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from coref_k8s.cluster import errors
from coref_k8s.cluster.reflector import Reflector
from coref_k8s.cluster.resources import EVENTS, LEASES, NODES, PODS
from coref_k8s.errors import ClusterError
from tests.kube import podstatus, scheduler
from tests.kube.api import AdminApi
from tests.kube.cluster import wait_for
from tests.kube.containers import Container, Simulated
from tests.kube.delayqueue import DelayQueue
from tests.kube.mounts import Mounts, NotReadyError, environment
from tests.kube.objects import CONFIG_MAPS, SECRETS
from tests.kube.podlogs import LogServer
from tests.kube.recording import event_about
from tests.kube.store import now

Json = dict[str, Any]
Key = tuple[str, str]
#: Label of nodes that the stand-in made.
STAND_IN = "stand-in"
_NOT_READY = "node.kubernetes.io/not-ready"
#: Ends a container without a process: pod → (seconds it "runs", exit code).
Simulation = Callable[[Json], tuple[float, int]]


class Kubelet:
    """Every fake node of a test cluster, in one object; a context manager.

    programs: first words of a command, or images without one, that mean something else here
    (`{"python": [sys.executable]}`). environ: variables that every process gets. unpullable: images whose pull fails.
    simulate: when given, nothing is run. credentials: pod → variables with which its programs reach the API server.
    """

    def __init__(
        self,
        api: AdminApi,
        root: Path,
        *,
        programs: Mapping[str, list[str]] | None = None,
        environ: Mapping[str, str] | None = None,
        unpullable: Callable[[str], bool] = lambda image: "unpullable" in image,
        simulate: Simulation | None = None,
        credentials: Callable[[Json], Mapping[str, str]] = lambda pod: {},
        real: bool = False,
    ):
        self.api, self.root = api, root
        self.programs, self.environ = programs or {}, environ or {}
        self.unpullable, self.simulate = unpullable, simulate
        self.credentials = credentials
        self._real = real
        self._nodes: dict[str, Json] = {}
        self._cut_off: set[str] = set()
        self.heartbeats: dict[str, float] = {}
        """When each node's Lease was renewed last (`time.monotonic`)."""
        self._workers: dict[str, _PodWorker] = {}  # by pod uid
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._queue: DelayQueue[Key] = DelayQueue()
        self._logs = LogServer(self._find_log, root / "tls" if real else None)
        self._pods = Reflector(api, PODS, all_namespaces=True, on_change=self._queue.add)
        self._threads = [threading.Thread(target=self._schedule, name="stand-in-scheduler", daemon=True)]
        if real:
            self._threads.append(
                threading.Thread(target=self._heartbeat, name="stand-in-heartbeat", daemon=True)
            )

    def __enter__(self) -> Kubelet:
        self._pods.start()
        self._pods.wait_synced(10)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._queue.close()
        self._pods.stop()
        with self._lock:
            workers = list(self._workers.values())
        for worker in workers:
            worker.abandon()
        for worker in workers:
            worker.join(5)
        for thread in self._threads:
            thread.join(5)
        for name in (*self._nodes, *self._cut_off):
            with contextlib.suppress(ClusterError):
                self.api.delete(NODES, name)
        self._logs.close()
        shutil.rmtree(self.root / "pods", ignore_errors=True)

    # Nodes

    def add_node(
        self,
        name: str,
        *,
        labels: Mapping[str, str] | None = None,
        taints: list[Json] | None = None,
        cpu: str = "64",
        memory: str = "512Gi",
        disk: str = "2Ti",
        pods: int = 1000,
        gpus: int = 0,
    ) -> None:
        """Register a Ready node."""
        capacity = {"cpu": cpu, "memory": memory, "ephemeral-storage": disk, "pods": str(pods)}
        if gpus:
            capacity["nvidia.com/gpu"] = str(gpus)
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "stand-in",
            "lastHeartbeatTime": now(),
            "lastTransitionTime": now(),
        }
        meta = {"name": name, "labels": {STAND_IN: "true", "kubernetes.io/hostname": name, **(labels or {})}}
        body: Json = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": meta,
            "spec": {"taints": taints or []},
            "status": {
                "capacity": capacity,
                "allocatable": capacity,
                "conditions": [ready],
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": self._logs.port}},
                "nodeInfo": dict.fromkeys(_NODE_INFO, "") | {"kubeletVersion": "v1.36.2"},
            },
        }
        with contextlib.suppress(errors.NotFound):
            self.api.delete(NODES, name)
        self.api.create(NODES, body)

        def welcome() -> Json | None:
            made = self.api.get(NODES, name)
            taints = made["spec"].get("taints") or ()
            return None if any(taint["key"] == _NOT_READY for taint in taints) else made

        # a real API server registers each with that taint; a real node controller takes it from one that is ready
        self._nodes[name] = wait_for(welcome, f"node {name} to be ready")
        for pod in self._pods.objects():
            self._queue.add(_key(pod))

    def lose_node(self, name: str) -> None:
        """The machine is gone at once: its processes die unreported, and its Node object is removed."""
        del self._nodes[name]
        with self._lock:
            lost = [w for w in self._workers.values() if w.node == name]
        for worker in lost:
            worker.abandon()
        self.api.delete(NODES, name)

    def cut_off(self, name: str) -> None:
        """The node falls silent and its processes go on: nothing is heard or told there any more, and nothing is deleted."""
        del self._nodes[name]
        self._cut_off.add(name)

    def reaches(self, node: str) -> bool:
        """Whether a node of ours hears and tells."""
        return node in self._nodes

    # Accidents

    def oom_kill(self, namespace: str, pod: str, *, only_a_child: bool = False) -> None:
        """The memory limit strikes: exit 137, or, when `only_a_child` died, OOMKilled with the program's own code."""
        worker = self._worker(namespace, pod)
        for container in worker.containers:
            container.oom = True
            if not only_a_child:
                container.kill()

    def finish(self, namespace: str, pod: str) -> None:
        """Let the pretended containers of a pod end now, as they would have later."""
        for container in self._worker(namespace, pod).containers:
            container.finish()

    def containers(self, namespace: str, pod: str) -> list[Any]:
        """A pod's containers: processes, or what pretends to be one."""
        return list(self._worker(namespace, pod).containers)

    def pids(self, namespace: str, pod: str) -> list[int]:
        """Process ids of a pod's containers."""
        return [c.pid for c in self.containers(namespace, pod) if c.pid]

    def claim(self, namespace: str, name: str) -> Path:
        """The directory behind a PersistentVolumeClaim."""
        return self.root / "claims" / namespace / name

    def _worker(self, namespace: str, pod: str) -> _PodWorker:
        with self._lock:
            return next(w for w in self._workers.values() if _key(w.pod) == (namespace, pod))

    # Scheduling

    def _schedule(self) -> None:
        while (key := self._queue.take()) is not None:
            try:
                self._look_at(key)
            except errors.NotFound:
                continue
            except ClusterError:
                self._queue.add(key, 0.5)

    def _look_at(self, key: Key) -> None:
        pod = self._pods.get(key)
        if pod is None:
            with self._lock:
                gone = [w for w in self._workers.values() if _key(w.pod) == key and self.reaches(w.node)]
            for worker in gone:
                worker.stop(0)  # removed by force: nothing is left to report to
            return
        uid, node = pod["metadata"]["uid"], pod["spec"].get("nodeName")
        if not node:
            # devices are given out by a real scheduler only
            others = pod["spec"].get("schedulingGates") or pod["spec"].get("resourceClaims")
            if "deletionTimestamp" not in pod["metadata"] and not others:
                self._bind(pod)
            return
        if not self.reaches(node):
            return
        with self._lock:
            worker = self._workers.get(uid)
            if worker is None and not _ended(pod):
                worker = self._workers[uid] = _PodWorker(self, pod, node)
                worker.start()
        if "deletionTimestamp" in pod["metadata"]:
            if worker is not None:
                worker.stop(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
            else:
                self.delete_for_good(pod)

    def _bind(self, pod: Json) -> None:
        chosen, why = scheduler.place(pod, list(self._nodes.values()), self._used())
        meta = pod["metadata"]
        if chosen is None:
            self._refuse(pod, why)
            self._queue.add(_key(pod), 1.0)
            return
        target = {"apiVersion": "v1", "kind": "Node", "name": chosen}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": meta["name"]}, "target": target}
        where = {"namespace": meta["namespace"], "name": meta["name"], "subresource": "binding"}
        with contextlib.suppress(errors.Conflict):
            self.api.create(PODS, body, strict=False, **where)
        # Reserve until the reflector shows the binding.
        pod["spec"]["nodeName"] = chosen

    def _used(self) -> dict[str, dict[str, float]]:
        used: dict[str, dict[str, float]] = {}
        for pod in self._pods.objects():
            node = pod["spec"].get("nodeName")
            if node and not _ended(pod):
                total = used.setdefault(node, {})
                for name, amount in scheduler.requests(pod).items():
                    total[name] = total.get(name, 0) + amount
        return used

    def _refuse(self, pod: Json, message: str) -> None:
        conditions = pod["status"].get("conditions") or ()
        if any(c["type"] == "PodScheduled" and c.get("message") == message for c in conditions):
            return
        unschedulable = podstatus.condition("PodScheduled", False, "Unschedulable") | {"message": message}
        self.report(pod, {"conditions": [unschedulable]})
        self.event(pod, "FailedScheduling", message, "Warning", "default-scheduler")

    # The API

    def report(self, pod: Json, status: Json) -> None:
        """Strategic merge: conditions of others (DisruptionTarget) stay."""
        meta = pod["metadata"]
        body = {"metadata": {"uid": meta["uid"]}, "status": status}
        with contextlib.suppress(errors.NotFound, errors.Conflict):
            self.api.patch(
                PODS, meta["name"], body, meta["namespace"], kind="strategic", subresource="status"
            )

    def delete_for_good(self, pod: Json) -> None:
        meta = pod["metadata"]
        with contextlib.suppress(errors.NotFound, errors.Conflict):
            self.api.delete(PODS, meta["name"], meta["namespace"], uid=meta["uid"], grace_seconds=0)

    def event(
        self, pod: Json, reason: str, message: str, kind: str = "Normal", source: str = "kubelet"
    ) -> None:
        of = {"apiVersion": "v1", "kind": "Pod"}
        body = event_about(pod, of, reason, message, kind=kind, source=source)
        with contextlib.suppress(ClusterError):
            self.api.create(EVENTS, body, pod["metadata"]["namespace"])

    def fetch(self, namespace: str) -> Callable[[str, str], Json | None]:
        def get(plural: str, name: str) -> Json | None:
            try:
                return self.api.get(SECRETS if plural == "secrets" else CONFIG_MAPS, name, namespace)
            except errors.NotFound:
                return None

        return get

    def latest(self, key: Key) -> Json | None:
        return self._pods.get(key)

    def done(self, uid: str) -> None:
        with self._lock:
            self._workers.pop(uid, None)

    def log_path(self, pod: Json, container: str) -> Path:
        return self.root / "logs" / pod["metadata"]["uid"] / f"{container}.log"

    def _find_log(self, namespace: str, name: str, container: str) -> tuple[Path, Callable[[], bool]] | str:
        pod = self._pods.get((namespace, name))
        if pod is None:
            return f'pod "{name}" not found'
        path, uid = self.log_path(pod, container), pod["metadata"]["uid"]
        if not path.exists():
            statuses = pod["status"].get("containerStatuses") or ()
            waiting = next((s["state"].get("waiting") for s in statuses if s["name"] == container), None)
            reason = (waiting or {}).get("reason", "ContainerCreating")
            return f'container "{container}" in pod "{name}" is waiting to start: {reason}'
        return path, lambda: uid in self._workers

    def _heartbeat(self) -> None:
        """A real node controller marks nodes lost whose Lease is not renewed."""
        while not self._stop.is_set():
            for name in list(self._nodes):
                moment = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
                spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": moment}
                meta = {"name": name, "namespace": "kube-node-lease"}
                with contextlib.suppress(ClusterError):
                    body = {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": meta, "spec": spec}
                    before = time.monotonic()
                    self.api.apply(LEASES, body, force=True)
                    self.heartbeats[name] = before
            self._stop.wait(5)


_NODE_INFO = (
    "machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion", "kubeletVersion",
    "kubeProxyVersion", "operatingSystem", "architecture",
)  # fmt: skip


class _PodWorker(threading.Thread):
    """One pod's life on its node."""

    def __init__(self, kubelet: Kubelet, pod: Json, node: str):
        super().__init__(name=f"pod-{pod['metadata']['name']}", daemon=True)
        self.pod, self.node = pod, node
        self.containers: list[Any] = []
        self._kubelet = kubelet
        self._stopping, self._abandoned = threading.Event(), False

    def stop(self, grace: float) -> None:
        """SIGTERM now, SIGKILL after `grace` seconds."""
        if not self._stopping.is_set():
            self._stopping.set()
            for container in self.containers:
                container.terminate()
        timer = threading.Timer(grace, self._kill)
        timer.daemon = True
        timer.start()

    def _kill(self) -> None:
        for container in self.containers:
            container.kill()

    def abandon(self) -> None:
        """Kill everything and tell nobody."""
        self._abandoned = True
        self._stopping.set()
        self._kill()

    @property
    def _heard(self) -> bool:
        return not self._abandoned and self._kubelet.reaches(self.node)

    def run(self) -> None:
        mounts: Mounts | None = None
        try:
            mounts = self._prepare()
            if mounts is None:
                self._report(podstatus.never_started(self.pod))
            elif self._run_init(mounts):
                self._run_containers(mounts)
            self._leave()
        finally:
            self._kill()
            if mounts:
                mounts.close()
            self._kubelet.done(self.pod["metadata"]["uid"])

    def _leave(self) -> None:
        pod = self._kubelet.latest(_key(self.pod))
        mine = pod is not None and pod["metadata"]["uid"] == self.pod["metadata"]["uid"]
        if (
            self._heard and mine and (self._stopping.is_set() or "deletionTimestamp" in pod["metadata"])  # type: ignore[index]
        ):
            self._kubelet.delete_for_good(self.pod)

    def _prepare(self) -> Mounts | None:
        """Images and volumes; None when the pod was deleted while it waited for them."""
        kubelet, meta, told = self._kubelet, self.pod["metadata"], ""
        place = kubelet.root / "pods" / meta["uid"]
        while not self._stopping.is_set():
            bad = next(
                (c["image"] for c in self.pod["spec"]["containers"] if kubelet.unpullable(c["image"])), None
            )
            try:
                if bad:
                    reason = "ImagePullBackOff" if told else "ErrImagePull"
                    raise NotReadyError(reason, f'Back-off pulling image "{bad}": not found')
                mounts = Mounts(self.pod, place, kubelet.root / "claims", kubelet.fetch(meta["namespace"]))
                for container in self.pod["spec"]["containers"]:
                    environment(self.pod, container, kubelet.fetch(meta["namespace"]), {})
                return mounts
            except NotReadyError as error:
                if error.reason != told:
                    told = error.reason
                    self._report(podstatus.waiting(self.pod, error.reason, error.message))
                    why = "Failed" if bad else "FailedMount"
                    kubelet.event(self.pod, why, error.message, "Warning")
                self._stopping.wait(0.5)
        return None

    def _start(self, spec: Json, mounts: Mounts) -> Any:
        kubelet = self._kubelet
        if kubelet.simulate:
            return Simulated(self.pod, spec, *kubelet.simulate(self.pod))
        log, fetch = (
            kubelet.log_path(self.pod, spec["name"]),
            kubelet.fetch(self.pod["metadata"]["namespace"]),
        )
        extra = {**kubelet.environ, **kubelet.credentials(self.pod)}
        return Container(self.pod, spec, mounts, fetch, log, kubelet.programs, extra)

    def _run_init(self, mounts: Mounts) -> bool:
        for spec in self.pod["spec"].get("initContainers") or ():
            self.containers = [self._start(spec, mounts)]
            self.containers[0].wait()
            terminated = self.containers[0].terminated()
            if terminated["exitCode"] != 0:
                status = podstatus.never_started(self.pod)
                status["initContainerStatuses"] = [
                    podstatus.container_status(spec, {"terminated": terminated})
                ]
                self._report(status)
                return False
        return True

    def _run_containers(self, mounts: Mounts) -> None:
        specs = {c["name"]: c for c in self.pod["spec"]["containers"]}
        restarts = dict.fromkeys(specs, 0)
        self.containers = [self._start(spec, mounts) for spec in specs.values()]
        if self._stopping.is_set():  # told while we started
            for container in self.containers:
                container.terminate()
        while True:
            states = {c.name: {"running": {"startedAt": c.started_at}} for c in self.containers}
            self._report(podstatus.running(self.pod, states, restarts))
            for container in self.containers:
                container.wait()
            again = [c for c in self.containers if self._restarts(c)]
            if not again:
                break
            self._stopping.wait(0.2)
            for container in again:
                restarts[container.name] += 1
                self.containers.remove(container)
                self.containers.append(self._start(specs[container.name], mounts))
        states = {c.name: {"terminated": c.terminated()} for c in self.containers}
        self._report(podstatus.ended(self.pod, states, restarts))

    def _restarts(self, container: Any) -> bool:
        policy = self.pod["spec"]["restartPolicy"]
        failed = container.terminated()["exitCode"] != 0
        return not self._stopping.is_set() and (policy == "Always" or (policy == "OnFailure" and failed))

    def _report(self, status: Json) -> None:
        if self._heard:
            self._kubelet.report(self.pod, status)


def _key(obj: Json) -> Key:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _ended(pod: Json) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")
