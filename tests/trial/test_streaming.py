"""However large the prepared data are: training reads them from the disk, and what it holds of them grows by a few bytes a row."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

FEW, MANY, TOKENS = 2_000, 16_000, 1024
#: Reads every row in the order of training, with the last one's step made whole, and tells how much memory of its own that took (bytes).
READER = """
import sys
from pathlib import Path
from coref_k8s.trial.batches import MaskedSource, StepPlan
from coref_k8s.trial.hyperparameters import Hyperparameters
from coref_k8s.trial.masking import Masker, Vocabulary
from coref_k8s.trial.sequences import Sequences

def own():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))

before = own()
rows = Sequences(Path(sys.argv[1]))
plan = StepPlan(rows.lengths, 8, 0)
source = MaskedSource(rows, plan, Masker(Vocabulary(1000, mask=4, pad=0, special=()), Hyperparameters(), 1024), 0)
steps = len(rows) // 8
tokens = sum(len(rows[row].input_ids) for row in range(len(rows)))
for number in range(0, steps, max(1, steps // 20)):
    for batch, weight in source.step(number).batches(8):
        assert batch["input_ids"].shape == (8, 1024)
print(own() - before, tokens)
"""


def write(file: Path, rows: int) -> int:
    """Write prepared sequences; return the size of the file (bytes)."""
    generator = np.random.default_rng(0)
    offsets = pa.array(np.arange(0, 1001 * TOKENS, TOKENS, dtype=np.int32))
    none = pa.ListArray.from_arrays(pa.array(np.zeros(1001, np.int32)), pa.array([], pa.int32()))
    ones = np.ones(1000 * TOKENS, np.int32)

    def table() -> pa.Table:
        ids = pa.array(generator.integers(5, 1000, 1000 * TOKENS, dtype=np.int32))
        return pa.table(
            {
                "input_ids": pa.ListArray.from_arrays(offsets, ids),
                "segments": pa.ListArray.from_arrays(offsets, pa.array(ones)),
                "word_starts": pa.ListArray.from_arrays(offsets, pa.array(ones.astype(bool))),
                **{f"mention_{name}": none for name in ("start", "end", "entity", "distance")},
            }
        )

    with pa.ipc.new_stream(str(file), table().schema) as writer:
        for _ in range(rows // 1000):
            writer.write_table(table())
    return file.stat().st_size


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    sizes, grown = {}, {}
    for rows in (FEW, MANY):
        file = tmp_path / f"{rows}.arrow"
        sizes[rows] = write(file, rows)
        done = subprocess.run(
            [sys.executable, "-c", READER, str(file)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        )
        grown[rows], tokens = map(int, done.stdout.split())
        assert tokens == rows * TOKENS
    more = sizes[MANY] - sizes[FEW]
    assert more > 100e6
    # the plan of an epoch and offsets are a few bytes a row; what the allocator keeps differs from run to run
    assert grown[MANY] - grown[FEW] < 0.15 * more, (grown, sizes)
