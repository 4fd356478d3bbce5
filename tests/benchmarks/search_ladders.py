"""Ladders that nobody made for a search: recorded trainings of small models, and optima that lie anywhere.

A ladder has three rungs, lengths of text or numbers of training items, of which the later cost more. Recorded ones answer with
trees over the table that `search_record.py` wrote; a world is grown from four fifths of the settings, drawn by its seed, so that
worlds differ. Made-up ones have an optimum drawn anywhere in the ranges, edges included, or are draws of a Gaussian process, and have
rungs with much, something or nothing to do with one another. Scores are moved so that 0.30 is the median setting of a rung and 0.60 its best of 2,000.

`DEVELOPMENT` was looked at while the search was built, `HELD_OUT` was not: what is claimed is measured on the latter.
"""

from __future__ import annotations

import csv
import math
import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from coref_k8s.study.ranges import Range
from coref_k8s.study.reading import build_spec
from coref_k8s.study.spec import StudySpec
from tests.benchmarks.search_landscape import BASE, GAIN, Run
from tests.benchmarks.search_record import REPORTS, TABLE

#: What the three rungs of every ladder are called in the product.
LENGTHS = (512, 1024, 2048)
#: The five parameters of every ladder, by the names that the product knows, each over the whole range of its places.
RANGES = {
    "learning_rate": Range(low=1e-6, high=1e-2, log=True),
    "weight_decay": Range(low=0.0, high=1.0),
    "layer_decay": Range(low=0.001, high=1.0),
    "mention_share": Range(low=0.0, high=1.0),
    "distance_preference": Range(low=0.0, high=1.5),
}
#: The product's other parameters, which say nothing here.
FIXED = {
    "warmup_ratio": 0.0,
    "accumulation": 1,
    "mask_low": 0.1,
    "mask_high": 0.2,
    "position_range": "clamp",
    "epochs": 1.0,
}
#: GPU time of a trial before its first step, as a share of a trial of the last rung.
_START = 0.005


def ladder_spec(trials: int, **search: Any) -> StudySpec:
    """Return a request over the rungs, with the five parameters."""
    space = {**RANGES, **{name: Range(choices=(value,)) for name, value in FIXED.items()}}
    return build_spec(seq_lengths=LENGTHS, trials=trials, search={"space": space, **search})


def places_of(params: Mapping[str, Any]) -> np.ndarray:
    """Return the five places in [0, 1] of a trial's parameters."""
    return np.array([RANGES[name].interval.place(params[name]) for name in RANGES])


#: Four scores at places (n, 5), as (n, 4).
Curves = Callable[[np.ndarray], np.ndarray]


class World:
    """One repetition's world: what a trial scores at each rung. The same for every way that is let loose in it."""

    base = BASE

    def __init__(
        self, seed: int, curves: Mapping[int, Curves], noise: Mapping[int, float], cost: Mapping[int, float]
    ) -> None:
        self._seed, self._curves, self._cost = seed, curves, cost
        anywhere = np.random.default_rng(seed).random((2000, 5))
        self._level: dict[int, tuple[float, float]] = {}
        for length, answer in curves.items():
            ends = answer(anywhere)[:, -1]
            middle = float(np.median(ends))
            self._level[length] = middle, GAIN / max(float(ends.max()) - middle, 1e-9)
        self._noise = {length: noise[length] * self._level[length][1] for length in curves}
        self._known: dict[tuple[int, bytes], np.ndarray] = {}

    def quality(self, length: int, params: Mapping[str, Any]) -> float:
        """Return the score that these parameters reach on average over seeds."""
        return float(self._scores(length, params)[-1])

    def run(self, length: int, params: Mapping[str, Any], number: int) -> Run:
        """Return what a trial does; the same parameters under another number have another seed."""
        draw = random.Random(f"{self._seed}/{length}/{number}/{sorted(params.items())}")
        noise = self._noise[length]
        luck = draw.gauss(0, noise)
        scores = [float(score) + luck + draw.gauss(0, noise / 2) for score in self._scores(length, params)]
        return Run(_START + self._cost[length], _START, tuple(scores), None)

    def _scores(self, length: int, params: Mapping[str, Any]) -> np.ndarray:
        places = places_of(params)
        key = length, places.tobytes()
        if key not in self._known:
            middle, scale = self._level[length]
            self._known[key] = BASE + scale * (self._curves[length](places[None])[0] - middle)
        return self._known[key]


@dataclass(frozen=True)
class Ladder:
    """A kind of worlds."""

    name: str
    cost: Mapping[int, float]
    """GPU time of a trial by rung; the last costs 1."""
    make: Callable[[int], tuple[Mapping[int, Curves], Mapping[int, float]]]
    """From a seed to curves and noise (standard deviation of a final score between seeds) by rung."""

    def world(self, seed: int) -> World:
        """Return the world of a seed."""
        return World(seed, *self.make(seed), self.cost)


