"""One controller a study on one machine: a locked file with the controller's process id in it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coref_k8s.errors import RequestError
from coref_k8s.study.paths import lock_file


@contextmanager
def controller_lock(data_dir: Path, study: str) -> Iterator[None]:
    """Be the only controller of a study. Raises RequestError with the process id of the one there is.

    The lock is the kernel's, so it is free again however its owner dies.
    """
    path = data_dir / lock_file(study)
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = file.read().strip() or "unknown"
            raise RequestError("local.run-by-another", study=study, process=owner) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def is_running(data_dir: Path, study: str) -> bool:
    """Whether a controller works on the study at this moment."""
    if not (data_dir / lock_file(study)).exists():
        return False
    try:
        with controller_lock(data_dir, study):
            return False
    except RequestError:
        return True
