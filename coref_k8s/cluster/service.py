"""The controller on a cluster: reflectors, lease, queue, workers, web server, and their start and end."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from prometheus_client import generate_latest

from coref_k8s import __version__
from coref_k8s.cluster import names
from coref_k8s.cluster.api import ClusterApi
from coref_k8s.cluster.cache import JobCache
from coref_k8s.cluster.database import Database
from coref_k8s.cluster.lease import Lease
from coref_k8s.cluster.publish import Publisher
from coref_k8s.cluster.reconcile import StudyReconciler
from coref_k8s.cluster.reflector import Reflector
from coref_k8s.cluster.resources import STUDIES
from coref_k8s.cluster.runner import ClusterRunner
from coref_k8s.cluster.settings import ClusterSettings
from coref_k8s.controller.web import Answer, WebServer
from coref_k8s.controller.workqueue import Key, KeyQueue, work
from coref_k8s.errors import CorefError, NotFoundError, StorageError
from coref_k8s.telemetry.bus import Bus, utc_now
from coref_k8s.telemetry.metrics import ControllerMetrics
from coref_k8s.wording import say

log = logging.getLogger(__name__)

#: Threads that look at studies; a slow one holds up no other.
WORKERS = 4
#: What changes at nearly the same time is looked at together (seconds).
TOGETHER = 0.02
#: Time without a word from the API server after which liveness fails (seconds); bookmarks come every minute.
SILENT = 300.0


class ControllerService:
    """One controller. `start`, then `stop`; `run` does both around an event."""

    def __init__(
        self,
        api: ClusterApi,
        settings: ClusterSettings,
        storage_url: str,
        *,
        all_namespaces: bool = False,
        bus: Bus | None = None,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        workers: int = WORKERS,
        resync: float | None = None,
        holder: str | None = None,
        **reflecting: Any,
    ) -> None:
        self.api, self.settings = api, settings
        self.metrics = ControllerMetrics()
        api.on_request = self.metrics.request
        self.database = Database(storage_url, on_ask=self.metrics.ask_seconds.observe)
        self.queue = KeyQueue()
        self.lease = Lease(
            api, settings.lease, seconds=settings.lease_seconds, holder=holder, on_change=self._leading
        )
        self.studies = Reflector(
            api,
            STUDIES,
            all_namespaces=all_namespaces,
            on_change=self._study_changed,
            transform=lambda study: (
                study
            ),  # with `managedFields`, which tell what a definition has taken from it
            **reflecting,
        )
        self.cache = JobCache(api, all_namespaces=all_namespaces, on_change=self._job_changed, **reflecting)
        self._runners: dict[str, ClusterRunner] = {}
        self._clock = clock
        self._namespace = None if all_namespaces else api.namespace
        service = settings.service
        self.reconciler = StudyReconciler(
            api,
            self.database,
            self.studies,
            runner=self._runner,
            publisher=Publisher(
                api, least_seconds=settings.status_seconds, guard=self.lease.guard, clock=clock
            ),
            may_write=self.lease.may_write,
            bus=bus or Bus(None, stdout=True),
            metrics=self.metrics,
            results=f"{api.namespace}/{service}" if service else None,
            clock=clock,
            monotonic=monotonic,
            resync=settings.resync_seconds if resync is None else resync,
        )
        self.web = WebServer(
            settings.port,
            {
                "/healthz": self._healthz,
                "/readyz": self._readyz,
                "/metrics": self._metrics_page,
                "/api/v1/studies/": self._study_page,
                "/api/v1/health": self._health_page,
                "/api/v1/calibrations": self._calibrations_page,
            },
        )
        self._workers = [
            threading.Thread(target=self._work, name=f"worker-{n}", daemon=True) for n in range(workers)
        ]
        self._stopping = False
        self._scraped: float | None = None

    # -- life --------------------------------------------------------------------------------------------

    def start(self) -> ControllerService:
        """Start everything; returns at once. A cluster or database that is away is waited for."""
        self.web.start()
        for reflector in self._reflectors:
            reflector.start()
        self.lease.start()
        for worker in self._workers:
            worker.start()
        return self

    def stop(self) -> None:
        """End what is under way, give the lease back, close everything."""
        self._stopping = True
        self.queue.close()
        for worker in self._workers:
            worker.join(30)
        # only now: while a worker writes, nobody else may
        self.lease.stop()
        for reflector in self._reflectors:
            reflector.stop()
        self.web.stop()
        self.database.close()

    def run(self, end: threading.Event) -> None:
        """Run until `end` is set."""
        self.start()
        log.info(
            "controller of %s started, web on port %d", self._namespace or "all namespaces", self.web.port
        )
        end.wait()
        log.info("controller ends")
        self.stop()

    @property
    def _reflectors(self) -> tuple[Reflector, ...]:
        return self.studies, self.cache.jobs, self.cache.pods

    # -- what sets it to work ----------------------------------------------------------------------------

    def _study_changed(self, key: tuple[str, str]) -> None:
        self.queue.add(Key(*key))

    def _job_changed(self, namespace: str, study: str) -> None:
        self.queue.add(Key(namespace, study), TOGETHER)

    def _leading(self, leading: bool) -> None:
        self.metrics.leading.set(leading)
        self.reconciler.forget_all()
        if leading:
            threading.Thread(target=self._look_at_everything, name="takeover", daemon=True).start()

    def _look_at_everything(self) -> None:
        """Look at every study that the cluster or the database has: resources were deleted while nobody looked."""
        for reflector in self._reflectors:
            reflector.wait_synced()
        for resource in self.studies.objects():
            metadata = resource["metadata"]
            self.queue.add(Key(metadata["namespace"], metadata["name"]))
        try:
            records = self.database.store().list_studies(self._namespace)
        except CorefError as error:
            self._count(error)
            log.warning("%s", error)
            return
        for record in records:
            # studies without a namespace belong to a machine, not to a cluster
            if record.namespace and not record.ended:
                self.queue.add(Key(record.namespace, record.name))

    def _work(self) -> None:
        for reflector in self._reflectors:
            while not reflector.wait_synced(1.0):
                if self._stopping:
                    return
        work(self.queue, self.reconciler, self._failed)

    def _failed(self, key: Key, error: Exception) -> None:
        self.metrics.errors.labels(type(error).__name__).inc()
        self._count(error)
        told = {"study": key.name, "namespace": key.namespace}
        if isinstance(error, CorefError):
            log.warning("study %s: %s", key.name, error, extra=told)
        else:
            log.error("study %s: %s", key.name, error, exc_info=error, extra=told)

    def _count(self, error: Exception) -> None:
        if isinstance(error, StorageError):
            self.metrics.database_errors.inc()

    def _runner(self, namespace: str) -> ClusterRunner:
        if namespace not in self._runners:

            def owner_of(study: str) -> str:
                resource = self.studies.get((namespace, study))
                if resource is None:
                    # a Job without an owner would run on for nobody
                    raise NotFoundError("cluster.study-deleted", study=study)
                return str(resource["metadata"]["uid"])

            self._runners[namespace] = ClusterRunner(
                self.api,
                self.cache,
                self.settings.jobs,
                namespace=namespace,
                owner_of=owner_of,
                guard=self.lease.guard,
                now=self._clock,
            )
        return self._runners[namespace]

    # -- pages -------------------------------------------------------------------------------------------

    def _healthz(self, _: str) -> Answer:
        silent = [r.resource.plural for r in self._reflectors if r.last_event_age_seconds() > SILENT]
        dead = [worker.name for worker in self._workers if not worker.is_alive()]
        if silent or dead:
            return Answer(f"{say('cluster.page-unhealthy', silent=silent, dead=dead)}\n", code=503)
        return Answer("ok\n")

    def _readyz(self, _: str) -> Answer:
        waiting = [f"{r.resource.plural} ({r.trouble})" for r in self._reflectors if not r.wait_synced(0)]
        if waiting:
            return Answer(f"{say('cluster.page-waiting', what=waiting)}\n", code=503)
        return Answer("ok\n")

    def _health_page(self, _: str) -> Answer:
        """What `coref-k8s doctor` asks: only the controller can know it."""
        try:
            self.database.store().list_studies("")
            database: Any = ""
        except CorefError as error:
            database = error.message.dump()
        scraped = None if self._scraped is None else time.monotonic() - self._scraped
        found = {
            "version": __version__,
            "leader": self.lease.leader,
            "database": database,
            "scrapedSecondsAgo": scraped,
            "dataClaim": self.settings.jobs.data_claim,
            "objectStore": store.uri if (store := self.settings.jobs.object_store) else None,
            "gpuMemoryLabel": self.settings.jobs.gpu_memory_label,
            # names of Secrets at most: `calibrate --on cluster` makes pods as this controller does
            "jobs": self.settings.jobs.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        }
        return Answer(json.dumps(found), "application/json")

    def _calibrations_page(self, _: str) -> Answer:
        """What was measured of this cluster's cards."""
        known = self.database.store().calibrations()
        return Answer(json.dumps([json.loads(one.to_json()) for one in known]), "application/json")

    def _metrics_page(self, _: str) -> Answer:
        self._scraped = time.monotonic()
        self.metrics.queue.set(len(self.queue))
        for reflector in self._reflectors:
            self.metrics.reflector_age.labels(reflector.resource.plural).set(
                reflector.last_event_age_seconds()
            )
        body = generate_latest(self.metrics.registry)
        return Answer(body, "text/plain; version=0.0.4; charset=utf-8")

    def _study_page(self, rest: str) -> Answer:
        address, _, asked = rest.partition("?")
        namespace, _, name = address.partition("/")
        try:
            view = self.database.view(namespace, name)
        except StorageError as error:
            self._count(error)
            raise
        # from the cache that every controller has, leading or not
        runner = self._runner(namespace)
        view = view.with_jobs(runner.list(name), runner.capacity())
        # whoever does not ask for codes is older than they are
        return Answer(view.to_json(words=asked != names.WITH_CODES), "application/json")
