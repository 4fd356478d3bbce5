"""Checkpoints that survive being killed at any moment, full disks and flipped bits.

A checkpoint is one file, `step-<step>.<token>.<sha256>.pt`: written aside, synced, then renamed, so a name stands
for a complete file, and the name says what must be in it and who has written it. The two newest are kept; opening takes the
newest whose content matches its name. What a newer process has written is newer, whatever its step: one that was given up and
cannot ask (its database is away) may still write, and nobody takes that up once the newer one has written.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from coref_k8s.files import sha256_of
from coref_k8s.trial.files import aside, publish, token
from coref_k8s.wording import Message

#: Checkpoints kept: the newest, and one to fall back to.
KEPT = 2
#: Most of the training time that periodic checkpoints may take.
COST_SHARE = 0.02
#: Bytes a second that the first checkpoint is expected to be written at, before one was measured.
_ASSUMED_SPEED = 200e6

#: 0.1 wrote no token.
_NAME = re.compile(r"step-(?P<step>\d{8})(\.(?P<token>\d+))?\.(?P<sha>[0-9a-f]{64})\.pt")


class _HashingWriter:
    """A file that knows the SHA-256 of what went through it; write-only, as `torch.save` needs."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


class CheckpointStore:
    """The checkpoints of one trial, in one folder."""

    def __init__(
        self,
        folder: Path,
        *,
        warn: Callable[[Message], None] = lambda _: None,
        saved: Callable[[], None] = lambda: None,
    ) -> None:
        """`saved` is called with each checkpoint that is written; what it takes counts as part of the writing."""
        self._folder = folder
        self._warn = warn
        self._saved = saved

    def save(self, step: int, state: dict[str, Any]) -> int:
        """Write the state (tensors, and what JSON knows) after `step` steps; return its size in bytes.

        Raises OSError when the disk refuses, SupersededError when another process has taken over the work; older
        checkpoints are then untouched.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = aside(self._folder / "writing")
        try:
            with unfinished.open("wb") as file:
                writer = _HashingWriter(file)
                torch.save(state, writer)  # type: ignore[arg-type]  # it needs no more than write
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
            name = f"step-{step:08d}.{token()}.{writer.digest.hexdigest()}.pt"
            publish(unfinished, self._folder / name, ask=False)
            _sync_folder(self._folder)
        except RuntimeError as error:
            # torch closes its archive when a write has failed, and says of that only that it is not whole
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
        finally:
            unfinished.unlink(missing_ok=True)
        for old in self._files()[KEPT:]:
            old.unlink(missing_ok=True)
        self._saved()
        return size

    def load(self) -> tuple[int, dict[str, Any]] | None:
        """Return (step, state) of the newest sound checkpoint, or None; warns about damaged ones."""
        for leftover in self._folder.glob("writing*.tmp"):
            leftover.unlink(missing_ok=True)
        for path in self._files():
            name = _NAME.fullmatch(path.name)
            assert name is not None
            problem = Message.of("trial.wrong-checksum")
            try:
                if sha256_of(path) == name["sha"]:
                    return int(name["step"]), torch.load(path, map_location="cpu", weights_only=True)
            except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
                problem = Message.verbatim(str(error).splitlines()[0])
            self._warn(Message.of("trial.damaged-checkpoint", path=str(path), why=problem))
            path.rename(path.with_suffix(".damaged"))
        return None

    def clear(self) -> None:
        """Delete all checkpoints; the trial is finished."""
        for path in [*self._files(), *self._folder.glob("*.damaged"), *self._folder.glob("writing*.tmp")]:
            path.unlink(missing_ok=True)
        if self._folder.is_dir() and not any(self._folder.iterdir()):
            self._folder.rmdir()

    def _files(self) -> list[Path]:
        """Return the checkpoints, newest first."""
        if not self._folder.is_dir():
            return []
        named = ((name, path) for path in self._folder.iterdir() if (name := _NAME.fullmatch(path.name)))
        ranked = sorted(
            ((int(name["token"] or 0), int(name["step"]), path) for name, path in named), reverse=True
        )
        return [path for _, _, path in ranked]


class CheckpointClock:
    """Says when the next periodic checkpoint is due: as often as wished, within 2 % of the time.

    After a checkpoint that took d seconds, the next comes no sooner than d / 0.02 seconds later.
    """

    def __init__(self, wish: float, expected_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._wish = wish
        self._clock = clock
        self._cost = expected_bytes / _ASSUMED_SPEED
        self._since = clock()

    @property
    def interval(self) -> float:
        """Time between checkpoints (seconds)."""
        return max(self._wish, self._cost / COST_SHARE)

    def due(self) -> bool:
        """Tell whether it is time."""
        return self._clock() - self._since >= self.interval

    def written(self, seconds: float) -> None:
        """Note that a checkpoint was written, and what it cost."""
        self._cost = seconds
        self._since = self._clock()


def rng_state() -> dict[str, Any]:
    """Return the state of every global generator: Python, numpy, torch, CUDA."""
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "python": json.dumps(random.getstate()),
        "numpy": json.dumps([kind, np.asarray(keys).tolist(), position, has_gauss, cached]),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_rng(state: dict[str, Any]) -> None:
    """Undo `rng_state`."""
    version, internal, gauss = json.loads(state["python"])
    random.setstate((version, tuple(internal), gauss))
    kind, keys, position, has_gauss, cached = json.loads(state["numpy"])
    np.random.set_state((kind, np.asarray(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def seed_everything(seed: int) -> None:
    """Seed every global generator."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _sync_folder(folder: Path) -> None:
    """Make a rename outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
