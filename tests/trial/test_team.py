"""Two processes that train one model on a CPU: as one process would, preempted, and with one of them gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coref_k8s.study.order import Order
from tests.trial.conftest import House

STEPS = 30
#: Sums of gradients are rounded in another order: relative difference of a loss (float32).
TOLERANCE = 1e-4


def begun(house: House, order: Order, processes: int = 2) -> subprocess.Popen[str]:
    environment = {
        **os.environ, "COREF_DATA_DIR": str(house.root), "COREF_STORAGE_URL": house.storage, "OMP_NUM_THREADS": "1",
        "COREF_ORDER": order.model_dump_json(), "COREF_CPU_PROCESSES": str(processes), "PYTHONPATH": str(Path(__file__).parents[2]),
    }  # fmt: skip
    command = [sys.executable, "-m", "coref_k8s.trial"]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def losses(house: House, order: Order) -> list[float]:
    return json.loads((house.folder(order) / "losses.json").read_text())


def others(process: int) -> list[int]:
    """Return the processes that train for another one."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(one) for one in children if "spawn_main" in Path(f"/proc/{one}/cmdline").read_text()]


def gone(processes: list[int]) -> bool:
    end = time.monotonic() + 60
    while any(Path(f"/proc/{one}").exists() for one in processes) and time.monotonic() < end:
        time.sleep(0.1)
    return not any(Path(f"/proc/{one}").exists() for one in processes)


@pytest.fixture(scope="module")
def together(house: House) -> Order:
    """A trial that two processes have trained."""
    order = house.order("together", spec=house.training(max_steps=STEPS))
    process = begun(house, order)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return order


def test_two_processes_train_as_one(house: House, together: Order) -> None:
    alone = house.order("alone", spec=together.spec)
    process = begun(house, alone, 1)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert losses(house, together) == pytest.approx(losses(house, alone), rel=TOLERANCE)
    ours, theirs = house.result(together), house.result(alone)
    assert ours["score"] == pytest.approx(theirs["score"], abs=0.05)
    assert ours["steps"] == theirs["steps"] == STEPS


def test_preempted_it_goes_on_with_equal_losses(house: House, together: Order) -> None:
    order = house.order("preempted", spec=together.spec)
    process = begun(house, order)
    assert process.stdout is not None
    for line in process.stdout:
        if '"train_step"' in line or '"eval_stream"' in line:
            break
    helpers = others(process.pid)
    assert len(helpers) == 1
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 143, said
    assert house.checkpoints(order)
    assert gone(helpers)
    again = begun(house, order)
    said, _ = again.communicate(timeout=600)
    assert again.returncode == 0, said
    assert losses(house, order) == losses(house, together)


def test_a_trial_that_loses_a_process_ends_to_be_started_again(house: House, together: Order) -> None:
    order = house.order("bereft", spec=house.training(max_steps=5000))
    process = begun(house, order)
    assert process.stdout is not None
    for line in process.stdout:
        if '"train_step"' in line:
            break
    (helper,) = others(process.pid)
    os.kill(helper, signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode == 1
