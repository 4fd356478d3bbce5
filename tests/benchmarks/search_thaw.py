"""Freeze-thaw against stop-only pruning: is a trial that was given up worth keeping, to be taken up again?

    python -m tests.benchmarks.search_thaw [--worlds 30] [--ladders development] [--samplers random,gp] [--output json]

Both ways tune the three rungs of a ladder (`search_ladders.py`), one after another, with 20 trials each on eight simulated GPUs, in the same
worlds and with the same sampler: random, or the product's Gaussian process without transfer.

    stop     successive halving as the product and Optuna have it: a trial that is not among the best of its evaluation is stopped
    thaw     every trial is paused after each evaluation, and the one that promises most goes on: first one that is now among the
             best of its evaluation (Li et al. 2020, the asynchronous form as published), then a new one, then, as long as the score that it is
             heading for could lie above the best complete one by a standard deviation, the paused one that promises most (Swersky et al. 2014)

To take up a trial costs what it costs to start one. `cost_ratio` is the cost at which `thaw` reaches the mean score at which `stop` ends, over
the cost of `stop`; `ahead` how much more it has at that cost. Intervals are the bootstrap's over worlds (95 %).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import warnings
from collections import defaultdict
from typing import Any

import optuna
from optuna.pruners import NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler

from coref_k8s.search.gp import GPSampler
from coref_k8s.search.space import distributions, space_for
from coref_k8s.study.spec import StudySpec
from tests.benchmarks.search_cluster import Complete, Curve, Gpus, Incumbents, in_turn
from tests.benchmarks.search_ladders import World, ladder, ladder_spec
from tests.benchmarks.search_landscape import Run
from tests.benchmarks.search_neutral import FACTOR, GPUS, SETS, TRIALS, WORLDS, ahead, interval, ratios


def _sampler(spec: StudySpec, name: str, length: int, seed: int) -> BaseSampler:
    if name == "random":
        return RandomSampler(seed=seed * 10_000 + length)
    space = distributions(space_for(spec, length))
    return GPSampler(space, length, seed=seed * 10_000 + length, startup=spec.search.startup_trials)


def stopping(spec: StudySpec, world: World, seed: int, sampler: str) -> Curve:
    """Give trials up for good."""

    def opened(length: int, place: int, complete: Complete) -> tuple[optuna.Study, int]:
        pruner = SuccessiveHalvingPruner(min_resource=1, reduction_factor=FACTOR)
        chosen = _sampler(spec, sampler, length, seed)
        return optuna.create_study(direction="maximize", sampler=chosen, pruner=pruner), spec.trials

    return in_turn(spec, world, GPUS, opened)


class _Rung:
    """The trials of one length, each paused after every evaluation."""

    def __init__(self, study: optuna.Study, count: int) -> None:
        self.study, self.left = study, count
        self.runs: dict[optuna.Trial, Run] = {}
        self.reports: dict[optuna.Trial, list[float]] = {}
        self.paused: set[optuna.Trial] = set()

    def promoted(self) -> optuna.Trial | None:
        """Return a paused trial that is among the best of its evaluation; of several the one that is furthest."""
        for step in range(max(map(len, self.reports.values()), default=0), 0, -1):
            there = [t for t, known in self.reports.items() if len(known) >= step]
            there.sort(key=lambda t: -self.reports[t][step - 1])
            for trial in there[: len(there) // FACTOR]:
                if trial in self.paused and len(self.reports[trial]) == step:
                    return trial
        return None

    def promising(self) -> optuna.Trial | None:
        """Return the paused trial that is heading for the best score, if that could be better than what is complete."""
        ends = [known[-1] for t, known in self.reports.items() if len(known) == len(self.runs[t].reports)]
        gains: dict[int, list[float]] = defaultdict(list)
        for trial, known in self.reports.items():
            if len(known) == len(self.runs[trial].reports):
                for step, value in enumerate(known, 1):
                    gains[step].append(known[-1] - value)

        def hope(trial: optuna.Trial) -> float:
            ahead_ = gains.get(len(self.reports[trial]), [0.0])
            return self.reports[trial][-1] + statistics.fmean(ahead_) + statistics.pstdev(ahead_)

        best = max(self.paused, key=hope, default=None)
        return best if best is not None and (not ends or hope(best) > max(ends)) else None


def thawing(spec: StudySpec, world: World, seed: int, sampler: str) -> Curve:
    """Pause trials and take up again the one that promises most."""
    curve, cluster = Curve(base=world.base), Gpus(GPUS)
    best = Incumbents(world, spec.seq_lengths)
    for length in spec.seq_lengths:
        space = distributions(space_for(spec, length))
        chosen = _sampler(spec, sampler, length, seed)
        rung = _Rung(
            optuna.create_study(direction="maximize", sampler=chosen, pruner=NopPruner()), spec.trials
        )

        def fill(length: int = length, rung: _Rung = rung, space: Any = space) -> None:
            while len(cluster.busy) < GPUS:
                trial = rung.promoted()
                if trial is None and rung.left:
                    trial, rung.left = rung.study.ask(space), rung.left - 1
                    rung.runs[trial], rung.reports[trial] = world.run(length, trial.params, trial.number), []
                trial = trial or rung.promising()
                if trial is None:
                    return
                rung.paused.discard(trial)
                run, at = rung.runs[trial], len(rung.reports[trial])
                hours = run.start + (run.hours - run.start) / len(run.reports)
                cluster.start(trial, Run(hours, run.start, (run.reports[at],), None))

        fill()
        for trial, _, part in cluster.events():
            cluster.stop(trial)
            known = rung.reports[trial]
            known.append(part.reports[0])
            trial.report(known[-1], len(known))
            if len(known) == len(rung.runs[trial].reports):
                rung.study.tell(trial, known[-1])
                best.complete(length, known[-1], trial.params)
                curve.points.append((cluster.spent, best.score()))
            else:
                rung.paused.add(trial)
            fill()
    curve.gpu_hours, curve.wall_hours, curve.idle_hours = cluster.spent, cluster.now, cluster.idle
    return curve


def measure(names: list[str], worlds: int, samplers: list[str]) -> dict[str, Any]:
    """Return the figures of every ladder by sampler."""
    found: dict[str, Any] = {}
    spec = ladder_spec(TRIALS)
    for name in names:
        made = [ladder(name).world(seed) for seed in range(worlds)]
        found[name] = {}
        for sampler in samplers:
            stop = [stopping(spec, world, seed, sampler) for seed, world in enumerate(made)]
            thaw = [thawing(spec, world, seed, sampler) for seed, world in enumerate(made)]
            spent = sum(c.gpu_hours for c in thaw) / sum(c.gpu_hours for c in stop)
            found[name][sampler] = {
                **interval(*ratios(stop, thaw)), **ahead(stop, thaw), "spent": round(spent, 3),
                "end": [round(statistics.fmean(c.final for c in curves), 4) for curves in (stop, thaw)],
            }  # fmt: skip
        print(f"{name}: {json.dumps(found[name])}", file=sys.stderr, flush=True)
    return {"worlds": worlds, "ladders": found}


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--worlds", type=int, default=WORLDS)
    parser.add_argument(
        "--ladders", default="development", help=f"{', '.join(SETS)}, or names with commas between"
    )
    parser.add_argument("--samplers", default="random,gp")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names = list(SETS.get(options.ladders) or options.ladders.split(","))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = measure(names, options.worlds, options.samplers.split(","))
    print(json.dumps(result, indent=None if options.output == "json" else 2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
