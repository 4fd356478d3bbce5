"""Time and memory of steps that calibrating did not measure, predicted from those that it did, and then measured.

    python -m tests.benchmarks.forecast [--task coreference] [--kind bert] [--output json]

One process measures what `calibrate` takes and then eight other shapes of steps, so that errors are ratios within one run; it runs
until each shape's least time has been seen twice. Another measures peaks of memory. Target: no time off by more than 20 %, no peak by more than 10 %, 5 % in the median. On a CPU times are those that the threads have worked.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path

from coref_k8s.client.calibrating import measured_lines
from coref_k8s.sizing.calibration import Calibration, Point, shape_key
from coref_k8s.sizing.shape import shape_of
from coref_k8s.sizing.speed import Step
from coref_k8s.study.reading import build_spec

#: Lengths that are calibrated, and the shapes that are predicted.
LENGTHS = (256, 1024)
SHAPES = (
    Step(256, 6), Step(256, 2, 4), Step(512, 1), Step(512, 4), Step(512, 2, 2, True),
    Step(768, 2), Step(1024, 2, 2), Step(1024, 3, 1, True),
)  # fmt: skip
#: Runs of the process that measures times, at most, and how close a shape's two least times are when there are enough (share).
RUNS, AGREE = 3, 0.05
TIME, MEMORY, MEDIAN = 0.20, 0.10, 0.05


def create_model(folder: Path, kind: str = "deberta-v2") -> Path:
    """Write a random encoder of four layers of width 256, with the shipped tokeniser."""
    from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer

    from coref_k8s.corpus.shipped import shipped_tokenizer
    from coref_k8s.model.small import create_small_model

    tokenizer = AutoTokenizer.from_pretrained(shipped_tokenizer())
    if kind == "deberta-v2":
        create_small_model(
            folder, tokenizer, layers=4, hidden=256, heads=4, intermediate=1024, position_buckets=64
        )
        return folder
    config = AutoConfig.for_model(
        kind, vocab_size=len(tokenizer), hidden_size=256, num_hidden_layers=4, num_attention_heads=4,
        intermediate_size=1024, max_position_embeddings=2048, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def errors(
    model: Path,
    *,
    task: str = "mentions",
    lengths=LENGTHS,
    shapes=SHAPES,
    memory: bool = True,
    runs: int = RUNS,
) -> dict:
    """Return by shape how far predicted times and peaks are off (share).

    A shape's time is its least: others disturb it, nothing makes it less. One run's least may be disturbed as well, so that
    another has to come as close.
    """
    spec = build_spec(
        task=task, model=str(model), seq_lengths=list(lengths), any_length=True, parallelism=1,
        pod={"gpus": 0, "memory": "16Gi"}, data={"sources": [{"source": "gaps:10"}]},
    )  # fmt: skip
    steps = [vars(step) for step in shapes]
    known: dict[Step, list[Point]] = {}
    later: dict[Step, list[Point]] = {}
    for _ in range(runs):
        last: dict[tuple[bool, Step], Point] = {}  # one that was measured again is told again
        for line in measured_lines(spec, model.parent, seconds=True, more=steps):
            if line.pop("kind") == "point":
                more, point = line.pop("more", False), Point(**line)
                last[more, point.step] = point
        for (more, step), point in last.items():
            points = later if more else known
            points[step] = sorted([*points.get(step, []), point], key=attrgetter("seconds"))
        if all(agree(points) for points in [*known.values(), *later.values()]):
            break
    shape = shape_of(str(model))
    found = Calibration(
        device="cpu", gpu=False, memory=0, threads=1, driver="", versions={}, model=str(model), task=task, precision="fp32",
        asked="fp32", shape=shape_key(shape), measured_at=datetime.now(UTC), points=tuple(points[0] for points in known.values()),
    )  # fmt: skip
    speed = found.speed
    assert speed is not None
    seconds = {
        str(step): speed.seconds(step, shape, task) / points[0].seconds - 1 for step, points in later.items()
    }
    peaks = {}
    if memory:
        # what is estimated is a pass beside the gradients of an earlier one
        twice = [{**step, "passes": max(2, step["passes"])} for step in steps]
        lines = measured_lines(spec, model.parent, memory=True, more=twice)
        told = [line for line in lines if line.pop("kind") == "point"]
        peaks = {
            str(one.step): one.estimated / one.peak - 1
            for one in (
                Point(**{k: v for k, v in line.items() if k != "more"}) for line in told if line.get("more")
            )
        }
    return {"seconds": seconds, "peaks": peaks, "calibrated_within": found.error}


def agree(points: list[Point]) -> bool:
    """Say whether the two least times of a shape, sorted, are as good as the same."""
    return len(points) > 1 and points[1].seconds <= (1 + AGREE) * points[0].seconds


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=["mentions", "coreference"], default="mentions")
    parser.add_argument("--kind", default="deberta-v2")
    parser.add_argument("--output", choices=["text", "json"], default="text")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = errors(create_model(Path(folder) / "model", arguments.kind), task=arguments.task)
    times, peaks = ([abs(one) for one in found[name].values()] for name in ("seconds", "peaks"))
    passed = max(times) <= TIME and max(peaks) <= MEMORY and statistics.median(peaks) <= MEDIAN
    if arguments.output == "json":
        print(json.dumps({**found, "pass": passed}))
    else:
        for name in ("seconds", "peaks"):
            for shape, error in found[name].items():
                print(f"{name:8} {shape:75} {error:+.1%}")
        print("pass" if passed else "fail")
    raise SystemExit(0 if passed else 1)


if __name__ == "__main__":
    main()
