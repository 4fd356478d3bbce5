"""Rows of the prepared training data: their columns, and how a sequence of pieces becomes one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coref_k8s.corpus.packing import Piece

#: Columns of type list[int32]; `word_starts` is list[bool].
INT_COLUMNS = ("input_ids", "segments", "mention_start", "mention_end", "mention_entity", "mention_distance")
BOOL_COLUMNS = ("word_starts",)
_BATCH = 128


def make_row(pieces: Sequence[Piece], cls_id: int, sep_id: int) -> dict[str, np.ndarray]:
    """Return one sequence as columns; see prepared.py for what each means."""
    ids, segments, starts, mentions = [], [], [], []
    offset = entities = 0
    for number, piece in enumerate(pieces):
        encoded, length = piece.encoded, piece.end - piece.start
        ids.append(np.concatenate([[cls_id], encoded.ids[piece.start : piece.end], [sep_id]]))
        segments.append(np.full(length + 2, number))
        starts.append(np.concatenate([[False], encoded.word_starts[piece.start : piece.end], [False]]))
        inside = encoded.mentions[
            (encoded.mentions[:, 0] >= piece.start) & (encoded.mentions[:, 1] <= piece.end)
        ]
        table = _repeated(inside)
        if len(table):
            table[:, :2] += offset + 1 - piece.start
            table[:, 2] += entities
            entities = int(table[:, 2].max()) + 1
            mentions.append(table)
        offset += length + 2
    found = np.concatenate(mentions) if mentions else np.zeros((0, 4), dtype=np.int32)
    columns = dict(zip(INT_COLUMNS[2:], found.T, strict=True))
    return {
        "input_ids": np.concatenate(ids).astype(np.int32),
        "segments": np.concatenate(segments).astype(np.int32),
        "word_starts": np.concatenate(starts).astype(bool),
        **{name: np.ascontiguousarray(column, dtype=np.int32) for name, column in columns.items()},
    }


def _repeated(mentions: np.ndarray) -> np.ndarray:
    """Keep entities with two mentions or more; add the distance (tokens) to the mention before, -1 for the first."""
    counts: dict[int, int] = {}
    for entity in mentions[:, 2].tolist():
        counts[entity] = counts.get(entity, 0) + 1
    last: dict[int, int] = {}
    numbers: dict[int, int] = {}
    rows = []
    for start, end, entity in mentions.tolist():
        if counts[entity] > 1:
            # a mention nested in the one before of its own entity is at distance 0
            distance = max(0, start - last[entity]) if entity in last else -1
            rows.append((start, end, numbers.setdefault(entity, len(numbers)), distance))
            last[entity] = max(end, last.get(entity, 0))
    return np.asarray(rows, dtype=np.int32).reshape(-1, 4)


class RowWriter:
    """Writes rows to an Arrow stream that `datasets` maps into memory; bounded memory itself."""

    def __init__(self, path: Path) -> None:
        import pyarrow

        fields = [pyarrow.field(name, pyarrow.list_(pyarrow.int32())) for name in INT_COLUMNS]
        fields += [pyarrow.field(name, pyarrow.list_(pyarrow.bool_())) for name in BOOL_COLUMNS]
        self._arrow = pyarrow
        self._schema = pyarrow.schema(fields)
        self._file = path.open("wb")
        self._stream = pyarrow.ipc.new_stream(self._file, self._schema)
        self._rows: list[dict[str, np.ndarray]] = []
        self.count = 0

    def write(self, row: dict[str, np.ndarray]) -> None:
        """Add one row."""
        self._rows.append(row)
        self.count += 1
        if len(self._rows) >= _BATCH:
            self._flush()

    def close(self) -> None:
        """Write what is left and close the file."""
        self._flush()
        self._stream.close()
        self._file.close()

    def _flush(self) -> None:
        if self._rows:
            arrays: list[Any] = [
                self._arrow.array([row[field.name] for row in self._rows], type=field.type)
                for field in self._schema
            ]
            self._stream.write_batch(self._arrow.record_batch(arrays, schema=self._schema))
            self._rows = []
