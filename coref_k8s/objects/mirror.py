"""A data folder, and what of it is kept in object storage: brought before it is read, sent when it is whole.

Names are those of `coref_k8s.study.paths`, relative to the data folder. Without a store the folder is all there is,
as on one machine and on a shared volume, and nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from coref_k8s.objects.place import Place
from coref_k8s.settings import Settings
from coref_k8s.wording import Message


class Mirror:
    """The data folder of a process. Methods raise ObjectStoreError when the store is away or refuses."""

    def __init__(self, data_dir: Path, place: Place | None) -> None:
        self.data_dir = data_dir
        self.place = place

    @classmethod
    def of(cls, settings: Settings, warn: Callable[[Message], None] = lambda _: None) -> Mirror:
        """Return the one that a process's settings name; `warn` is told what costs nothing but space."""
        uri, secret = settings.object_store, settings.object_store_secret
        return cls(settings.data_dir, Place(uri, secret, warn=warn) if uri else None)

    def fetch(self, name: str, *, only: tuple[str, ...] = (), leave: tuple[str, ...] = ()) -> None:
        """Bring a folder, or a file; of what is in it `only` some, or all but what to `leave`.

        What is not in the store is left as it is here. Raises DataError for what was damaged on the way.
        """
        if self.place is not None:
            self.place.get(
                name,
                self.data_dir / name,
                lambda path: _below(path, only or ("",)) and not _below(path, leave),
            )

    def publish(
        self, name: str, *, leave: tuple[str, ...] = (), confirm: Callable[[], None] = lambda: None
    ) -> None:
        """Keep a folder as it is now, but for what to `leave`; until all is sent, the one before is kept."""
        if self.place is not None:
            self.place.put(name, self.data_dir / name, lambda path: not _below(path, leave), confirm=confirm)

    def drop(self, name: str, part: str) -> None:
        """Keep a folder without this part of it from now on."""
        if self.place is not None:
            self.place.drop(name, lambda path: _below(path, (part,)))


def _below(path: str, parts: tuple[str, ...]) -> bool:
    """Tell whether a path is one of the parts, or in one; everything is in `""`."""
    return any(PurePosixPath(path).is_relative_to(part) for part in parts)
