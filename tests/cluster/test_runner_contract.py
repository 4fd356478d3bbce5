"""The behaviour suite of all runners, over Jobs."""

from __future__ import annotations

import pytest

from coref_k8s.errors import RequestError
from coref_k8s.study.names import Kind
from tests.runner_contract import Harness, RunnerContract

pytestmark = pytest.mark.cluster


class TestClusterRunner(RunnerContract):
    """Jobs behave as processes do."""

    def test_a_name_of_another_study_is_refused(self, harness: Harness) -> None:
        other = harness.order(0, study="demo-finalist", workdir="studies/other/512/0")
        harness.runner.start(other)
        mine = harness.order(0, kind=Kind.FINALIST)
        assert mine.name == other.name
        with pytest.raises(RequestError, match="of study demo-finalist already"):
            harness.runner.start(mine)
        harness.ended(other)
        for job in harness.runner.list("demo-finalist"):
            harness.runner.remove(job)
