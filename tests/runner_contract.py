"""How every runner behaves: one suite for processes, for the stand-in cluster and for a real one.

A test module subclasses `RunnerContract` and gives a fixture `harness`. Jobs run `tests/runner_program.py`,
which does what `params["does"]` says. Where a runner cannot do something its harness names it in `lacks`,
with the reason, and that test skips itself with these words.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from coref_k8s.controller.runner import ObservedJob, Reason, Runner, State
from coref_k8s.errors import NotFoundError
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order, Resources
from coref_k8s.study.spec import LimitsSpec, StudySpec

T = TypeVar("T")

RESOURCES = Resources(
    gpus=0, gpu_memory_mb=0, cpu_millis=100, memory_bytes=2**27, ephemeral_bytes=2**27, shm_bytes=2**24
)
SPEC = StudySpec(limits=LimitsSpec(retries=2, max_disruptions=3))


@dataclass
class Harness:
    """One implementation under test."""

    runner: Runner
    again: Callable[[], Runner]
    """Makes a second runner over the same jobs, as a restarted controller has."""
    data_dir: Path
    """Data root as the test sees it; jobs see the same one."""
    patience: float = 90.0
    """Longest time that anything may take (seconds)."""
    study: str = "demo"
    lacks: dict[str, str] = field(default_factory=dict)

    def order(self, does: Any, trial: int | None = 0, **changes: Any) -> Order:
        """Return an order whose program does `does`."""
        values: dict[str, Any] = {
            "kind": Kind.TRIAL,
            "study": self.study,
            "spec": SPEC,
            "seq_len": 512,
            "trial": trial,
            "params": {"does": does, "learning_rate": 1e-4},
            "resources": RESOURCES,
            "workdir": f"studies/{self.study}/512/{trial}",
        }
        return Order(**{**values, **changes})

    def file(self, order: Order, name: str) -> Path:
        """Return a file that the program of an order writes or waits for."""
        return self.data_dir / order.workdir / name

    def until(self, look: Callable[[], T | None]) -> T:
        """Return the first true value that `look` gives; fail when it never does."""
        end = time.monotonic() + self.patience
        while True:
            found = look()
            if found:
                return found
            assert time.monotonic() < end, f"waited {self.patience} s in vain for {look}"
            time.sleep(0.03)

    def job(self, order: Order, runner: Runner | None = None) -> ObservedJob | None:
        """Return the job of an order as it is seen now."""
        jobs = [j for j in (runner or self.runner).list(order.study) if j.name == order.name]
        assert len(jobs) <= 1
        return jobs[0] if jobs else None

    def running(self, order: Order) -> ObservedJob:
        """Wait until the program of an order works."""
        self.until(lambda: self.file(order, "working").exists())
        return self.until(lambda: (job := self.job(order)) and job.state is State.RUNNING and job)

    def ended(self, order: Order) -> ObservedJob:
        """Wait until the job has ended."""
        return self.until(lambda: (job := self.job(order)) and not job.live and job)

    def starts(self, order: Order) -> int:
        """Return how often the program was started."""
        path = self.file(order, "starts")
        return len(path.read_text().splitlines()) if path.exists() else 0


class RunnerContract:
    """The suite."""

    @pytest.fixture(autouse=True)
    def _tidy(self, harness: Harness):
        yield
        for study in (harness.study, f"{harness.study}-512"):
            for job in harness.runner.list(study):
                harness.runner.remove(job)

    def test_a_study_without_jobs_has_none(self, harness: Harness) -> None:
        assert harness.runner.list("never-seen") == []
        capacity = harness.runner.capacity()
        assert capacity is None or capacity >= 1

    def test_a_job_runs_to_its_end(self, harness: Harness) -> None:
        order = harness.order("work", trial=7, attempt=2)
        harness.runner.start(order)
        running = harness.running(order)
        assert running.live
        assert running.started_at is not None
        assert running.finished_at is None
        harness.file(order, "go").touch()
        job = harness.ended(order)
        assert (job.study, job.kind, job.seq_len, job.trial, job.attempt) == ("demo", Kind.TRIAL, 512, 7, 2)
        assert (job.state, job.reason, job.retries, job.disruptions) == (State.SUCCEEDED, None, 0, 0)
        assert job.uid == running.uid
        assert job.created_at <= job.started_at <= job.finished_at
        assert job.started_at.utcoffset() is not None

    def test_the_program_gets_its_order_whole(self, harness: Harness) -> None:
        order = harness.order(0, seed=5)
        harness.runner.start(order)
        harness.ended(order)
        assert Order.model_validate_json(harness.file(order, "order.json").read_text()) == order

    def test_preparation_is_a_job_too(self, harness: Harness) -> None:
        order = harness.order(0, trial=None, kind=Kind.PREPARE, seq_len=None, workdir="studies/demo/prepare")
        harness.runner.start(order)
        job = harness.ended(order)
        assert (job.name, job.kind, job.seq_len, job.trial) == ("demo-prepare-1", Kind.PREPARE, None, None)

    def test_starting_twice_is_starting_once(self, harness: Harness) -> None:
        order = harness.order("work")
        harness.runner.start(order)
        harness.runner.start(order)
        first = harness.running(order)
        harness.again().start(order)
        harness.file(order, "go").touch()
        job = harness.ended(order)
        harness.runner.start(order)
        assert harness.job(order) == job
        assert job.uid == first.uid
        assert harness.starts(order) == 1

    @pytest.mark.parametrize(("code", "reason"), [(42, Reason.INVALID), (43, Reason.GPU_OUT_OF_MEMORY)])
    def test_codes_that_say_retrying_cannot_help(self, harness: Harness, code: int, reason: Reason) -> None:
        order = harness.order(code)
        harness.runner.start(order)
        job = harness.ended(order)
        assert (job.state, job.reason, job.exit_code, job.retries) == (State.FAILED, reason, code, 0)
        assert harness.starts(order) == 1

    def test_a_crash_is_retried_within_its_budget(self, harness: Harness) -> None:
        order = harness.order(3)
        harness.runner.start(order)
        job = harness.ended(order)
        assert (job.state, job.reason, job.exit_code) == (State.FAILED, Reason.CRASHED, 3)
        assert job.retries == 2
        assert "3" in str(job.message)
        assert harness.starts(order) == 3

    def test_a_crash_that_passes_is_a_success(self, harness: Harness) -> None:
        order = harness.order([1, 0])
        harness.runner.start(order)
        job = harness.ended(order)
        assert (job.state, job.retries, harness.starts(order)) == (State.SUCCEEDED, 1, 2)

    def test_a_disruption_goes_on_in_the_same_job_and_does_not_count(self, harness: Harness) -> None:
        if "disruption" in harness.lacks:
            pytest.skip(harness.lacks["disruption"])
        order = harness.order([143, 143, 143, 0])
        harness.runner.start(order)
        job = harness.ended(order)
        assert (job.state, job.retries, job.disruptions) == (State.SUCCEEDED, 0, 3)

    def test_stopping_lets_the_program_write_its_checkpoint(self, harness: Harness) -> None:
        order = harness.order("work")
        harness.runner.start(order)
        job = harness.running(order)
        harness.runner.stop(job)
        harness.runner.stop(job)
        harness.until(lambda: (seen := harness.job(order)) is None or not seen.live)
        assert harness.file(order, "checkpoint").exists()
        seen = harness.job(order)
        assert seen is None or (seen.state, seen.reason) == (State.FAILED, Reason.DISRUPTED)
        assert harness.starts(order) == 1
        harness.runner.stop(job)

    def test_a_program_that_will_not_end_is_killed(self, harness: Harness) -> None:
        order = harness.order("stubborn")
        harness.runner.start(order)
        harness.runner.stop(harness.running(order))
        harness.until(lambda: (seen := harness.job(order)) is None or not seen.live)

    def test_a_job_that_was_replaced_is_not_stopped(self, harness: Harness) -> None:
        order = harness.order(["work"])
        harness.runner.start(order)
        old = harness.running(order)
        harness.runner.remove(old)
        harness.file(order, "working").unlink()
        harness.runner.start(order)
        new = harness.running(order)
        assert new.uid != old.uid
        harness.runner.stop(old)
        harness.runner.remove(old)
        harness.file(order, "go").touch()
        assert harness.ended(order).state is State.SUCCEEDED

    def test_a_removed_job_is_forgotten_and_may_be_started_again(self, harness: Harness) -> None:
        order = harness.order(0)
        harness.runner.start(order)
        job = harness.ended(order)
        harness.runner.remove(job)
        harness.until(lambda: harness.job(order) is None)
        harness.runner.remove(job)
        harness.runner.start(order)
        assert harness.ended(order).uid != job.uid
        assert harness.starts(order) == 2

    def test_removing_a_live_job_stops_it_first(self, harness: Harness) -> None:
        order = harness.order("work")
        harness.runner.start(order)
        harness.runner.remove(harness.running(order))
        harness.until(lambda: harness.job(order) is None)
        harness.until(lambda: harness.file(order, "checkpoint").exists())

    def test_another_controller_finds_the_same_jobs(self, harness: Harness) -> None:
        order = harness.order("work")
        harness.runner.start(order)
        job = harness.running(order)
        other = harness.again()
        assert harness.until(lambda: harness.job(order, other)).uid == job.uid
        assert job.stopped == ""
        other.stop(job, "pruned")
        # whoever comes next knows that it was no disruption
        third = harness.again()
        harness.until(lambda: (seen := harness.job(order, third)) and seen.stopped == "pruned")
        ended = harness.ended(order)
        assert (ended.reason, ended.stopped) == (Reason.DISRUPTED, "pruned")
        harness.runner.remove(ended)
        harness.until(lambda: harness.job(order) is None)
        harness.runner.start(order)
        assert harness.until(lambda: harness.job(order)).stopped == ""

    def test_studies_do_not_see_each_other(self, harness: Harness) -> None:
        # the name of the one is how the jobs of the other begin
        mine = harness.order(0)
        other = harness.order(0, study=f"{harness.study}-512", workdir="studies/other/512/0")
        for order in (mine, other):
            harness.runner.start(order)
        for order in (mine, other):
            harness.ended(order)
            assert [j.name for j in harness.runner.list(order.study)] == [order.name]

    def test_the_log_has_every_start(self, harness: Harness) -> None:
        if "retry-logs" in harness.lacks:
            pytest.skip(harness.lacks["retry-logs"])
        order = harness.order([1, 0])
        harness.runner.start(order)
        harness.ended(order)
        lines = list(harness.runner.logs(order.name))
        assert "start 1 of trial 0" in lines
        assert lines[-1] == "start 2 of trial 0"
        assert list(harness.runner.logs(order.name, tail=1)) == ["start 2 of trial 0"]

    def test_a_followed_log_ends_with_its_job(self, harness: Harness) -> None:
        order = harness.order("work")
        harness.runner.start(order)
        harness.running(order)
        lines = harness.runner.logs(order.name, follow=True)
        assert [next(lines), next(lines)] == ["start 1 of trial 0", "working"]
        harness.file(order, "go").touch()
        assert list(lines) == ["went on to the end"]

    def test_a_log_that_does_not_exist_is_said_so(self, harness: Harness) -> None:
        with pytest.raises(NotFoundError, match="no-such-job"):
            list(harness.runner.logs("no-such-job"))
