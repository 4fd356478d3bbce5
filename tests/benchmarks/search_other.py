"""What `--warm-start-from` brings and costs, by how much the other study has to do with this one. Simulated.

    python -m tests.benchmarks.search_other [--repetitions 16] [--distance 3]

Studies of one length (1,024 tokens, 20 trials, 8 GPUs) in `search.py`'s worlds. The other study was searched in a
world whose optimum lies `near` (each parameter moved by N(0, 0.15) decades or shares of its range) or is `unrelated`.
`early` is the mean true score of what would be named best at 10, 15, 20, 25 and 30 GPU-hours, `end` that of the end.
`--distance` is how far the Gaussian process thinks the other study away (`gp.ELSEWHERE`); at 0 its trials are own ones.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import warnings

import optuna
import pytest

from coref_k8s.controller.apply import Applier
from coref_k8s.search import gp
from coref_k8s.search.source_study import SourceStudy
from coref_k8s.search.studies import LengthStudy
from coref_k8s.study.reading import build_spec
from coref_k8s.study.spec import StudySpec
from tests.benchmarks.search import GPUS, MEASURED
from tests.benchmarks.search_cluster import ours
from tests.benchmarks.search_landscape import Landscape

LENGTH, DRIFT, MOMENTS = 1024, 0.15, (10, 15, 20, 25, 30)


def world_of(kind: str, spec: StudySpec, seed: int) -> Landscape:
    """Return a world near that of the seed, or one that has nothing to do with it; its noise is its own."""
    world = Landscape(seed if kind == "near" else seed + 1000, spec, MEASURED)
    if kind == "near":
        draw = random.Random(f"{seed}/near")
        world._optima[LENGTH] = {
            name: at + draw.gauss(0, DRIFT) for name, at in world._optima[LENGTH].items()
        }
    world._seed = seed + 5000
    return world


def searched(seed: int) -> dict[str, tuple[float, float]]:
    """Return early and last score by kind of world, without the other study and with it."""
    plain = build_spec(seq_lengths=[LENGTH])
    warm = build_spec(seq_lengths=[LENGTH], search={"warm_start_from": "other"})
    lengths: dict[int, LengthStudy] = {}
    ours(plain, Landscape(seed, plain, MEASURED), seed, GPUS, lengths=lengths)
    other = SourceStudy(plain, {n: study.trials() for n, study in lengths.items()})
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Applier, "_other", lambda self: other)
        for kind in ("near", "unrelated"):
            for way, spec in (("without", plain), ("with", warm)):
                curve = ours(spec, world_of(kind, plain, seed), seed + 1, GPUS)
                found[f"{kind}, {way}"] = (statistics.fmean(map(curve.at, MOMENTS)), curve.final)
    return found


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=16)
    parser.add_argument("--distance", type=float, default=gp.ELSEWHERE)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    gp.ELSEWHERE = options.distance
    rows = [searched(seed) for seed in range(options.repetitions)]
    for name in rows[0]:
        early, end = (statistics.fmean(row[name][n] for row in rows) for n in (0, 1))
        print(f"distance {options.distance:g}  {name:18} early {early:.4f}  end {end:.4f}", flush=True)
    for kind in ("near", "unrelated"):
        for n, moment in enumerate(("early", "end")):
            gains = [row[f"{kind}, with"][n] - row[f"{kind}, without"][n] for row in rows]
            half = 1.96 * statistics.stdev(gains) / len(gains) ** 0.5
            print(f"{kind}: {moment} {statistics.fmean(gains):+.4f} +- {half:.4f} with the other study")
    return 0


if __name__ == "__main__":
    sys.exit(main())
