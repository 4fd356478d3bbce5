"""Checkpoints on a disk that fails, fills and lies."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from coref_k8s.trial import checkpoint
from coref_k8s.trial.checkpoint import CheckpointClock, CheckpointStore, restore_rng, rng_state
from coref_k8s.wording import Message


def state(value: float) -> dict[str, object]:
    return {"weights": torch.full((1000,), value), "facts": "{}"}


def value_of(found: tuple[int, dict[str, torch.Tensor]] | None) -> tuple[int, float]:
    assert found is not None
    return found[0], float(found[1]["weights"][0])


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "c")
    for step in (3, 10, 100):
        size = store.save(step, state(step))
    assert size == max(p.stat().st_size for p in (tmp_path / "c").iterdir())
    assert len(list((tmp_path / "c").iterdir())) == 2
    assert value_of(store.load()) == (100, 100.0)
    store.clear()
    assert not (tmp_path / "c").exists()
    assert store.load() is None


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "swap"])
def test_a_damaged_newest_falls_back_to_the_one_before(tmp_path: Path, damage: str) -> None:
    warnings: list[Message] = []
    store = CheckpointStore(tmp_path, warn=warnings.append)
    store.save(1, state(1))
    store.save(2, state(2))
    newest = max(tmp_path.iterdir())
    content = bytearray(newest.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    elif damage == "truncate":
        content = content[:-100]
    elif damage == "empty":
        content = bytearray()
    else:
        content = bytearray(min(tmp_path.iterdir()).read_bytes())
    newest.write_bytes(content)
    assert value_of(store.load()) == (1, 1.0)
    assert len(warnings) == 1
    assert newest.name in str(warnings[0])
    assert "going on from the one before" in str(warnings[0])
    # the damaged one is out of the way: it neither counts as kept nor warns again
    store.save(3, state(3))
    assert value_of(store.load()) == (3, 3.0)
    assert len(warnings) == 1


def test_all_damaged_means_from_the_start(tmp_path: Path) -> None:
    warnings: list[Message] = []
    store = CheckpointStore(tmp_path, warn=warnings.append)
    store.save(1, state(1))
    next(tmp_path.iterdir()).write_bytes(b"no")
    assert store.load() is None
    assert len(warnings) == 1


def test_killed_while_writing_leaves_the_older_one(tmp_path: Path) -> None:
    """A child process is killed in the middle of a write; nothing of that is ever read."""
    store = CheckpointStore(tmp_path)
    store.save(1, state(1))
    child = os.fork()
    if child == 0:
        writes = 0

        def dying(self: object, data: bytes) -> int:
            nonlocal writes
            writes += 1
            if writes > 3:
                os.kill(os.getpid(), 9)
            return self._file.write(data)  # type: ignore[attr-defined]

        checkpoint._HashingWriter.write = dying  # type: ignore[method-assign,assignment]
        CheckpointStore(tmp_path).save(2, state(2))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the child was meant to die while it wrote"
    assert any(p.name.startswith("writing.") for p in tmp_path.iterdir())
    assert value_of(store.load()) == (1, 1.0)
    assert [p.name[:4] for p in tmp_path.iterdir()] == ["step"]


def test_a_full_disk_leaves_the_older_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CheckpointStore(tmp_path)
    store.save(1, state(1))

    def full(self: object, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint._HashingWriter, "write", full)
    with pytest.raises(OSError, match="No space left"):
        store.save(2, state(2))
    assert value_of(store.load()) == (1, 1.0)
    assert len(list(tmp_path.iterdir())) == 1


def test_only_plain_data_is_loaded(tmp_path: Path) -> None:
    """A checkpoint that would run code is refused, whatever its checksum says."""
    warnings: list[Message] = []
    store = CheckpointStore(tmp_path, warn=warnings.append)
    store.save(1, {"weights": Path("/")})
    assert store.load() is None
    assert warnings


def test_checkpoints_cost_two_percent_at_most() -> None:
    now = 0.0
    clock = CheckpointClock(300.0, expected_bytes=0, clock=lambda: now)
    spent, count = 0.0, 0
    while now < 100_000:
        now += 1
        if clock.due():
            cost = 20.0  # seconds: a slow network volume
            now += cost
            spent += cost
            count += 1
            clock.written(cost)
    assert count > 50
    assert spent / now <= 0.0225, "the first is written before its cost is known"
    assert clock.interval == 1000.0


def test_the_wish_holds_where_checkpoints_are_cheap() -> None:
    clock = CheckpointClock(300.0, expected_bytes=10_000_000, clock=lambda: 0.0)
    assert clock.interval == 300.0
    clock.written(0.1)
    assert clock.interval == 300.0
    assert CheckpointClock(300.0, expected_bytes=2_200_000_000).interval > 500


def test_all_generators_come_back() -> None:
    before = rng_state()

    def draw() -> tuple[float, ...]:
        return random.random(), random.gauss(0, 1), np.random.rand(), float(torch.rand(()))

    first = draw()
    middle = rng_state()
    second = draw()
    restore_rng(before)
    assert draw() == first
    restore_rng(middle)
    assert draw() == second
