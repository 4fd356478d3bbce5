"""The layout of a data folder: where everything of a study lies. Paths are relative to the data folder."""

from __future__ import annotations

import os
from pathlib import Path

from coref_k8s.errors import RequestError
from coref_k8s.study.spec import StudySpec

#: Folder of everything that is written, when nothing else is said (relative to the working directory).
DEFAULT_DATA_DIR = "data"
#: Name of the event file below the data folder.
BUS_NAME = "coref_automl_bus.ndjson"
#: Name of the database file below the data folder.
DATABASE_NAME = "coref.db"


def trial_folder(spec: StudySpec, study: str, seq_len: int, trial: int) -> str:
    """`studies/<study>/<len>/<trial>`: the folder of a trial below the data root.

    Where a study has one thing to do, a second trial (after the first has failed and the study was resumed) is
    that same thing, and goes on in its folder.
    """
    number = trial if spec.purpose.kind == "search" else 0
    return f"studies/{study}/{seq_len}/{number}"


def expanded(path: str | Path) -> Path:
    """Return an absolute path, with `~` as the user's home folder; raise RequestError when there is none."""
    found = os.path.expanduser(path)
    if found.startswith("~"):
        raise RequestError("settings.no-home", path=str(path))
    return Path(found).absolute()
