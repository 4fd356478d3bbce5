"""Pods without processes, for clusters larger than a machine: same API, same Job controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coref_k8s.cluster.resources import JOBS, PODS
from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster, wait_for
from tests.kube.kubelet import Kubelet
from tests.kube.test_contract_jobs import conditions, python

Json = dict[str, Any]


def test_many_jobs_at_once_each_run_once(fake_only: KubeCluster, api: AdminApi, tmp_path: Path) -> None:
    fails = {"j7", "j23"}

    def simulate(pod: Json) -> tuple[float, int]:
        return 0.3, 1 if pod["metadata"]["labels"]["job-name"] in fails else 0

    with Kubelet(fake_only.admin, tmp_path, simulate=simulate) as kubelet:
        kubelet.add_node("big", pods=20)
        for i in range(60):
            api.create(JOBS, python("unused", name=f"j{i}"))

        def ends() -> dict[str, str] | None:
            jobs = {j["metadata"]["name"]: conditions(j) for j in api.list(JOBS)[0]}
            return {n: c[-1][0] for n, c in jobs.items()} if all(map(_over, jobs.values())) else None

        ended = wait_for(ends, "all Jobs")
        ran = len(api.list(PODS)[0])
    assert {name for name, end in ended.items() if end == "Failed"} == fails
    assert ran == 60


def _over(found: list[tuple[str, str, str]]) -> bool:
    return bool(found) and found[-1][0] in ("Complete", "Failed")
