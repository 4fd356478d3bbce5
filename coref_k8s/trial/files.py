"""Files that are whole or not there, and that nobody writes whose work another has taken over.

A process that works behind a fence (`work_behind`) writes aside, and gives what is finished its name while it holds its token.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coref_k8s.errors import StorageError
from coref_k8s.store.fence import Fence


@dataclass(frozen=True)
class _Work:
    """What lets this process write, and how it waits for a database that is away."""

    fence: Fence
    wait: Callable[[Callable[[], None]], None]


_work: _Work | None = None


def work_behind(fence: Fence, wait: Callable[[Callable[[], None]], None]) -> None:
    """From now on give no file of this process its name without the token of `fence`."""
    global _work
    _work = _Work(fence, wait)


def token() -> int:
    """Return the token of this process; 0 for one that works behind no fence."""
    return _work.fence.token if _work else 0


def aside(path: Path) -> Path:
    """Return where this process writes what is to be called `path`. Two pods may have one process id, not one token."""
    return path.with_name(f"{path.name}.{token()}-{os.getpid()}.tmp")


def publish(unfinished: Path, path: Path, *, ask: bool = True) -> None:
    """Give a finished file or folder its name; a folder of that name goes.

    Waits for a database that is away, or with `ask=False` does without: for a name that is this process's own.
    Raises SupersededError when another has taken over the work, StorageError when the database was away for too long.
    """
    old = unfinished.with_suffix(".old")

    def rename() -> None:
        if path.is_dir() and unfinished.exists():
            path.rename(old)
        if unfinished.exists():  # else this is done, and only the end of the transaction had no answer
            unfinished.replace(path)

    def held() -> None:
        assert _work is not None
        with _work.fence.held():
            rename()

    if _work is None:
        rename()
    elif ask:
        _work.wait(held)
    else:
        try:
            held()
        except StorageError:
            rename()
    shutil.rmtree(old, ignore_errors=True)  # many files take long: not while others wait for the token


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file that survives a power cut whole, or not at all. Raises as `publish` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = aside(path)
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:  # on a full disk nothing half written is in the way
        unfinished.unlink(missing_ok=True)
        raise
    publish(unfinished, path)


def read_json(path: Path) -> Any | None:
    """Return the content of a JSON file, or None when there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Replace a folder by a new one that `fill` fills; what is there is never half written. Raises as `publish` does."""
    for left in path.parent.glob(f"{path.name}.*"):  # of whoever was killed here; as large as a model
        shutil.rmtree(left, ignore_errors=True)
    unfinished = aside(path)
    unfinished.mkdir(parents=True)
    try:
        fill(unfinished)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    publish(unfinished, path)
