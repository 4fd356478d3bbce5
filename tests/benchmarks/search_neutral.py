"""What our search costs on ground that was not made for it, against ways that are fair opponents.

    python -m tests.benchmarks.search_neutral [--worlds 30] [--ladders held-out] [--opponents all] [--output json]

Every way tunes the three rungs of a ladder (`search_ladders.py`) with 20 trials each on eight simulated GPUs, in the same worlds (seeds
0 to 29): ours is the product's own loop with its defaults, extended by 10 trials a rung until it has spent what random +
ASHA has. The score at a moment is the mean over rungs of the true score of what would be named best. `cost_ratio` is the cost
at which our mean score over the worlds reaches the mean score at which the opponent ends, over the opponent's cost: at the top
to tuned random + ASHA, the mean over the held-out ladders. `ahead` is by how much our score lies above the opponent's at the
opponent's cost, or at our end where the opponent spends more. Intervals are the bootstrap's over worlds (95 %). Opponents, one rung after another:

    asha         random, successive halving (reduction factor 2: the best of 2, 3, 4 on the first development ladders)
    trivial      20 random trials on the first rung, the middle first; its best 3 and 2 random ones on each later one
    tpe-median, tpe-hyperband, gp-median, gp-hyperband    Optuna's samplers and pruners as they come
    alone        ours without transfer between rungs
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import optuna
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    SuccessiveHalvingPruner,
)
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler

from coref_k8s.search.space import default_params, space_for
from coref_k8s.study.spec import StudySpec
from tests.benchmarks.search_cluster import Complete, Curve, in_turn, ours
from tests.benchmarks.search_ladders import DEVELOPMENT, FORMER, HELD_OUT, World, ladder, ladder_spec

WORLDS, GPUS, TRIALS = 30, 8, 20
#: Reduction factor of the tuned ASHA.
FACTOR = 2
OPPONENTS = ("asha", "trivial", "tpe-median", "tpe-hyperband", "gp-median", "gp-hyperband", "alone")
SETS = {
    "held-out": HELD_OUT,
    "former": FORMER,
    "development": DEVELOPMENT,
    "all": (*DEVELOPMENT, *HELD_OUT),
}
#: Shares of the cost of random + ASHA at which mean scores are shown.
MOMENTS = (0.1, 0.25, 0.5, 0.75, 1.0)
_GRID, _DRAWS = 1500, 1000


# -- the ways ------------------------------------------------------------------------------------------------


def _sampler(name: str, seed: int) -> BaseSampler:
    if name == "tpe":
        return TPESampler(seed=seed)
    return GPSampler(seed=seed) if name == "gp" else RandomSampler(seed=seed)


def _pruner(name: str) -> BasePruner:
    if name == "median":
        return MedianPruner()
    if name == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=4)
    return (
        NopPruner() if name == "none" else SuccessiveHalvingPruner(min_resource=1, reduction_factor=int(name))
    )


def plain(spec: StudySpec, world: Any, seed: int, sampler: str, pruner: str, gpus: int = GPUS) -> Curve:
    """One rung after another, each with a sampler and a pruner of Optuna's."""

    def opened(length: int, place: int, complete: Complete) -> tuple[optuna.Study, int]:
        chosen = _sampler(sampler, seed * 10_000 + length)
        name = f"{seed}/{length}"  # hyperband draws brackets from it
        return optuna.create_study(
            study_name=name, direction="maximize", sampler=chosen, pruner=_pruner(pruner)
        ), spec.trials

    return in_turn(spec, world, gpus, opened)


def trivial(spec: StudySpec, world: Any, seed: int, gpus: int = GPUS) -> Curve:
    """Random trials where they are cheap; the best three and two more where they are not."""

    def opened(length: int, place: int, complete: Complete) -> tuple[optuna.Study, int]:
        study = optuna.create_study(
            direction="maximize", sampler=RandomSampler(seed=seed * 10_000 + length), pruner=NopPruner()
        )
        first = [default_params(spec, length)] if place == 0 else [params for _, params in complete[:3]]
        space = space_for(spec, length)
        for params in first:  # a choice that this length does not offer is drawn
            study.enqueue_trial({k: v for k, v in params.items() if v in (space[k].choices or (v,))})
        return study, spec.trials if place == 0 else len(first) + 2

    return in_turn(spec, world, gpus, opened)


@lru_cache(maxsize=1)
def _world(ladder_name: str, seed: int) -> World:
    return ladder(ladder_name).world(seed)


def opponent(name: str, ladder_name: str, seed: int) -> Curve:
    """Return how an opponent does in one world."""
    spec, world = ladder_spec(TRIALS), _world(ladder_name, seed)
    if name == "trivial":
        return trivial(spec, world, seed)
    if name == "alone":
        return own(ladder_name, seed, warm_start=False)
    if name.startswith("asha"):
        return plain(spec, world, seed, "random", name.removeprefix("asha-") if "-" in name else str(FACTOR))
    return plain(spec, world, seed, *name.split("-"))


def own(ladder_name: str, seed: int, budget: float = 0.0, **search: Any) -> Curve:
    """Return how our search does in one world, extended until it has spent `budget`."""
    spec, world = ladder_spec(TRIALS, **search), _world(ladder_name, seed)
    return ours(spec, world, seed, GPUS, budget=budget)


