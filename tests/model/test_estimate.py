"""The memory estimate against measured peaks of whole training steps on the CPU, float32."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from coref_k8s.model import head, tiles
from coref_k8s.sizing import estimate as sizing
from coref_k8s.sizing.estimate import estimate
from coref_k8s.sizing.shape import KF_DEBERTA_BASE, ModelShape

#: Those of SHAPES that are measured by default: each path, with and without the gradients of an earlier batch.
FEW = (1, 3, 8, 11, 13)

# layers, hidden, heads, vocabulary, buckets, length, batch, attention, checkpointing, accumulating
SHAPES = [
    (2, 256, 4, 8000, 64, 512, 4, "blocked", False, True),
    (4, 256, 4, 8000, 64, 512, 4, "blocked", True, True),
    (2, 256, 4, 8000, 64, 512, 4, "blocked", False, False),
    (3, 256, 4, 40000, 128, 384, 2, "blocked", False, False),
    (6, 192, 3, 12000, 64, 300, 6, "blocked", False, True),
    (8, 128, 2, 30000, 32, 700, 3, "blocked", False, True),
    (8, 128, 2, 30000, 32, 700, 3, "blocked", True, False),
    (1, 512, 8, 20000, 256, 256, 4, "blocked", False, True),
    (4, 384, 6, 16000, 128, 1024, 1, "blocked", False, True),
    (4, 384, 6, 16000, 128, 1024, 1, "blocked", True, False),
    (2, 256, 4, 100000, 64, 256, 1, "blocked", False, True),
    (5, 320, 5, 5000, 64, 640, 2, "blocked", False, False),
    (2, 256, 4, 8000, 64, 512, 2, "eager", False, True),
    (4, 192, 3, 12000, 64, 600, 1, "eager", False, False),
]


def as_case(shape):
    names = "layers hidden heads vocabulary buckets length batch attention checkpointing accumulating"
    case = dict(zip(names.split(), shape, strict=True))
    return case | {"intermediate": 4 * case["hidden"]}


def measured(cases):
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    script = Path(__file__).with_name("peak_memory.py")
    environment["PYTHONPATH"] = str(script.parents[2])
    done = subprocess.run(
        [sys.executable, str(script)],
        input=json.dumps(cases),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def predicted(case):
    shape = ModelShape(
        case["layers"],
        case["hidden"],
        case["heads"],
        case["intermediate"],
        case["vocabulary"],
        case["buckets"],
        True,
    )
    return estimate(
        shape,
        case["length"],
        case["batch"],
        checkpointing=case["checkpointing"],
        bf16=False,
        attention=case["attention"],
        device="cpu",
        accumulating=case["accumulating"],
    )


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from Linux's /proc")
@pytest.mark.parametrize(
    "chosen", [FEW, pytest.param(range(len(SHAPES)), marks=pytest.mark.slow)], ids=["few", "all"]
)
def test_measured_peaks(chosen):
    cases = [as_case(SHAPES[number]) for number in chosen]
    errors = {}
    for case, peak in zip(cases, measured(cases), strict=True):
        errors[json.dumps(case)] = abs(predicted(case).total / peak - 1)
    worst = max(errors, key=errors.__getitem__)
    assert errors[worst] <= 0.10, f"{errors[worst]:.3f} for {worst}"
    assert statistics.median(errors.values()) <= 0.05


def test_constants_are_the_models_own():
    assert sizing.HEAD_CHUNK_BYTES == head.CHUNK_BYTES
    assert sizing.TILE_ELEMENTS == {"cpu": tiles.TILE_ELEMENTS_CPU, "cuda": tiles.TILE_ELEMENTS_GPU}


def test_lean_memory_follows_tokens_and_eager_memory_the_square():
    def activations(length, batch, attention):
        return estimate(KF_DEBERTA_BASE, length, batch, checkpointing=False, attention=attention).activations

    assert activations(2048, 4, "blocked") == pytest.approx(activations(512, 16, "blocked"), rel=0.01)
    assert activations(2048, 4, "eager") > 2 * activations(512, 16, "eager")
    lean = estimate(KF_DEBERTA_BASE, 2048, 4, checkpointing=True)
    assert lean.total < estimate(KF_DEBERTA_BASE, 2048, 4, checkpointing=False).total
