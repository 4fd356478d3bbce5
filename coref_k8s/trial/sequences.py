"""Prepared sequences, read straight from the memory map: nothing is converted to Python lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow
from numpy.typing import NDArray

from coref_k8s.errors import DataError
from coref_k8s.trial.masking import TokenSequence

_COLUMNS = {
    "input_ids": np.int64,
    "segments": np.int64,
    "word_starts": np.bool_,
    "mention_start": np.int64,
    "mention_end": np.int64,
    "mention_entity": np.int64,
    "mention_distance": np.int64,
}


class Sequences:
    """The training sequences of one length, by row number; pages come in as they are touched."""

    def __init__(self, file: Path) -> None:
        """Map the rows that `corpus.prepared` describes; raises DataError when they cannot be read.

        The file is read by pyarrow itself: importing `datasets` would cost every trial a second.
        """
        try:
            table = pyarrow.ipc.open_stream(pyarrow.memory_map(str(file))).read_all()
        except (OSError, pyarrow.ArrowInvalid) as error:
            raise DataError("corpus.damaged", file=str(file), why=str(error)) from error
        missing = sorted(set(_COLUMNS) - set(table.column_names))
        if missing:
            raise DataError("trial.missing-columns", file=str(file), missing=missing)
        if not len(table):
            raise DataError("trial.no-sequence", file=str(file))
        self._columns = {name: table.column(name).chunks for name in _COLUMNS}
        sizes = [len(chunk) for chunk in self._columns["input_ids"]]
        self._firsts = np.concatenate(([0], np.cumsum(sizes)))[:-1]
        self.lengths: NDArray[np.int64] = np.concatenate(
            [np.diff(chunk.offsets.to_numpy()) for chunk in self._columns["input_ids"]]
        ).astype(np.int64)
        """Tokens of each sequence, (rows,)."""

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> TokenSequence:
        chunk = int(np.searchsorted(self._firsts, row, side="right")) - 1
        at = int(row - self._firsts[chunk])
        values = {
            name: self._columns[name][chunk][at].values.to_numpy(zero_copy_only=False).astype(kind)
            for name, kind in _COLUMNS.items()
        }
        return TokenSequence(**values)
