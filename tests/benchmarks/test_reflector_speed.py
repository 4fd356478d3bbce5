"""Why a reflector of our own: against the official SharedInformer, on the same server, in one run.

Threshold: twice as fast to the first full copy of 1,000 Jobs. Measured on two cores against kube-apiserver 1.36.2
and against the fake; see docs/decisions/003-own-reflector.md for the figures.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from coref_k8s.cluster.api import ClusterApi
from coref_k8s.cluster.reflector import Reflector
from coref_k8s.cluster.resources import JOBS
from tests.kube.cluster import KubeCluster, wait_for
from tests.kube.test_contract_objects import job

COUNT = 1000
AT_LEAST = 2.0


def _best(measure: Callable[[], float]) -> float:
    return min(measure() for _ in range(3))


@pytest.mark.cluster
def test_first_copy_is_faster_than_the_official_informer(
    kube: KubeCluster, api: ClusterApi, namespace: str, record_property: Callable[[str, object], None]
) -> None:
    from kubernetes import client
    from kubernetes.informer import SharedInformer

    for i in range(COUNT):
        api.create(JOBS, job(f"j{i}"))

    def ours() -> float:
        begun = time.perf_counter()
        reflector = Reflector(api, JOBS).start()
        assert reflector.wait_synced(60)
        took = time.perf_counter() - begun
        assert len(reflector.objects()) == COUNT
        reflector.stop()
        return took

    def official() -> float:
        batch = client.BatchV1Api(api.official)
        begun = time.perf_counter()
        informer = SharedInformer(batch.list_namespaced_job, namespace=namespace)
        informer.start()
        wait_for(lambda: len(informer.cache.list()) == COUNT, "the informer", 60)
        took = time.perf_counter() - begun
        informer.stop()
        return took

    mine, theirs = _best(ours), _best(official)
    record_property("seconds", {"reflector": mine, "SharedInformer": theirs})
    print(f"{COUNT} Jobs: reflector {mine:.2f} s, SharedInformer {theirs:.2f} s, {theirs / mine:.1f} times")
    assert theirs / mine > AT_LEAST
