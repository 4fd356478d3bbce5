"""A trial's folder, and files that are whole or not there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrialFolder:
    """What a trial leaves behind."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints; gone when the trial is finished."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """The trained model with its tokeniser, as `from_pretrained` reads it."""
        return self.path / "model"

    @property
    def result(self) -> Path:
        """Score, metrics, parameters and measurements."""
        return self.path / "result.json"

    @property
    def losses(self) -> Path:
        """Training loss of every step (nats), a JSON list."""
        return self.path / "losses.json"

    def items(self, split: str) -> Path:
        """Scores of every evaluation item of a split, for paired comparisons."""
        return self.path / f"items-{split}.json"


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file that survives a power cut whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with aside.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def read_json(path: Path) -> Any | None:
    """Return the content of a JSON file, or None when there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Replace a folder by a new one that `fill` fills; what is there is never half written."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    fill(aside)
    if path.exists():
        shutil.rmtree(path)
    aside.rename(path)
