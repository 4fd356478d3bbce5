"""A study as one file, from one database to another; and files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from coref_k8s.controller.portable import from_file, renamed, restore
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import RequestError, reason
from coref_k8s.store import Store


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises RequestError when it cannot be written."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            part.write_bytes(data)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise RequestError("client.cannot-write", file=str(path), why=reason(error)) from error


def import_study(path: Path, storage_url: str, *, name: str | None = None, namespace: str = "") -> StudyView:
    """Take a study from a file into a database, under another name if one is given; return it.

    Raises RequestError for a name that is taken, DataError for a file that is not whole.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RequestError("client.cannot-read", file=str(path), why=reason(error)) from error
    view = from_file(data, str(path))
    if name is not None:
        view = renamed(view, name)
    store = Store(storage_url)
    try:
        restore(store, namespace, view)
    finally:
        store.close()
    return view
