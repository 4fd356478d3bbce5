"""The memory estimate against measured peaks of whole training steps on the CPU, float32."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from coref_k8s.coref import training
from coref_k8s.coref.head import CorefHead, HeadSizes
from coref_k8s.model import head, tiles
from coref_k8s.sizing import estimate as sizing
from coref_k8s.sizing import head as sizing_head
from coref_k8s.sizing.batch import plan_batch
from coref_k8s.sizing.estimate import estimate
from coref_k8s.sizing.head import HeadShape
from coref_k8s.sizing.shape import KF_DEBERTA_BASE, ModelShape, shape_of
from coref_k8s.study.reading import build_spec
from coref_k8s.trial.invented import invented_head

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

#: Those of OTHERS that are measured by default.
FEW_OTHERS = (0, 4, 9, 11)

# kind, mentions a token (of coreference; 0 is a masked LM), then as above, without the attention
OTHERS = [
    ("bert", 0, 4, 256, 4, 8000, 0, 512, 2, False, True),
    ("bert", 0, 4, 256, 4, 8000, 0, 512, 2, True, True),
    ("bert", 0, 2, 384, 6, 30000, 0, 256, 2, False, False),
    ("bert", 0, 3, 256, 8, 8000, 0, 1024, 1, False, True),
    ("modernbert", 0, 4, 256, 4, 8000, 0, 512, 2, False, True),
    ("modernbert", 0, 4, 256, 4, 8000, 0, 1024, 1, True, True),
    ("modernbert", 0, 6, 384, 6, 30000, 0, 384, 2, False, False),
    ("bert", 0.125, 6, 192, 3, 12000, 0, 400, 4, False, False),
    ("modernbert", 0.125, 4, 256, 4, 8000, 0, 1024, 2, True, True),
    ("modernbert", 0.125, 4, 256, 4, 8000, 0, 512, 2, False, True),
    ("deberta-v2", 0.04, 4, 256, 4, 8000, 64, 512, 3, True, True),
    ("deberta-v2", 0.125, 1, 256, 4, 8000, 64, 1024, 4, False, True),
    ("deberta-v2", 0.125, 2, 384, 6, 20000, 64, 512, 2, False, False),
]


def as_case(shape):
    names = "layers hidden heads vocabulary buckets length batch attention checkpointing accumulating"
    case = dict(zip(names.split(), shape, strict=True))
    return case | {"intermediate": 4 * case["hidden"]}


def as_other_case(shape):
    kind, mentions, *sizes = shape
    names = "layers hidden heads vocabulary buckets length batch checkpointing accumulating"
    case = dict(zip(names.split(), sizes, strict=True))
    factor = 1.5 if kind == "modernbert" else 4
    more = {"intermediate": int(factor * case["hidden"]), "mentions": mentions}
    more["task"] = "coreference" if mentions else "mentions"
    return case | more | {"kind": kind, "attention": "blocked" if kind == "deberta-v2" else "auto"}


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
    kind = case.get("kind", "deberta-v2")
    shape = ModelShape(
        case["layers"],
        case["hidden"],
        case["heads"],
        case["intermediate"],
        case["vocabulary"],
        case["buckets"],
        True,
        kind=kind,
        positions=2050 if kind == "bert" else 0,
        drops=kind != "modernbert",
        drops_attention=kind != "modernbert",
        windowed=kind == "modernbert",
    )
    mentions = case.get("mentions", 0.0)
    head = invented_head(case["length"] * case["batch"], mentions) if mentions else None
    return estimate(
        shape,
        case["length"],
        case["batch"],
        checkpointing=case["checkpointing"],
        bf16=False,
        attention=case["attention"],
        device="cpu",
        accumulating=case["accumulating"],
        head=head,
    )


CASES = [as_case(shape) for shape in SHAPES]
OTHER_CASES = [as_other_case(shape) for shape in OTHERS]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from Linux's /proc")
@pytest.mark.parametrize(
    "cases",
    [
        pytest.param([CASES[number] for number in FEW], id="few"),
        pytest.param([OTHER_CASES[number] for number in FEW_OTHERS], id="few-others"),
        pytest.param(CASES, id="all", marks=pytest.mark.slow),
        pytest.param(OTHER_CASES, id="all-others", marks=pytest.mark.slow),
    ],
)
def test_measured_peaks(cases):
    errors = {}
    for case, peak in zip(cases, measured(cases), strict=True):
        errors[json.dumps(case)] = abs(predicted(case).total / peak - 1)
    worst = max(errors, key=errors.__getitem__)
    assert errors[worst] <= 0.10, f"{errors[worst]:.3f} for {worst}"
    assert statistics.median(errors.values()) <= 0.05


def test_constants_are_the_models_own():
    assert (sizing.HEAD_CHUNK_BYTES, sizing.HEAD_WORDS) == (head.CHUNK_BYTES, head.WORDS)
    assert sizing_head.BLOCK == training.BLOCK
    weights = sum(parameter.numel() for parameter in CorefHead(HeadSizes(96)).parameters())
    assert HeadShape().parameters(96) == pytest.approx(weights, rel=1e-3)
    assert sizing.TILE_ELEMENTS == {"cpu": tiles.TILE_ELEMENTS_CPU, "cuda": tiles.TILE_ELEMENTS_GPU}


def test_a_trial_of_coreference_is_sized_by_its_head():
    def batch(**request):
        return plan_batch(build_spec(seq_lengths=[2048], **request), 2048)

    ours, theirs = batch(), batch(task="coreference")
    assert theirs.effective_batch == ours.effective_batch
    # without the head of 130,000 words, with the states of all windows for its own
    shape = shape_of("kakaobank/kf-deberta-base")
    head = HeadShape()
    one = estimate(shape, 2048, 1, checkpointing=False, head=head)
    four = estimate(shape, 2048, 4, checkpointing=False, head=head)
    assert one.weights == 4 * (shape.encoder_parameters + head.parameters(768))
    assert four.activations > 3.5 * one.activations


def test_lean_memory_follows_tokens_and_eager_memory_the_square():
    def activations(length, batch, attention):
        return estimate(KF_DEBERTA_BASE, length, batch, checkpointing=False, attention=attention).activations

    assert activations(2048, 4, "blocked") == pytest.approx(activations(512, 16, "blocked"), rel=0.01)
    assert activations(2048, 4, "eager") > 2 * activations(512, 16, "eager")
    lean = estimate(KF_DEBERTA_BASE, 2048, 4, checkpointing=True)
    assert lean.total < estimate(KF_DEBERTA_BASE, 2048, 4, checkpointing=False).total
