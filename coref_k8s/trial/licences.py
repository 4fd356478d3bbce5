"""Licences that a model keeps to: that of its base model, as its own card says, and those of the data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

#: What a card says where the licence is unknown.
UNKNOWN = "unknown"


def licence_of(model: str, revision: str | None = None) -> str:
    """Return the licence in the front matter of a model's card (folder or hub id); `unknown` without one."""
    path = Path(model) / "README.md" if Path(model).is_dir() else _from_hub(model, revision)
    if path is None or not path.is_file():
        return UNKNOWN
    head = path.read_text(encoding="utf-8", errors="replace").split("---\n")
    if len(head) < 3 or head[0].strip():
        return UNKNOWN
    try:
        found = yaml.safe_load(head[1])
    except yaml.YAMLError:
        return UNKNOWN
    licence = found.get("license") if isinstance(found, dict) else None
    return str(licence) if licence else UNKNOWN


def licences_of(statistics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the licences of the sources that gave documents (`corpus.licences.Licensed`), by the source's name."""
    every = statistics.get("licences", {})
    return {name: one for name, one in every.items() if statistics["read"].get(name)}


def _from_hub(model: str, revision: str | None) -> Path | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(hf_hub_download(model, "README.md", revision=revision))
    except (EntryNotFoundError, OSError, ValueError):
        return None  # no card, or no hub to ask: the model itself came from the cache