# -- the figures ---------------------------------------------------------------------------------------------


def ratios(before: Sequence[Curve], now: Sequence[Curve]) -> tuple[float, np.ndarray]:
    """Return our cost to the mean score at which the others end over their cost, and the same of worlds drawn anew."""
    grid = np.linspace(0, max(c.gpu_hours for c in now), _GRID)
    scores = np.array([_scores(c, grid) for c in now])
    ends, costs = np.array([c.final for c in before]), np.array([c.gpu_hours for c in before])

    def ratio(chosen: np.ndarray) -> float:
        reached = scores[chosen].mean(axis=0) >= ends[chosen].mean()
        return float(grid[reached.argmax()] / costs[chosen].mean()) if reached.any() else math.inf

    everyone, draw = np.arange(len(now)), np.random.default_rng(0)
    drawn = [ratio(draw.choice(everyone, len(everyone))) for _ in range(_DRAWS)]
    return ratio(everyone), np.array(drawn)


def _scores(curve: Curve, grid: np.ndarray) -> np.ndarray:
    spent = np.array([point[0] for point in curve.points])
    scores = np.array([curve.at(-1), *(point[1] for point in curve.points)])
    found: np.ndarray = scores[np.searchsorted(spent, grid, side="right")]
    return found


def ahead(before: Sequence[Curve], now: Sequence[Curve]) -> dict[str, float]:
    """Return by how much our score lies above the others' at their end, with its interval."""
    apart = np.array([n.at(b.gpu_hours) - b.final for b, n in zip(before, now, strict=True)])
    draw = np.random.default_rng(0)
    means = [draw.choice(apart, len(apart)).mean() for _ in range(_DRAWS)]
    low, high = np.quantile(means, (0.025, 0.975))
    return {
        "ahead": round(float(apart.mean()), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def interval(point: float, drawn: np.ndarray) -> dict[str, float | None]:
    """Return a cost ratio and its 95 % interval; None for what was not reached."""
    low = np.quantile(drawn, 0.025, method="lower")
    high = np.quantile(drawn, 0.975, method="higher")
    values = {"cost_ratio": point, "cost_ratio_low": float(low), "cost_ratio_high": float(high)}
    return {name: round(value, 3) if math.isfinite(value) else None for name, value in values.items()}


def compared(others: Mapping[str, Sequence[Curve]], now: Sequence[Curve]) -> dict[str, Any]:
    """Return the figures of one ladder, by opponent, and the mean scores on the way."""
    found: dict[str, Any] = {
        name: {**interval(*ratios(curves, now)), **ahead(curves, now), "end": _mean(curves, None)}
        for name, curves in others.items()
    }
    costs = [curve.gpu_hours for curve in others["asha"]]
    curves_of = {"ours": now, **others}
    found["curves"] = {
        name: [
            round(statistics.fmean(c.at(m * x) for c, x in zip(curves, costs, strict=True)), 4)
            for m in MOMENTS
        ]
        for name, curves in curves_of.items()
    }
    return found


def _mean(curves: Sequence[Curve], cost: float | None) -> float:
    return round(statistics.fmean(c.final if cost is None else c.at(cost) for c in curves), 4)


def measure(ladders: Sequence[str], opponents: Sequence[str], worlds: int, **search: Any) -> dict[str, Any]:
    """Return the figures of every ladder, those of all of them against random + ASHA at the top."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found, points, draws = {}, [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ladders:
            others: dict[str, list[Curve]] = {one: [] for one in ("asha", *opponents)}
            now: list[Curve] = []
            for seed in range(worlds):
                for one, curves in others.items():
                    curves.append(opponent(one, name, seed))
                now.append(own(name, seed, others["asha"][seed].gpu_hours, **search))
            found[name] = compared(others, now)
            point, drawn = ratios(others["asha"], now)
            points.append(point)
            draws.append(drawn)
            print(f"{name}: {json.dumps(found[name])}", file=sys.stderr, flush=True)
    return {
        **interval(statistics.fmean(points), np.mean(draws, axis=0)),
        "worlds": worlds,
        "ladders": found,
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--worlds", type=int, default=WORLDS)
    parser.add_argument(
        "--ladders", default="held-out", help=f"{', '.join(SETS)}, or names with commas between"
    )
    parser.add_argument("--opponents", default="all", help="names with commas between; asha is always there")
    parser.add_argument("--pruner", help="ours with another pruner than the default one")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    options = parser.parse_args(arguments)
    ladders = SETS.get(options.ladders) or options.ladders.split(",")
    opponents = (
        OPPONENTS if options.opponents == "all" else [one for one in options.opponents.split(",") if one]
    )
    search = {} if options.pruner is None else {"pruner": options.pruner}
    result = measure(ladders, opponents, options.worlds, **search)
    if options.output == "json":
        print(json.dumps(result))
        return 0
    for name, figures in result["ladders"].items():
        for one in dict.fromkeys(("asha", *opponents)):
            row = figures[one]
            ends = f"{row['cost_ratio_low']} to {row['cost_ratio_high']}"
            gain = f"{row['ahead']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"
            print(f"{name:12} {one:14} cost {row['cost_ratio']} ({ends})  at equal cost {gain}")
    print(f"all: cost {result['cost_ratio']} ({result['cost_ratio_low']} to {result['cost_ratio_high']})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
