"""A data folder, and what of it is kept in object storage: brought before it is read, kept when it is whole.

Names are those of `coref_k8s.study.paths`, relative to the data folder. Without a store the folder is all there is,
as on one machine and on a shared volume, and nothing here does anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path, PurePosixPath

from coref_k8s.objects.place import Place
from coref_k8s.settings import Settings
from coref_k8s.wording import Message


class Mirror:
    """The data folder of a process. Methods raise ObjectStoreError when the store is away or refuses.

    `wait` calls what needs the store, and may call it again; `held` is entered while what was sent begins to count.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        warn: Callable[[Message], None] = lambda _: None,
        wait: Callable[[Callable[[], object]], object] = lambda call: call(),
        held: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.data_dir = settings.data_dir
        uri, secret = settings.object_store, settings.object_store_secret
        self._place = Place(uri, secret, warn=warn) if uri else None
        self._wait, self._held = wait, held

    def fetch(self, name: str | Path, *, only: tuple[str, ...] = ("",), leave: tuple[str, ...] = ()) -> None:
        """Bring a folder, or a file; of what is in it `only` some, or all but what to `leave`.

        What is not in the store is left as it is here, and so is what lies outside of the data folder. Raises DataError
        for what is not what was sent, with the rest in place.
        """
        place, path = self._place, Path(os.path.normpath(self.data_dir / name))
        if place is not None and path.is_relative_to(self.data_dir):
            relative = path.relative_to(self.data_dir).as_posix()
            self._wait(
                lambda: place.get(relative, path, lambda one: _below(one, only) and not _below(one, leave))
            )

    def holds(self, name: str) -> bool:
        """Tell whether there is a folder, or a part of one, of that name in the store."""
        return self._place is not None and self._place.exists(name)

    def keep(
        self, name: str, *, leave: tuple[str, ...] = (), adds: bool = False, at_once: bool = False
    ) -> None:
        """Keep a folder as it is now, but for what to `leave`; `adds`: and what is kept of it already.

        Until all is sent, the one before is kept. `at_once` raises ObjectStoreError instead of waiting.
        """
        place = self._place
        if place is None:
            return

        def put() -> None:
            place.put(
                name,
                self.data_dir / name,
                lambda path: not _below(path, leave),
                adds=adds,
                held=self._held,
            )

        put() if at_once else self._wait(put)

    def drop(self, name: str, part: str) -> None:
        """Keep a folder without this part of it from now on. Does not wait: it is only space."""
        if self._place is not None:
            self._place.drop(name, lambda path: _below(path, (part,)), held=self._held)

    def delete(self, name: str) -> None:
        """Keep a folder, and those below it, no longer."""
        place = self._place
        if place is not None:
            self._wait(lambda: place.delete(name))


def _below(path: str, parts: tuple[str, ...]) -> bool:
    """Tell whether a path is one of the parts, or in one; everything is in `""`."""
    return any(PurePosixPath(path).is_relative_to(part) for part in parts)
