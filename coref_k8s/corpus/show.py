"""Finds prepared data by what a user calls them, and reads their statistics; `coref-k8s data show` prints these."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from coref_k8s.errors import DataError, NotFoundError
from coref_k8s.study.paths import PREPARED, STATISTICS_FILE
from coref_k8s.wording import Message


def find_prepared(name: str, data_root: Path) -> Path:
    """Return the folder of prepared data: a path, a hash below `data_root/prepared`, or its beginning.

    Raises NotFoundError, which lists what there is.
    """
    root = data_root / PREPARED
    known = sorted(path.parent for path in root.glob(f"*/{STATISTICS_FILE}"))
    places = [Path(name), root / name, *(path for path in known if path.name.startswith(name))]
    for place in places:
        if (place / STATISTICS_FILE).is_file():
            return place
    have = [path.name for path in known] or ["–"]
    raise NotFoundError("corpus.no-such-data", name=name, root=str(root), have=have)


def read_statistics(folder: Path) -> dict[str, Any]:
    """Return the statistics of prepared data. Raises DataError when they cannot be read."""
    try:
        statistics: dict[str, Any] = json.loads((folder / STATISTICS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError("corpus.damaged", file=str(folder / STATISTICS_FILE), why=str(error)) from error
    return statistics


def add_remarks(folder: Path, remarks: Iterable[Message]) -> None:
    """Add sentences to what `data show` and the report say of prepared data; each is said once."""
    statistics = read_statistics(folder)
    said = [*statistics["left_out"], *(one.dump() for one in remarks)]
    statistics["left_out"] = [one for number, one in enumerate(said) if one not in said[:number]]
    unfinished = folder / f".{STATISTICS_FILE}.{os.getpid()}"
    unfinished.write_text(json.dumps(statistics, ensure_ascii=False, indent=1), encoding="utf-8")
    unfinished.replace(folder / STATISTICS_FILE)
