"""What several rooms do with files of a data folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Let one process of this machine at a time fill a folder; others wait. Yields whether that could be had.

    Where the file system knows no locks, two may do the same work: who fills a folder gives it, or its files, their names
    only when they are whole.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
            had = True
        except (ImportError, OSError):
            had = False
        yield had
