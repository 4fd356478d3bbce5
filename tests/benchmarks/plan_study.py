"""What `plan` says that a study takes, after `calibrate`, and what the study then takes, on one thread of this machine.

    python -m tests.benchmarks.plan_study [--task coreference] [--trials 3] [--steps 120] [--length 512] [--output json]

Everything through the command line: calibrate, plan, prepare, submit --local, results. Of the study the seconds of its trials are added up, each on
one thread: run it where nothing else runs. Target: within the plan's interval, widened by 20 %.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.forecast import create_model

ROOT = Path(__file__).parents[2]
#: Generated documents of each task.
DATA = {"mentions": "gaps:400", "coreference": "people:60"}


def run(folder: Path, *arguments: str) -> str:
    """Return what a command prints."""
    environment = {
        **os.environ, "COREF_DATA_DIR": str(folder / "data"), "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "coref_k8s", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        cwd=folder,
    )
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-4000:])
    return done.stdout


def measure(task: str, trials: int, steps: int, length: int) -> dict[str, Any]:
    """Return what was planned and what was used."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        create_model(folder / "model")
        request = (
            "--task", task, "--model", str(folder / "model"), "--seq-lengths", str(length), "--any-length", "--trials", str(trials), "--gpus", "0",
            "--parallelism", str(os.cpu_count() or 1), "--data", DATA[task], "--set", f"training.maxSteps={steps}",
            "--set", "search.pruner=none", "--set", "search.sampler=random", "--set", "data.evalItems=40",
        )  # fmt: skip
        run(folder, "calibrate", "--deadline", "400", *request)
        planned = json.loads(run(folder, "plan", "--local", "-o", "json", *request))["here"]
        run(folder, "prepare", *request)
        run(folder, "submit", "--local", "--name", "seen", *request)
        seconds = sum(
            one["seconds"] for one in json.loads(run(folder, "results", "seen", "--local", "-o", "json"))
        )
    low, high = planned["expected"][str(length)]["seconds"]
    return {
        "source": planned["source"],
        "planned": [low, high],
        "trial": planned["expected"][str(length)],
        "seconds": seconds,
        "ratio_to_middle": seconds / ((low + high) / 2),
        "pass": low / 1.2 <= seconds <= high * 1.2,
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=DATA, default="mentions")
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--output", choices=["text", "json"], default="text")
    arguments = parser.parse_args()
    found = measure(arguments.task, arguments.trials, arguments.steps, arguments.length)
    print(json.dumps(found, indent=None if arguments.output == "json" else 1))
    raise SystemExit(0 if found["pass"] else 1)


if __name__ == "__main__":
    main()
