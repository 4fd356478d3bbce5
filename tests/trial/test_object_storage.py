"""Trials whose data folder is as empty as a new pod's: all they need comes from object storage, all they leave goes there."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

from coref_k8s.objects import Place
from coref_k8s.study.order import Order
from tests.objectstore import BUCKET, Link, credentials
from tests.trial.conftest import House, Process

STEPS = 200


@pytest.fixture
def store(house: House, link: Link, tmp_path: Path) -> Place:
    """A place with the study's model and data, reached through a link."""
    place = Place(
        f"s3://{BUCKET}/{tmp_path.name}-{os.getpid()}", credentials(tmp_path / "secret", link.endpoint)
    )
    for name in ("models/tiny", house.prepared):
        place.put(name, house.root / name)
    return place


@pytest.fixture
def start(house: House, store: Place, tmp_path: Path) -> Callable[[Order, str], Process]:
    """Starts an order as on a node that knows nothing of it."""

    def begin(order: Order, node: str) -> Process:
        return house.start(
            order,
            COREF_DATA_DIR=str(tmp_path / node),
            COREF_OBJECT_STORE=store.uri,
            COREF_OBJECT_STORE_SECRET=str(tmp_path / "secret"),
        )

    return begin


def kept(store: Place, order: Order, tmp_path: Path) -> dict[str, bytes]:
    """What the store has of an order's work, by path."""
    folder = tmp_path / f"look-{time.monotonic_ns()}"
    store.get(order.workdir, folder)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}


def test_a_killed_trial_goes_on_elsewhere_from_the_checkpoint_it_has_kept(
    house: House, store: Place, start: Callable[[Order, str], Process], tmp_path: Path
) -> None:
    spec = house.training(max_steps=STEPS, checkpoint_seconds=0.1)
    undisturbed = house.order("s3-undisturbed", spec=spec)
    process = house.start(undisturbed)
    assert process.wait() == 0, process.log

    order = house.order("s3-killed", spec=spec)
    process = start(order, "node-1")
    end = time.monotonic() + 120
    while not any(path.startswith("checkpoints/") for path in kept(store, order, tmp_path)):
        assert process.process.is_alive(), process.log
        assert time.monotonic() < end, process.log
    os.kill(process.process.pid or 0, signal.SIGKILL)
    process.wait()
    process = start(order, "node-2")
    assert process.wait() == 0, process.log
    assert process.events("trial_begin")[0]["step"] > 0

    found = kept(store, order, tmp_path)
    assert not any(path.startswith("checkpoints/") for path in found)
    result = json.loads(found["result.json"])
    assert house.trial(order).value == result["score"] == house.result(undisturbed)["score"]
    expected = house.folder(undisturbed)
    assert found["losses.json"] == (expected / "losses.json").read_bytes()
    assert found["model/model.safetensors"] == (expected / "model/model.safetensors").read_bytes()
    # and whoever starts it once more only finds what there is
    again = start(order, "node-3")
    assert again.wait() == 0, again.log
    assert again.events("trial_begin") == []
    assert not (tmp_path / "node-3" / order.workdir / "model").exists()


def test_told_to_stop_it_keeps_its_last_step(
    house: House, store: Place, start: Callable[[Order, str], Process], tmp_path: Path
) -> None:
    order = house.order("s3-stopped", spec=house.training(max_steps=5000))
    process = start(order, "node-1")
    process.until('"train_step"')
    process.process.terminate()
    assert process.wait() == 143, process.log
    step = process.events("trial_end")[0]["step"]
    assert [path for path in kept(store, order, tmp_path) if path.startswith(f"checkpoints/step-{step:08d}.")]


def test_a_store_that_is_away_for_a_while_costs_no_trial(
    house: House, store: Place, link: Link, start: Callable[[Order, str], Process], tmp_path: Path
) -> None:
    order = house.order("s3-away", spec=house.training(max_steps=STEPS, checkpoint_seconds=0.1))
    process = start(order, "node-1")
    process.until('"trial_begin"')
    link.answer = "503 Slow Down|SlowDown"
    process.until("did not answer as expected (SlowDown")  # of a checkpoint: training goes on
    process.until('"evaluation": 2')
    process.until("did not answer as expected (SlowDown", timeout=60)
    result = tmp_path / "node-1" / order.workdir / "result.json"
    end = time.monotonic() + 60
    while not result.exists():
        assert time.monotonic() < end, process.log
        time.sleep(0.05)
    time.sleep(2)
    assert house.trial(order).state is TrialState.RUNNING  # nothing counts that is nowhere
    link.answer = ""
    assert process.wait() == 0, process.log
    assert house.trial(order).state is TrialState.COMPLETE
    assert "result.json" in kept(store, order, tmp_path)
    said = [one["message"] for one in process.events("warning")]
    assert all("secret-word" not in one and "\n" not in one for one in said)
    assert {one["code"] for one in process.events("warning")} == {"objects.no-answer"}


def test_credentials_that_end_are_renewed_and_the_trial_goes_on(
    house: House, store: Place, link: Link, start: Callable[[Order, str], Process], tmp_path: Path
) -> None:
    order = house.order("s3-expired", spec=house.training(max_steps=STEPS, checkpoint_seconds=0.1))
    process = start(order, "node-1")
    process.until('"trial_begin"')
    link.answer, link.only = "403 Forbidden|ExpiredToken", "Credential=owner/"
    process.until("refuses (ExpiredToken)", timeout=90)
    credentials(tmp_path / "secret", link.endpoint, "renewed")
    assert process.wait() == 0, process.log
    assert house.trial(order).state is TrialState.COMPLETE
    assert "model/model.safetensors" in kept(store, order, tmp_path)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    house: House, store: Place, start: Callable[[Order, str], Process], tmp_path: Path
) -> None:
    order = house.order("s3-damaged", spec=house.training(max_steps=5000, checkpoint_seconds=0.1))
    process = start(order, "node-1")

    def checkpoints() -> list[str]:
        return sorted(path for path in kept(store, order, tmp_path) if path.startswith("checkpoints/"))

    end = time.monotonic() + 120
    while len(found := checkpoints()) < 2:
        assert process.process.is_alive(), process.log
        assert time.monotonic() < end, process.log
    os.kill(process.process.pid or 0, signal.SIGKILL)
    process.wait()
    newest = checkpoints()[-1]
    key = f"{order.workdir}/.folder/{newest.split('.')[-2]}"
    content = bytearray(store._bucket.read(key) or b"")
    content[1000] ^= 1
    store._bucket.write(key, bytes(content))
    process = start(order, "node-2")
    process.until('"trial_begin"')
    begun = process.events("trial_begin")[0]["step"]
    process.process.kill()
    process.wait()
    assert 0 < begun < int(newest.split("-")[1].split(".")[0])
    assert [one["code"] for one in process.events("warning")] == ["objects.damaged"]
    assert found
