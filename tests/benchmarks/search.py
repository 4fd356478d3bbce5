"""How many GPU-hours our search needs to reach what another way reaches at its end. Simulated.

    python -m tests.benchmarks.search [--repetitions 50] [--against asha] [--only measured,no-transfer | --only all] [--output json]

A simulated cluster of 8 GPUs runs both ways through the same 50 made-up worlds (`search_landscape.py`; seeds 0 to
49): the founding way one length after another with plain Optuna, ours with the real controller
(`search_cluster.py`). Both begin the same number of trials per length. `--against` puts a fairer opponent in the founding way's
place: tuned random + ASHA, or the trivial ladder, as in `search_neutral.py`. A way's score at some moment is the mean
over the lengths of the true quality of the trial that it would name best. `gpu_hours_ratio` is where our mean score
over the repetitions reaches the founding way's mean score at its end, in GPU-hours, divided by the GPU-hours that
way took; the interval is the bootstrap's over repetitions (95 %). Assumptions and results: docs/search.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optuna

from coref_k8s.study.reading import build_spec
from tests.benchmarks.search_cluster import Curve, founding, ours
from tests.benchmarks.search_landscape import Assumptions, Landscape
from tests.benchmarks.search_neutral import FACTOR, plain, trivial

TARGET = 0.5
REPETITIONS = 50
GPUS = 8
#: Points of the axis of GPU-hours at which mean curves are compared.
_GRID = 1500


MEASURED = Assumptions()


@dataclass(frozen=True)
class Scenario:
    """One set of assumptions, and what the two ways are told."""

    assumed: Assumptions = MEASURED
    search: tuple[tuple[str, Any], ...] = ()
    """Settings of our search that differ from the defaults."""
    founding_gpus: int = GPUS
    trials: int = 20
    extended: bool = True
    """Whether a study that ends with fewer GPU-hours than the founding way used is extended."""


#: What is varied, by name; `measured` is the figure that counts.
SCENARIOS = {
    "measured": Scenario(),
    "noise-half": Scenario(replace(MEASURED, seed_noise=MEASURED.seed_noise / 2)),
    "noise-double": Scenario(replace(MEASURED, seed_noise=MEASURED.seed_noise * 2)),
    "noise-fourfold": Scenario(replace(MEASURED, seed_noise=MEASURED.seed_noise * 4)),
    "same-optima": Scenario(replace(MEASURED, drift=0.0)),
    "far-optima": Scenario(replace(MEASURED, drift=0.4)),
    "anywhere": Scenario(replace(MEASURED, margin=0.0, rate_offset=0.8)),
    "no-transfer": Scenario(replace(MEASURED, transfer=False)),
    "no-crossing": Scenario(replace(MEASURED, crossing=0.0)),
    "much-crossing": Scenario(replace(MEASURED, crossing=1.2)),
    "ten-trials": Scenario(trials=10),
    "forty-trials": Scenario(trials=40),
    "founding-one-gpu": Scenario(founding_gpus=1),
    "without-warm-start": Scenario(search=(("warm_start", False),)),
    "without-defaults": Scenario(search=(("defaults_first", False),)),
    "sampler-tpe": Scenario(search=(("sampler", "tpe"),)),
    **{
        f"pruner-{name}": Scenario(search=(("pruner", name),))
        for name in ("none", "asha", "hyperband", "wilcoxon")
    },
    "not-extended": Scenario(extended=False),
    **{
        f"min-gain-{gain}": Scenario(search=(("min_gain", gain),), extended=False)
        for gain in (0.001, 0.003, 0.01)
    },
    "patience-5": Scenario(search=(("patience", 5),), extended=False),
}
#: What is run unless told otherwise: what counts, and what our search leans on most taken away.
USUAL = ("measured", "anywhere", "no-transfer")
#: From a request, a world, a seed and a number of GPUs to what an opponent does.
AGAINST = {
    "founding": founding,
    "asha": lambda spec, world, seed, gpus: plain(spec, world, seed, "random", str(FACTOR), gpus),
    "trivial": trivial,
}


def compare(scenario: Scenario, repetitions: int, against: str) -> tuple[list[Curve], list[Curve]]:
    """Return the curves of an opponent and of ours, one a repetition."""
    spec = build_spec(trials=scenario.trials, search=dict(scenario.search))
    before, now = [], []
    for seed in range(repetitions):
        world = Landscape(seed, spec, scenario.assumed)
        before.append(AGAINST[against](spec, world, seed, scenario.founding_gpus))
        budget = before[-1].gpu_hours if scenario.extended else 0.0
        now.append(ours(spec, world, seed, GPUS, budget=budget))
    return before, now


def judge(before: list[Curve], now: list[Curve]) -> dict[str, Any]:
    """Return the figures of one scenario; a ratio is None when the score is not reached."""
    grid = np.linspace(0, max(c.gpu_hours for c in now), _GRID)
    scores = np.array([[c.at(x) for x in grid] for c in now])
    target = np.array([c.final for c in before])
    hours = np.array([c.gpu_hours for c in before])

    def ratio(chosen: np.ndarray) -> float:
        reached = scores[chosen].mean(axis=0) >= target[chosen].mean()
        return float(grid[reached.argmax()] / hours[chosen].mean()) if reached.any() else float("inf")

    everyone = np.arange(len(now))
    draw = np.random.default_rng(0)
    drawn = [ratio(draw.choice(everyone, len(everyone))) for _ in range(1000)]
    each = [n.reaches(b.final) / b.gpu_hours for b, n in zip(before, now, strict=True)]
    reached = [one for one in each if one != float("inf")]
    return {
        "gpu_hours_ratio": _finite(ratio(everyone)),
        "gpu_hours_ratio_low": _finite(float(np.quantile(drawn, 0.025, method="lower"))),
        "gpu_hours_ratio_high": _finite(float(np.quantile(drawn, 0.975, method="higher"))),
        "ratio_median_of_repetitions": _finite(statistics.median(each)),
        "repetitions_that_reach": round(len(reached) / len(each), 3),
        "score_opponent": round(float(target.mean()), 4),
        "score_ours": round(statistics.mean(c.final for c in now), 4),
        "gpu_hours_at_end_ratio": round(sum(c.gpu_hours for c in now) / float(hours.sum()), 3),
        "wall_hours_at_end_ratio": round(
            sum(c.wall_hours for c in now) / sum(c.wall_hours for c in before), 3
        ),
        "idle_share": round(sum(c.idle_hours for c in now) / sum(GPUS * c.wall_hours for c in now), 3),
    }


def _finite(value: float) -> float | None:
    return round(value, 3) if np.isfinite(value) else None


def measure(names: list[str], repetitions: int, against: str) -> dict[str, Any]:
    """Return the figures of every scenario, the measured one's at the top."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            found[name] = judge(*compare(SCENARIOS[name], repetitions, against))
            print(f"{name:20} {json.dumps(found[name])}", file=sys.stderr)
    first = found[names[0]]
    return {
        **{key: value for key, value in first.items() if key.startswith("gpu_hours_ratio")},
        "target": TARGET,
        "scenario": names[0],
        "against": against,
        "repetitions": repetitions,
        "gpus": GPUS,
        "scenarios": found,
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--output", choices=("text", "json"), default="text")
    parser.add_argument("--only", default=",".join(USUAL), help="scenarios, with commas between, or all")
    parser.add_argument("--against", default="founding", choices=tuple(AGAINST))
    options = parser.parse_args(arguments)
    names = list(SCENARIOS) if options.only == "all" else options.only.split(",")
    result = measure(names, options.repetitions, options.against)
    if options.output == "json":
        print(json.dumps(result, indent=2))
    else:
        print(
            f"GPU-hours ratio {result['gpu_hours_ratio']} "
            f"({result['gpu_hours_ratio_low']} to {result['gpu_hours_ratio_high']}), target {TARGET}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
