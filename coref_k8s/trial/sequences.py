"""Prepared sequences, read straight from the memory map: nothing is converted to Python lists."""

from __future__ import annotations

from typing import Any

import numpy as np
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

    def __init__(self, dataset: Any) -> None:
        """Take a `datasets.Dataset` with the columns of `corpus.prepared`; raises DataError for others."""
        missing = sorted(set(_COLUMNS) - set(dataset.column_names))
        if missing:
            raise DataError(f"prepared data lacks the column(s) {', '.join(missing)}; prepare it again")
        if not len(dataset):
            raise DataError("prepared data holds no training sequence; give more text or a lower filter")
        table = dataset.with_format("arrow")[:]
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
