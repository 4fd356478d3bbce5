"""Why a reflector of our own: against the official SharedInformer, on the same server, in one run.

Threshold: half the processor time up to the first full copy of 1,000 Jobs (time on the clock would measure whatever else
runs on the machine). Figures and the servers they were measured on: docs/decisions/003-own-reflector.md.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from coref_k8s.cluster.reflector import Reflector
from coref_k8s.cluster.resources import JOBS
from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster, wait_for
from tests.kube.test_contract_objects import job
from tests.timing import least

COUNT = 1000
AT_LEAST = 2.0


@pytest.mark.cluster
@pytest.mark.quiet
def test_first_copy_is_faster_than_the_official_informer(
    kube: KubeCluster, api: AdminApi, namespace: str, record_property: Callable[[str, object], None]
) -> None:
    from kubernetes import client
    from kubernetes.informer import SharedInformer

    for i in range(COUNT):
        api.create(JOBS, job(f"j{i}"))

    def ours() -> float:
        begun = time.process_time()
        reflector = Reflector(api, JOBS).start()
        assert reflector.wait_synced(60)
        took = time.process_time() - begun
        assert len(reflector.objects()) == COUNT
        reflector.stop()
        return took

    def official() -> float:
        batch = client.BatchV1Api(api.official)
        begun = time.process_time()
        informer = SharedInformer(batch.list_namespaced_job, namespace=namespace)
        informer.start()
        wait_for(lambda: len(informer.cache.list()) == COUNT, "the informer", 60)
        took = time.process_time() - begun
        # Its stop() waits for the next event of a quiet watch, so it is left to end with the server.
        threading.Thread(target=informer.stop, daemon=True).start()
        return took

    mine, theirs = least(ours, official, until=lambda mine, theirs: theirs / mine > AT_LEAST)
    record_property("seconds", {"reflector": mine, "SharedInformer": theirs})
    print(
        f"{COUNT} Jobs: reflector {mine:.2f} CPU s, SharedInformer {theirs:.2f} CPU s, {theirs / mine:.1f} times"
    )
    assert theirs / mine > AT_LEAST
