"""Who is named best, and who becomes a finalist: by the score, or by the Gaussian process's mean? Simulated.

    python -m tests.benchmarks.search_winner [--repetitions 60] [--noise 0.024 0.048] [--trials 20]

Studies of `search.py`'s worlds, with our search. Of each length's complete trials, those are taken whose score is best, or
whose posterior mean is, under the process that the sampler asks: with the trials of this length alone, or with those
of the others as well. Printed is what is taken in truth, the mean over lengths and repetitions, and the difference to
taking by the score (95 %, over repetitions): `@1` is the one that is named best, `@3` the winner of three finalists with
three fresh seeds each.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import warnings
from dataclasses import replace

import numpy as np
import optuna

from coref_k8s.search.carrying import prior_of
from coref_k8s.search.gp import GPSampler
from coref_k8s.search.prior import PriorTrial
from coref_k8s.search.records import TrialRecord, ranked
from coref_k8s.search.space import distributions, space_for
from coref_k8s.search.studies import LengthStudy
from coref_k8s.study.reading import build_spec
from tests.benchmarks.search import GPUS, MEASURED
from tests.benchmarks.search_cluster import ours
from tests.benchmarks.search_landscape import Landscape

FINALISTS, SEEDS = 3, 3


def means(study: LengthStudy, prior: list[PriorTrial]) -> dict[int, float]:
    """Return the posterior mean of each complete trial; the score while the process knows too little."""
    complete = ranked(study.trials())
    space = distributions(space_for(study.spec, study.seq_len))
    startup = study.spec.search.startup_trials
    sampler = GPSampler(space, study.seq_len, prior, seed=0, startup=startup)
    model = sampler._model(study._memory.study.get_trials(deepcopy=False))
    if model is None:
        return {one.number: one.value or 0.0 for one in complete}
    inputs = np.array([sampler._input(one.params, study.seq_len) for one in complete])
    found = model.process.predict(inputs)[0] - model.edge * sampler._off(inputs)
    return {one.number: float(mean) for one, mean in zip(complete, found, strict=True)}


def taken(seed: int, noise: float, trials: int) -> dict[str, float]:
    """Return the true score of what each way takes, the mean over lengths."""
    spec = build_spec(trials=trials)
    world = Landscape(seed, spec, replace(MEASURED, seed_noise=noise))
    lengths: dict[int, LengthStudy] = {}
    ours(spec, world, seed, GPUS, lengths=lengths)
    draw, found = np.random.default_rng(seed), []
    for seq_len, study in lengths.items():
        complete = ranked(study.trials())
        if not complete:
            continue
        others = [
            one
            for n, other in lengths.items()
            if n != seq_len
            for one in prior_of(other.trials(), spec, seq_len)
        ]
        true = {one.number: world.quality(seq_len, one.params) for one in complete}
        fresh = {number: true[number] + draw.normal(0, noise, SEEDS).mean() for number in true}
        row = {}
        for way, scores in (
            ("score", {one.number: one.value or 0.0 for one in complete}),
            ("mean, own", means(study, [])),
            ("mean, all", means(study, others)),
        ):
            best = _first(complete, scores)
            row[f"{way} @1"] = true[best[0]]
            row[f"{way} @3"] = true[max(best[:FINALISTS], key=fresh.__getitem__)]
        found.append(row)
    return {way: statistics.fmean(row[way] for row in found) for way in found[0]}


def _first(complete: list[TrialRecord], scores: dict[int, float]) -> list[int]:
    return sorted((one.number for one in complete), key=lambda number: -scores[number])


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=60)
    parser.add_argument(
        "--noise", type=float, nargs="+", default=[MEASURED.seed_noise, 2 * MEASURED.seed_noise]
    )
    parser.add_argument("--trials", type=int, default=20)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    for noise in options.noise:
        rows = [taken(seed, noise, options.trials) for seed in range(options.repetitions)]
        for way in rows[0]:
            gains = np.array([row[way] - row[f"score {way[-2:]}"] for row in rows])
            half = 1.96 * gains.std(ddof=1) / len(gains) ** 0.5
            mean = statistics.fmean(row[way] for row in rows)
            print(f"noise {noise:.3f}  {way:13} {mean:.4f}  {gains.mean():+.4f} +- {half:.4f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
