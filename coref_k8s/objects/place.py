"""Whole folders in object storage, each complete or not there.

A folder `studies/korean/512/7` is kept as

studies/korean/512/7/.folder/<sha256>     its files, by what is in them
studies/korean/512/7/.folder/index.json   their names, sizes (bytes) and sums: written last, read first

so a folder that is being written, or whose writer died, is still the one before; and what is the same in both is not
sent again. Objects that people have put there themselves (`models/my-encoder/config.json`) are read as they are.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from coref_k8s.errors import DataError, ObjectStoreError
from coref_k8s.files import alone, sha256_of
from coref_k8s.objects.bucket import Bucket
from coref_k8s.wording import Message

#: Below a folder's name: its files and their index.
_INSIDE, _INDEX = ".folder", "index.json"
#: Times that a folder is read anew which is replaced while it is read.
_READS = 5

#: Which files of a folder are meant, by their path in it.
Wanted = Callable[[str], bool]


def everything(path: str) -> bool:
    """Want every file."""
    return True


def _is_aside(path: Path) -> bool:
    """Tell whether a file is one that is being written, which has its name only when it is whole."""
    return path.suffix == ".tmp" or any(part.startswith(".") for part in path.parts)


@dataclass(frozen=True)
class _File:
    """A file of a folder in the store."""

    key: str
    size: int
    sha256: str | None
    """None of what people have put there: it is taken as it is."""
    written: float = 0.0
    """When people have put it there (seconds since 1970)."""

    def is_at(self, path: Path) -> bool:
        """Tell whether the file is on the disk already, to the byte."""
        if not path.is_file() or (stat := path.stat()).st_size != self.size:
            return False
        return stat.st_mtime == self.written if self.sha256 is None else sha256_of(path) == self.sha256


class Place:
    """The folders below one address. Every method raises ObjectStoreError when the store is away or refuses."""

    def __init__(
        self, uri: str, secret: Path | None = None, *, warn: Callable[[Message], None] = lambda _: None
    ) -> None:
        """`secret` is a folder with a file for each credential; without, they come from the environment."""
        self.uri = uri.rstrip("/")
        self._bucket = Bucket(self.uri, secret)
        self._warn = warn
        self._sums: dict[tuple[str, int, int], str] = {}

    def put(
        self,
        name: str,
        folder: Path,
        wanted: Wanted = everything,
        *,
        adds: bool = False,
        held: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Keep the wanted files of a folder; they replace what was kept under this name, or are added to it.

        `held` is entered when all is sent, while it begins to count; what that raises leaves the folder that was there.
        """
        there = self._bucket.below(f"{name}/{_INSIDE}")
        files = {}
        for path in sorted(folder.rglob("*")):
            relative = path.relative_to(folder)
            if path.is_file() and not _is_aside(relative) and wanted(relative.as_posix()):
                files[relative.as_posix()] = self._sent(name, path, there)
        known = self._index(name) if adds else None
        self._commit(name, {**(known or {}), **files}, there, held)

    def get(self, name: str, folder: Path, wanted: Wanted = everything) -> bool:
        """Bring the wanted files that `folder` lacks or has otherwise; return whether there is anything of that name.

        One process of a machine at a time does so. Files appear whole. Raises DataError, with all others in place, for
        one that is not what was sent.
        """
        for _ in range(_READS):
            files = {path: file for path, file in self._files(name).items() if wanted(path)}
            if not files:
                return self.exists(name)
            with alone(folder) as had:
                if had:  # what one left that was killed
                    for left in folder.parent.glob(f".{folder.name}-*"):
                        shutil.rmtree(left, ignore_errors=True)
                if self._brought(files, folder):
                    return True
        raise ObjectStoreError("objects.always-replaced", uri=self.uri, name=name)

    def exists(self, name: str) -> bool:
        """Tell whether there is a folder of that name."""
        return bool(self._files(name))

    def list(self, prefix: str) -> list[str]:
        """Return the names of the folders that were put below a prefix."""
        ending = f"/{_INSIDE}/{_INDEX}"
        return sorted(key.removesuffix(ending) for key in self._bucket.below(prefix) if key.endswith(ending))

    def delete(self, prefix: str) -> None:
        """Delete a folder, and every folder below it; a store that keeps its objects warns, and they are not read."""
        keys = sorted(self._bucket.below(prefix), key=lambda key: not key.endswith(f"/{_INDEX}"))
        self._bucket.delete(keys)

    def drop(
        self,
        name: str,
        unwanted: Wanted,
        *,
        held: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Delete some files of a folder that was put; `held` as in `put`."""
        index = self._index(name)
        if index is not None and any(unwanted(path) for path in index):
            there = self._bucket.below(f"{name}/{_INSIDE}")
            self._commit(
                name, {path: file for path, file in index.items() if not unwanted(path)}, there, held
            )

    # -- writing -----------------------------------------------------------------------------------------

    def _sent(self, name: str, path: Path, there: Mapping[str, Any]) -> _File:
        """Return a file that is in the store, sent there where it was not."""
        stat = path.stat()
        known = str(path), stat.st_size, stat.st_mtime_ns
        if known not in self._sums:
            self._sums[known] = sha256_of(path)
        sha256 = self._sums[known]
        key = f"{name}/{_INSIDE}/{sha256}"
        if key not in there or there[key]["size"] != stat.st_size:
            self._bucket.write(key, path)
        return _File(key, stat.st_size, sha256)

    def _commit(
        self,
        name: str,
        files: Mapping[str, _File],
        there: Mapping[str, Any],
        held: Callable[[], AbstractContextManager[None]],
    ) -> None:
        index = {path: {"size": file.size, "sha256": file.sha256} for path, file in files.items()}
        marker = f"{name}/{_INSIDE}/{_INDEX}"
        content = json.dumps(index, ensure_ascii=False, indent=1).encode()
        with held():
            self._bucket.write(marker, content, once=True)
        needless = {*there} - {marker} - {file.key for file in files.values()}
        try:
            self._bucket.delete(sorted(needless))
        except ObjectStoreError as error:  # it costs space, and nothing else
            self._warn(Message.of("objects.not-deleted", uri=self.uri, name=name, why=error.message))

    # -- reading -----------------------------------------------------------------------------------------

    def _index(self, name: str) -> dict[str, _File] | None:
        """Return the files of a folder that was put, by path; None when none was. Raises DataError."""
        text = self._bucket.read(f"{name}/{_INSIDE}/{_INDEX}")
        if text is None:
            return None
        try:
            found = {
                path: _File(f"{name}/{_INSIDE}/{one['sha256']}", int(one["size"]), str(one["sha256"]))
                for path, one in json.loads(text).items()
            }
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError("objects.no-index", uri=self.uri, name=name) from error
        if any(path.startswith("/") or ".." in PurePosixPath(path).parts for path in found):
            raise DataError("objects.no-index", uri=self.uri, name=name)
        return found

    def _files(self, name: str) -> dict[str, _File]:
        """Return the files of a folder by path, put there by us or by people; empty when there is none.

        The name may be one of a folder, or of a file, in a folder that was put; of a single file the path is empty.
        """
        path = PurePosixPath(name)
        for folder in (path, *path.parents[:-1]):
            if (index := self._index(str(folder))) is not None:
                inside = path.relative_to(folder)
                return {
                    "" if str(inside) == one else str(PurePosixPath(one).relative_to(inside)): file
                    for one, file in index.items()
                    if PurePosixPath(one).is_relative_to(inside)
                }
        found = self._bucket.below(name) or self._bucket.about(name)
        return {
            key[len(name) + 1 :]: _File(key, one["size"], None, one["last_modified"].timestamp())
            for key, one in found.items()
            if _INSIDE not in PurePosixPath(key).parts
        }

    def _brought(self, files: Mapping[str, _File], folder: Path) -> bool:
        """Bring what is missing; return False when it was replaced meanwhile."""
        missing = {path: file for path, file in files.items() if not file.is_at(folder / path)}
        if not missing:
            return True
        damaged = []
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as name:
            aside = Path(name)
            for number, (path, file) in enumerate(missing.items()):
                if not self._bucket.fetch(file.key, aside / str(number), file.size):
                    return False
                if file.sha256 not in (None, sha256_of(aside / str(number))):
                    damaged.append(path)
            for number, (path, file) in enumerate(missing.items()):
                if path not in damaged:
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    if file.sha256 is None:
                        os.utime(aside / str(number), (file.written, file.written))
                    (aside / str(number)).replace(folder / path)
        if damaged:
            raise DataError("objects.damaged", uri=self.uri, name=files[damaged[0]].key, files=damaged)
        return True
