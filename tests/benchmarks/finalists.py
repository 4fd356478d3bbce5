"""What finalists bring: how far the winner is from the best trial, and how much its score promises too much.

    python -m tests.benchmarks.finalists [--output json]

A simulation, with its assumptions: a search of 20 trials whose true scores are normal (standard deviation
0.05), of which one run shows the true score plus normal noise of seed and dev items. Finalists are the k best by their
one run, each run again with fresh seeds; the winner has the best mean of those. Numbers are means over 40,000 searches.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

TRIALS, SPREAD, REPETITIONS = 20, 0.05, 40_000
NOISES = (0.01, 0.02, 0.04)
CHOICES = ((0, 0), (2, 2), (2, 3), (3, 2), (3, 3), (5, 3))


def simulate(noise: float, finalists: int, seeds: int) -> dict[str, float]:
    """Return regret, optimism (both in score) and the extra runs relative to the search's trials."""
    rng = np.random.default_rng(0)
    true = rng.normal(0.0, SPREAD, (REPETITIONS, TRIALS))
    once = true + rng.normal(0.0, noise, true.shape)
    rows = np.arange(REPETITIONS)
    if finalists:
        top = np.argsort(-once, axis=1)[:, :finalists]
        mean = np.take_along_axis(true, top, 1) + rng.normal(0.0, noise / np.sqrt(seeds), top.shape)
        best = np.argmax(mean, axis=1)
        winner, reported = top[rows, best], mean[rows, best]
    else:
        winner = np.argmax(once, axis=1)
        reported = once[rows, winner]
    chosen = true[rows, winner]
    return {
        "noise": noise,
        "finalists": finalists,
        "seeds": seeds,
        "regret": float((true.max(axis=1) - chosen).mean()),
        "optimism": float((reported - chosen).mean()),
        "extra_runs": (finalists + 1) * seeds / TRIALS if finalists else 0.0,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", choices=("table", "json"), default="table")
    found = [simulate(noise, *choice) for noise in NOISES for choice in CHOICES]
    if parser.parse_args().output == "json":
        print(json.dumps(found))
        return
    print("noise  finalists  seeds  regret  optimism  extra runs")
    for one in found:
        print(
            f"{one['noise']:.2f}   {one['finalists']:>9}  {one['seeds']:>5}  {one['regret']:.4f}  "
            f"{one['optimism']:8.4f}  {one['extra_runs']:>9.0%}"
        )


if __name__ == "__main__":
    main()