# -- recorded ------------------------------------------------------------------------------------------------


@cache
def recorded(task: str) -> dict[int, tuple[np.ndarray, np.ndarray, float]]:
    """Return by rung what was recorded: places (n, 5), scores (n, 4), spread of a final score between seeds."""
    rows: dict[int, dict[int, list[list[float]]]] = defaultdict(lambda: {0: [], 1: []})
    with TABLE.open(encoding="utf-8") as file:
        for name, rung, seed, *numbers in csv.reader(file):
            if name == task:
                rows[int(rung)][int(seed)].append([float(number) for number in numbers])
    found = {}
    for rung, by_seed in sorted(rows.items()):
        first, second = np.array(by_seed[0]), np.array(by_seed[1])
        apart = first[: len(second), -1] - second[:, -1]
        found[rung] = first[:, :5], first[:, 5:], float(np.sqrt(np.mean(apart**2) / 2))
    return found


def _table(task: str) -> Ladder:
    rungs = list(recorded(task))

    def make(seed: int) -> tuple[dict[int, Curves], dict[int, float]]:
        from sklearn.ensemble import ExtraTreesRegressor

        curves: dict[int, Curves] = {}
        noise = {}
        for length, rung in zip(LENGTHS, rungs, strict=True):
            places, scores, noise[length] = recorded(task)[rung]
            kept = np.random.default_rng(seed).permutation(len(places))[: len(places) * 4 // 5]
            trees = ExtraTreesRegressor(40, random_state=seed).fit(places[kept], scores[kept])
            curves[length] = trees.predict
        return curves, noise

    return Ladder(task, {length: rung / rungs[-1] for length, rung in zip(LENGTHS, rungs, strict=True)}, make)


# -- made up -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kind:
    """How the rungs of made-up worlds differ."""

    edges: float
    """Chance that a parameter's optimum lies at an edge of its range."""
    drift: float
    """Spread of how far an optimum moves from a rung to the next (share of the range)."""
    strange: float
    """Chance that a parameter's optimum has nothing to do with that of the rung before."""


def _made(name: str, kind: _Kind) -> Ladder:
    def make(seed: int) -> tuple[dict[int, Curves], dict[int, float]]:
        draw = np.random.default_rng([seed, *name.encode()])
        best, weights, powers = _anywhere(draw, kind), _weights(draw), draw.choice([1.0, 2.0], 5)
        bumps, phases = draw.normal(0, 4, (3, 5)), draw.random((3, 1)) * 2 * math.pi
        curves: dict[int, Curves] = {}
        for length in LENGTHS:
            late = math.exp(draw.normal(0, 0.3))
            curves[length] = _curves(best.copy(), weights.copy(), powers, bumps, phases, late)
            moved = np.clip(best + draw.normal(0, kind.drift, 5), 0, 1)
            strange = draw.random(5) < kind.strange
            best = np.where(strange, _anywhere(draw, kind), moved)
            weights = np.where(strange, _weights(draw), weights * np.exp(draw.normal(0, 0.2, 5)))
        return curves, dict.fromkeys(LENGTHS, 0.02)

    return Ladder(name, {512: 0.25, 1024: 0.5, 2048: 1.0}, make)


def _anywhere(draw: np.random.Generator, kind: _Kind) -> np.ndarray:
    inside: np.ndarray = draw.random(5)
    return np.where(draw.random(5) < kind.edges, inside.round(), inside)


def _weights(draw: np.random.Generator) -> np.ndarray:
    weights: np.ndarray = np.exp(draw.normal(0, 1.0, 5))
    return weights


def _curves(
    best: np.ndarray,
    weights: np.ndarray,
    powers: np.ndarray,
    bumps: np.ndarray,
    phases: np.ndarray,
    late: float,
) -> Curves:
    def answer(places: np.ndarray) -> np.ndarray:
        off = abs(places - best)
        loss = 2.0 * (weights * off**powers).sum(axis=1) / weights.sum() + 0.5 * off[:, 0] * off[:, 1]
        rough = 0.03 * np.cos(bumps @ places.T + phases).sum(axis=0)
        ends = np.exp(-1.5 * loss) + rough
        # the first parameter is the rate at which a trial rises: high ones show early what they are worth
        shape = late * np.exp(1.2 * (0.5 - places[:, 0]))
        done = (np.arange(1, REPORTS + 1) / REPORTS)[None] ** shape[:, None]
        return ends[:, None] * (1 - np.exp(-2.5 * done)) / (1 - math.exp(-2.5))

    return answer


# -- drawn ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Drawn:
    """How draws of a Gaussian process differ."""

    common: float
    """Share of the variance that all rungs have in common."""
    scale: float
    """How far apart settings are that have little to do with each other (share of a range), in the middle of the parameters."""
    trend: float
    """Share of the variance that is a straight line, whose best is a corner."""


#: From places (n, 5) to numbers (n,).
_Function = Callable[[np.ndarray], np.ndarray]


def _drawn(name: str, kind: _Drawn) -> Ladder:
    def make(seed: int) -> tuple[dict[int, Curves], dict[int, float]]:
        draw = np.random.default_rng([seed, *name.encode()])
        scales = kind.scale * np.exp(draw.normal(0, 0.5, 5))
        shared, slow = _function(draw, scales, kind.trend), draw.normal(0, 1.5, 5)
        curves: dict[int, Curves] = {}
        for length in LENGTHS:
            ends = _mixed(kind.common, shared, _function(draw, scales, kind.trend))
            curves[length] = _saturating(
                ends, slow, _function(draw, scales, 0.0), _function(draw, scales, 0.0)
            )
        return curves, dict.fromkeys(LENGTHS, 0.12)

    return Ladder(name, {512: 0.25, 1024: 0.5, 2048: 1.0}, make)


def _function(draw: np.random.Generator, scales: np.ndarray, trend: float) -> _Function:
    """Draw a function of variance 1: random Fourier features of a squared exponential kernel, and a straight line."""
    waves, phases = draw.normal(size=(256, 5)) / scales, draw.random(256) * 2 * math.pi
    heights = draw.normal(size=256)
    slope = draw.normal(size=5)
    slope *= math.sqrt(12) / np.linalg.norm(slope)  # the variance of a place is 1/12

    def answer(places: np.ndarray) -> np.ndarray:
        rough = np.cos(places @ waves.T + phases) @ heights * math.sqrt(2 / 256)
        found: np.ndarray = math.sqrt(1 - trend) * rough + math.sqrt(trend) * (places - 0.5) @ slope
        return found

    return answer


def _mixed(share: float, one: _Function, other: _Function) -> _Function:
    return lambda places: math.sqrt(share) * one(places) + math.sqrt(1 - share) * other(places)


def _saturating(ends: _Function, slow: np.ndarray, pace: _Function, head_start: _Function) -> Curves:
    """Return curves that rise to their ends at a pace, from a start, that depend on the parameters, so that they cross."""

    def answer(places: np.ndarray) -> np.ndarray:
        last = ends(places)
        rate = 2.0 * np.exp((places - 0.5) @ slow + 0.5 * pace(places))
        below = 3.0 * np.exp(0.5 * head_start(places))
        done = (np.arange(1, REPORTS + 1) / REPORTS)[None]
        missing = np.exp(-rate[:, None] * done) - np.exp(-rate)[:, None]
        return last[:, None] - below[:, None] * missing

    return answer


@cache
def ladder(name: str) -> Ladder:
    """Return a ladder by its name."""
    if name in _DRAWN:
        return _drawn(name, _DRAWN[name])
    return _made(name, _MADE[name]) if name in _MADE else _table(name)


_DRAWN = {
    "kindred": _Drawn(common=0.9, scale=0.7, trend=0.0),
    "half": _Drawn(common=0.5, scale=0.5, trend=0.2),
    "foreign": _Drawn(common=0.0, scale=0.6, trend=0.4),
}

_MADE = {
    "near": _Kind(edges=0.0, drift=0.1, strange=0.0),
    "strange": _Kind(edges=0.3, drift=0.1, strange=1.0),
    "partly": _Kind(edges=0.2, drift=0.1, strange=0.5),
    "edges": _Kind(edges=0.6, drift=0.15, strange=0.0),
    "mixed": _Kind(edges=0.3, drift=0.15, strange=0.4),
    "unrelated": _Kind(edges=0.3, drift=0.1, strange=1.0),
}
#: Held out until 2026-12-01: looked at for decisions 128 and 129, so what is tuned since may be tuned to them.
FORMER = ("transformer", "friedman", "kinds", "edges", "mixed", "unrelated")
#: Looked at while the search was built, and not; each was fixed before anything was tuned on it. Recorded ones first.
DEVELOPMENT = ("gru", "classes", "digits", "near", "strange", "partly", *FORMER)
HELD_OUT = ("filling", "passages", "frequencies", "gaps", "kindred", "half", "foreign")
#: Ladders whose rungs have nothing to do with one another.
UNRELATED = ("strange", "unrelated", "foreign")
