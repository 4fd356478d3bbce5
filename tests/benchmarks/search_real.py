"""The same question on real trials: the score reached in equal time by our search, random search and plain TPE.

    python -m tests.benchmarks.search_real --folder work [--repetitions 5] [--seconds 110] [--pieces 1] [--output json]

Two processes train the small model on the shipped prose (lengths 256 and 512), each way for the same wall time; every
repetition gives all ways the same seed (0, 1, …). What is compared is the strategy: all ways are studies of this
program, `tpe` and `random` without ladder, prior and pruning. A way's score is the mean over the lengths of its best
complete trial's score on dev. Takes repetitions x 3 x seconds; results are kept in the folder, so it can be
run in pieces: `--pieces N` ends after N further studies.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from coref_k8s.controller.view import StudyView

ROOT = Path(__file__).parents[2]
WAYS: dict[str, dict[str, Any]] = {
    "ours": {},
    # Optuna's default: ten random trials first, nothing pruned
    "tpe": {
        "sampler": "tpe",
        "startupTrials": 10,
        "pruner": "none",
        "warmStart": False,
        "defaultsFirst": False,
    },
    "random": {"sampler": "random", "pruner": "none", "warmStart": False, "defaultsFirst": False},
}
SPEC: dict[str, Any] = {
    "seqLengths": [256, 512],
    "anyLength": True,
    "trials": 6,
    "parallelism": 2,
    "data": {"sources": [{"source": "gaps:400"}], "evalItems": 60},
    "training": {"maxSteps": 120, "batchSize": 4, "evaluations": 4, "precision": "fp32"},
    "pod": {"gpus": 0},
}
SPACE = {
    "learning_rate": {"low": 1e-4, "high": 4e-3, "log": True},
    "warmup_ratio": {"low": 0.05, "high": 0.2},
    "mask_low": {"low": 0.04, "high": 0.08},
    "mask_high": {"low": 0.08, "high": 0.12},
    "mention_share": {"low": 0.6, "high": 1.0},
    "position_range": {"choices": ["clamp"]},
    "accumulation": {"choices": [1]},
}


def call(*arguments: str, folder: Path) -> str:
    """Run the program on this machine and return what it printed; 1 is a study that ended by its limit."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        "KUBECONFIG": str(folder / "none"),
    }
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    return done.stdout


def run_study(folder: Path, way: str, seed: int, seconds: float) -> dict[str, Any]:
    """Run one study for `seconds` and return what it reached."""
    data, name = folder / "data", f"{way}-{seed}"
    if not (data / "models/small").is_dir():
        small = str(data / "models/small")
        call("coref_k8s.model.small", small, "--tokenizer", "data/korean/tokenizer", folder=folder)
    spec = {
        **SPEC,
        "model": str(data / "models/small"),
        "seed": seed,
        "search": {**WAYS[way], "space": SPACE},
        "limits": {"maxDuration": seconds},
    }
    file = folder / f"{name}.yaml"
    file.write_text(json.dumps(spec))
    here = ("--local", "--data-dir", str(data))
    call("coref_k8s", "submit", *here, "--file", str(file), "--name", name, folder=folder)
    view = StudyView.from_json(call("coref_k8s", "status", name, *here, "-o", "json", folder=folder))
    best = [one.best.value if one.best is not None and one.best.value else 0.0 for one in view.lengths]
    return {
        "way": way, "seed": seed, "score": statistics.fmean(best), "by_length": best, "trials": view.done,
        "seconds": seconds,
    }  # fmt: skip


def judge(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means, and the differences to ours over the seeds that all ways have, with bootstrap intervals."""
    scores = {(row["way"], row["seed"]): row["score"] for row in rows}
    seeds = sorted({seed for _, seed in scores if all((way, seed) in scores for way in WAYS)})
    found: dict[str, Any] = {"repetitions": len(seeds)}
    if not seeds:
        return found
    draw = random.Random(0)
    for way in WAYS:
        found[f"score_{way}"] = round(statistics.fmean(scores[way, seed] for seed in seeds), 4)
        if way == "ours":
            continue
        gains = [scores["ours", seed] - scores[way, seed] for seed in seeds]
        drawn = sorted(statistics.fmean(draw.choices(gains, k=len(gains))) for _ in range(2000))
        found[f"gain_over_{way}"] = round(statistics.fmean(gains), 4)
        found[f"gain_over_{way}_low"], found[f"gain_over_{way}_high"] = (
            round(drawn[50], 4),
            round(drawn[1949], 4),
        )
    return found


def main() -> int:
    """Run what is missing and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=110.0)
    parser.add_argument("--pieces", type=int, default=10**6)
    parser.add_argument("--output", choices=("text", "json"), default="text")
    options = parser.parse_args()
    folder = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "results.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    done = {(row["way"], row["seed"]) for row in rows}
    todo = [(way, seed) for seed in range(options.repetitions) for way in WAYS if (way, seed) not in done]
    for way, seed in todo[: options.pieces]:
        rows.append(run_study(folder, way, seed, options.seconds))
        with kept.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print(rows[-1], file=sys.stderr)
    result = judge(rows)
    print(json.dumps(result, indent=2) if options.output == "json" else result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
