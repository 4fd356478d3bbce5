"""`helm test`'s program against an API server: it creates a valid study, waits, cleans up, and tells what failed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coref_k8s.cluster.resources import STUDIES
from coref_k8s.cluster.smoke import smoke
from coref_k8s.errors import ClusterError, RequestError
from tests.cluster.world import install_crd
from tests.kube.api import AdminApi
from tests.kube.cluster import KubeCluster

STUDY = Path(__file__).parents[2] / "charts" / "coref-k8s" / "files" / "smoke.yaml"


@pytest.fixture(autouse=True)
def _definition(kube: KubeCluster) -> None:
    install_crd(kube.admin)


class Controller:
    """Writes the next status whenever the program pauses; its clock runs with the pauses."""

    def __init__(self, api: AdminApi, *statuses: dict[str, Any]):
        self.api, self.statuses, self.now = api, iter(statuses), 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if status := next(self.statuses, None):
            (study,) = self.api.list(STUDIES)[0]
            self.api.patch(STUDIES, study["metadata"]["name"], {"status": status}, subresource="status")

    def clock(self) -> float:
        return self.now


def run(api: AdminApi, controller: Controller, say: Callable[[str], None], timeout: float = 60) -> str:
    return smoke(api, STUDY, timeout=timeout, tell=say, sleep=controller.sleep, clock=controller.clock)


BEST = [{"seqLen": 64, "trial": 0, "score": 0.1, "params": {}}]


def test_returns_the_best_score_and_leaves_nothing(api: AdminApi) -> None:
    said: list[str] = []
    done = {"phase": "Succeeded", "progress": "1/1", "best": BEST, "bestScore": "0.1000 (64)"}
    controller = Controller(api, {"phase": "Running", "progress": "0/1"}, done)
    assert run(api, controller, said.append) == "0.1000 (64)"
    assert said[1:] == ["not seen by a controller yet", "Running 0/1", "Succeeded 1/1"]
    assert not api.list(STUDIES)[0]


def test_keeps_and_names_a_study_that_failed(api: AdminApi) -> None:
    controller = Controller(api, {"phase": "Failed", "message": "no image"})
    with pytest.raises(ClusterError, match=r"without a best trial .*no image.*kubectl describe"):
        run(api, controller, lambda _: None)
    assert len(api.list(STUDIES)[0]) == 1


def test_success_without_a_best_trial_is_a_failure(api: AdminApi) -> None:
    with pytest.raises(ClusterError, match="without a best trial"):
        run(api, Controller(api, {"phase": "Succeeded"}), lambda _: None)


def test_gives_up_when_nobody_answers(api: AdminApi) -> None:
    with pytest.raises(ClusterError, match=r"not done after 6 s .not seen by a controller yet"):
        run(api, Controller(api), lambda _: None, timeout=6)


def test_wrong_file_creates_nothing(api: AdminApi, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("seqLengths: [7]")
    with pytest.raises(RequestError, match="7"):
        smoke(api, file, timeout=1)
    assert not api.list(STUDIES)[0]
