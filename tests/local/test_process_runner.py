"""The runner contract with processes, and what only processes can do: survive, be lost, share cores and GPUs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coref_k8s.controller.runner import ObservedJob, Reason, State
from coref_k8s.errors import CorefError
from coref_k8s.local.hardware import cpu_cores, visible_gpus
from coref_k8s.local.processes import ProcessRunner
from coref_k8s.local.supervise import alive, classify, start_time
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order
from coref_k8s.study.spec import LimitsSpec, StudySpec
from tests.runner_contract import Harness, RunnerContract

PROGRAM = Path(__file__).parent.parent / "runner_program.py"


def make(data_dir: Path, **changes) -> ProcessRunner:
    values = {
        "command": [sys.executable, "-I", "-S", str(PROGRAM)],
        "environment": {"COREF_DATA_DIR": str(data_dir)},
        "gpus": (),
        "grace": 0.5,
        "pause": 0.02,
    }
    return ProcessRunner(data_dir, **{**values, **changes})


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    return Harness(runner=make(tmp_path), again=lambda: make(tmp_path), data_dir=tmp_path)


class TestContract(RunnerContract):
    """Processes keep the contract."""


def test_a_job_stopped_the_moment_it_was_started_ends(harness: Harness) -> None:
    for attempt in range(1, 6):
        order = harness.order("work", attempt=attempt)
        harness.runner.start(order)
        harness.runner.stop(harness.job(order), "cancelled")
        assert harness.ended(order).stopped == "cancelled"


def status(harness: Harness, order: Order) -> dict:
    return json.loads((harness.runner.root / order.study / order.name / "status.json").read_text())


def kill(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def working(harness: Harness):
    order = harness.order("work")
    harness.runner.start(order)
    harness.running(order)
    yield order
    for job in harness.runner.list(order.study):
        harness.runner.remove(job)


def test_a_job_whose_supervisor_was_killed_works_on(harness: Harness, working: Order) -> None:
    kill(status(harness, working)["supervisor"])
    other = make(harness.data_dir)
    harness.until(lambda: not alive(*supervisor(harness, working)))
    assert harness.job(working, other).state is State.RUNNING
    harness.file(working, "go").touch()
    job = harness.ended(working)
    # nobody is left who knows its exit code: what it has reported decides
    assert (job.state, job.reason) == (State.FAILED, Reason.DISRUPTED)
    assert "went on to the end" in list(other.logs(working.name))


def supervisor(harness: Harness, order: Order) -> tuple[int, str]:
    found = status(harness, order)
    return found["supervisor"], found["supervisor_start"]


def test_an_orphan_is_stopped_with_its_grace(harness: Harness, working: Order) -> None:
    kill(status(harness, working)["supervisor"])
    harness.until(lambda: not alive(*supervisor(harness, working)))
    job = harness.job(working)
    harness.runner.stop(job)
    harness.ended(working)
    assert harness.file(working, "checkpoint").exists()


def test_a_stubborn_orphan_is_killed(harness: Harness) -> None:
    order = harness.order("stubborn")
    harness.runner.start(order)
    job = harness.running(order)
    kill(status(harness, order)["supervisor"])
    harness.until(lambda: not alive(*supervisor(harness, order)))
    harness.runner.stop(job)
    assert harness.ended(order).reason is Reason.DISRUPTED


def test_a_job_of_which_everything_was_killed_is_lost(harness: Harness, working: Order) -> None:
    found = status(harness, working)
    kill(found["supervisor"], found["pid"])
    job = harness.ended(working)
    assert (job.state, job.reason) == (State.FAILED, Reason.DISRUPTED)
    assert "gone" in str(job.message)
    assert job.finished_at is not None


def test_a_killed_program_is_started_again(harness: Harness) -> None:
    order = harness.order(["work", 0])
    harness.runner.start(order)
    harness.running(order)
    kill(status(harness, order)["pid"])
    job = harness.ended(order)
    assert (job.state, job.retries) == (State.SUCCEEDED, 1)


def test_a_controller_that_died_while_starting_leaves_no_job_behind(harness: Harness, monkeypatch) -> None:
    order = harness.order(0)
    monkeypatch.setattr("coref_k8s.local.processes._supervise", lambda *_, **__: None)
    harness.runner.start(order)
    monkeypatch.undo()
    job = harness.job(order)
    assert (job.state, job.reason) == (State.FAILED, Reason.DISRUPTED)
    harness.runner.remove(job)
    harness.runner.start(order)
    assert harness.ended(order).state is State.SUCCEEDED


def test_a_process_id_used_again_is_not_the_job(harness: Harness, working: Order) -> None:
    found = status(harness, working)
    kill(found["supervisor"], found["pid"])
    harness.ended(working)
    # the ids now belong to somebody else: this test
    found |= {"supervisor": os.getpid(), "pid": os.getpid()}
    path = harness.runner.root / working.study / working.name / "status.json"
    path.write_text(json.dumps(found))
    job = harness.job(working)
    assert job.state is State.FAILED
    harness.runner.stop(job)  # must not end the tests
    assert start_time(os.getpid()) is not None


def test_what_a_program_leaves_behind_ends_with_it(harness: Harness) -> None:
    order = harness.order("child")
    harness.runner.start(order)
    harness.ended(order)
    pid = int(harness.file(order, "starts").read_text())
    harness.until(lambda: not group(pid))


def group(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    # zombies of the group wait for init and are nobody
    found = subprocess.run(
        ["ps", "-o", "stat=", "--no-headers", "-s", str(pid)], capture_output=True, text=True
    )
    return any(not line.startswith("Z") for line in found.stdout.split())


def test_disruptions_are_capped(harness: Harness) -> None:
    order = harness.order([143])
    harness.runner.start(order)
    job = harness.ended(order)
    assert (job.reason, job.disruptions, job.retries) == (Reason.DISRUPTED, 3, 0)


def test_a_command_that_does_not_exist_is_the_requests_fault(harness: Harness) -> None:
    runner = make(harness.data_dir, command=["/nowhere/python"])
    order = harness.order(0)
    runner.start(order)
    job = harness.ended(order)
    assert job.reason is Reason.INVALID
    assert any("/nowhere/python cannot be started" in line for line in runner.logs(order.name))


def test_a_log_outlives_its_job(harness: Harness) -> None:
    order = harness.order(0)
    harness.runner.start(order)
    harness.runner.remove(harness.ended(order))
    assert list(harness.runner.logs(order.name)) == ["start 1 of trial 0"]


@pytest.mark.parametrize("lines", [0, 1, 2, 3, 9])
def test_the_end_of_a_long_log(harness: Harness, lines: int) -> None:
    order = harness.order(0)
    harness.runner.start(order)
    harness.ended(order)
    log = harness.runner.root / order.study / order.name / "log"
    text = ["가" * 50_000, "b", "", "마지막"]
    log.write_text("\n".join(text), encoding="utf-8")
    assert list(harness.runner.logs(order.name, tail=lines)) == text[len(text) - min(lines, 4) :]


def environment(harness: Harness, order: Order) -> dict[str, str]:
    return json.loads(harness.file(order, "environment.json").read_text())


@pytest.mark.parametrize(("parallelism", "threads"), [(1, "8"), (3, "2"), (4, "2"), (100, "1")])
def test_cores_are_shared_out(harness: Harness, monkeypatch, parallelism: int, threads: str) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    runner = make(harness.data_dir, cores=8)
    assert runner.capacity() == 8
    spec = StudySpec(parallelism=parallelism)
    order = harness.order(0, spec=spec)
    runner.start(order)
    harness.ended(order)
    assert environment(harness, order)["OMP_NUM_THREADS"] == threads


def test_gpus_are_given_out_and_given_back(harness: Harness) -> None:
    runner = make(harness.data_dir, gpus=("0", "1", "2", "3"), gpus_per_job=2)
    assert (runner.capacity(), runner.gpus_per_job) == (2, 2)
    orders = [harness.order("work", trial=i) for i in range(2)]
    for order in orders:
        runner.start(order)
        harness.running(order)
    assert [environment(harness, o)["CUDA_VISIBLE_DEVICES"] for o in orders] == ["0,1", "2,3"]
    runner.remove(harness.job(orders[0]))
    third = harness.order(0, trial=2)
    runner.start(third)
    harness.ended(third)
    assert environment(harness, third)["CUDA_VISIBLE_DEVICES"] == "0,1"
    preparation = harness.order(
        0, trial=None, kind=Kind.PREPARE, seq_len=None, workdir="studies/demo/prepare"
    )
    runner.start(preparation)
    harness.ended(preparation)
    assert environment(harness, preparation)["CUDA_VISIBLE_DEVICES"] == ""
    for job in runner.list("demo"):
        runner.remove(job)


def test_too_few_gpus_are_refused_and_none_are_asked_for_on_request(harness: Harness) -> None:
    with pytest.raises(CorefError, match="asks for 2 GPUs, this machine shows 1"):
        make(harness.data_dir, gpus=("0",), gpus_per_job=2)
    runner = make(harness.data_dir, gpus=("0",), gpus_per_job=0, cores=2)
    assert (runner.capacity(), runner.gpus_per_job) == (2, 0)
    assert make(harness.data_dir, gpus=(), gpus_per_job=2, cores=1).gpus_per_job == 0


def test_gpus_are_what_nvidia_smi_says(tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf '0\\n1\\n'\n")
    program.chmod(0o755)
    path = {"PATH": f"{tmp_path}:/bin"}
    assert visible_gpus(path) == ("0", "1")
    assert visible_gpus(path | {"CUDA_VISIBLE_DEVICES": "1"}) == ("1",)
    assert visible_gpus(path | {"CUDA_VISIBLE_DEVICES": ""}) == ()
    program.write_text("#!/bin/sh\necho 'no devices were found' >&2\nexit 9\n")
    assert visible_gpus(path) == ()
    assert visible_gpus({"PATH": "/nowhere"}) == ()
    assert cpu_cores() >= 1


def test_waiting_ends_with_a_job(harness: Harness, working: Order) -> None:
    harness.file(working, "go").touch()
    begin = time.monotonic()
    harness.runner.wait(100)
    assert time.monotonic() - begin < 50
    assert harness.ended(working).state is State.SUCCEEDED
    begin = time.monotonic()
    harness.runner.wait(0.05)
    assert time.monotonic() - begin < 5


def test_a_supervisor_is_small(harness: Harness, working: Order) -> None:
    pid = status(harness, working)["supervisor"]
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    resident = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    assert resident < 20_000, f"{resident} kB"


@pytest.mark.parametrize(
    ("code", "oom", "reason", "again"),
    [
        (42, False, "Invalid", "no"),
        (43, False, "GpuOutOfMemory", "no"),
        (-9, True, "HostOutOfMemory", "no"),
        (-9, False, "Crashed", "counted"),
        (143, False, "Disrupted", "free"),
        (-15, False, "Disrupted", "free"),
        (1, True, "Crashed", "counted"),
        (-11, False, "Crashed", "counted"),
    ],
)
def test_what_an_exit_code_means(code: int, oom: bool, reason: str, again: str) -> None:
    assert classify(code, oom) == (reason, again)


def test_no_retries_means_none(harness: Harness) -> None:
    order = harness.order(1, spec=StudySpec(limits=LimitsSpec(retries=0)))
    harness.runner.start(order)
    job: ObservedJob = harness.ended(order)
    assert (job.reason, harness.starts(order)) == (Reason.CRASHED, 1)
