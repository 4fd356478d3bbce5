"""Finds prepared data by what a user calls them, and reads their statistics; `coref-k8s data show` prints these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from coref_k8s.errors import DataError, NotFoundError
from coref_k8s.study.paths import PREPARED, STATISTICS_FILE


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
