"""A file of Python objects that are too many to hold in memory: append, then read by number."""

from __future__ import annotations

import pickle
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


class Spool(Generic[T]):
    """Holds objects on disk and 8 bytes of each in memory."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._places = array("Q")
        self._end = 0

    def append(self, item: T) -> None:
        """Add an object."""
        self._file.seek(self._end)
        self._places.append(self._end)
        self._end += self._file.write(pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL))

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> T:
        self._file.seek(self._places[number])
        item: T = pickle.load(self._file)
        return item

    def __iter__(self) -> Iterator[T]:
        return (self[number] for number in range(len(self)))

    def close(self) -> None:
        """Close the file; it is left on disk."""
        self._file.close()
