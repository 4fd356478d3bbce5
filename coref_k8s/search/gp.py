"""The sampler for few, costly, noisy trials: next come the parameters that promise most for what they cost.

A Gaussian process (`gaussian.py`) models the score of the trials of this length and, by one input more, of others.
A trial that was stopped counts with the score that it was heading for, the less surely the earlier it was
stopped. Of a running one the model believes that it will score what is expected of it, so that parallel trials do
not all try the same place.
Whether scores fall off towards the edges of the ranges, as where whoever chose them expects the good part inside, is not
believed but read from the trials: at each ask the expectation of `EDGES` under which they are most probable.
Why and what it is worth: docs/decisions/061-a-gaussian-process-of-our-own.md and 120-a-prior-that-is-fitted.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from coref_k8s.search.cube import Cube
from coref_k8s.search.gaussian import GaussianProcess, choose, one_thread
from coref_k8s.search.prior import PriorTrial, best_of, final_score, finite_only, finite_reports, levels

#: By how much a parameter at the edge of its range may be expected to score below one in the middle (spreads of the scores).
EDGES = (0.0, 0.1, 0.3)
#: Exponent of the cost by which the expected improvement is divided: 1 tries few epochs until the end, 0 never.
COST = 0.5
#: How far another study lies from this one (sides of the unit cube): at 1 or less its trials count almost as own ones, and
#: one that has nothing to do with this one does harm for long.
ELSEWHERE = 3.0
#: Places that are compared: anywhere; around the best known ones, in rounds ever nearer.
_ANYWHERE, _NEAR, _ROUNDS = 1000, 300, (0.3, 0.15, 0.05, 0.02)
#: Observations that a process is fitted to: the cost grows with their cube. Own ones before those of a prior.
MOST = 120
#: Best places that a round begins with.
_KEPT = 10


class GPSampler(BaseSampler):
    """Expected improvement per cost under a Gaussian process; random until `startup` trials have a score."""

    def __init__(
        self,
        space: dict[str, BaseDistribution],
        seq_len: int,
        prior: Sequence[PriorTrial] = (),
        *,
        seed: int,
        startup: int,
    ) -> None:
        self._cube = Cube(space)
        self._space, self._seq_len, self._prior, self._startup = space, seq_len, prior, startup
        self._elsewhere = any(one.elsewhere for one in prior)
        self._draw = np.random.default_rng(seed)
        self._random = RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the whole space: its parameters are drawn together."""
        return self._space

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one parameter at random."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the parameters to try; none, which means random ones, while too little is known."""
        own = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        begun = np.array([self._cube.place(t.params) for t in own if t.state is not TrialState.WAITING])
        with one_thread():
            model = self._model(own)
            return {} if model is None else self._cube.params(self._best(model, COST, begun)[0])

    def expected_gain(self, study: Study) -> float | None:
        """Return by how much one more trial is expected to improve on the best (score); None while too little is known."""
        with one_thread():
            model = self._model(study.get_trials(deepcopy=False))
            if model is None:
                return None
            return self._best(model, 0.0, np.empty((0, self._cube.width)))[1] * model.spread

    def _model(self, own: Sequence[FrozenTrial]) -> Model | None:
        """Return what the trials teach; None while that is too little."""
        known = observed(self._trials(own))
        if known is None or len(known.values) < self._startup:
            return None
        known = known.fewer(MOST)  # more own ones than that
        off = self._off(known.inputs)
        chosen, process = choose(known.inputs, known.values + np.outer(EDGES, off), known.extra)
        running = [t.params for t in own if t.state is TrialState.RUNNING]
        if running:
            process = process.believing(np.array([self._input(one, self._seq_len) for one in running]))
        return Model(process, EDGES[chosen], known.spread)

    def _trials(self, own: Sequence[FrozenTrial]) -> list[Trial]:
        """Return what has a score or was stopped, the prior's scores at this study's level.

        Values that are not finite are as if they had not been reported: `LengthStudy.unusable` tells of them.
        """
        found = []
        for t in own:
            final, reports = final_score(t), finite_reports(t)
            if final is not None or t.state is TrialState.PRUNED or reports:
                found.append(Trial(self._input(t.params, self._seq_len), reports, final))
        prior = best_of(self._prior, max(0, MOST - len(found)))
        return [
            Trial(
                self._input(one.params, one.record.seq_len, elsewhere=one.elsewhere),
                {step: value + offset for step, value in finite_only(one.record.intermediate).items()},
                (one.record.value or 0.0) + offset if one.done else None,
            )
            for one, offset in zip(prior, levels(prior, own), strict=True)
        ] + found

    def _input(self, params: Mapping[str, Any], seq_len: int, *, elsewhere: bool = False) -> np.ndarray:
        """Return the model's input: the place (width,), and how far away it was tried.

        That is one column, how many octaves the length is away; with a prior of another study one more, in which its
        trials lie apart: its best place need not be ours, at the same length either.
        """
        away = [math.log2(seq_len / self._seq_len), ELSEWHERE * elsewhere]
        return np.append(self._cube.place(params), away if self._elsewhere else away[:1])

    def _off(self, inputs: np.ndarray) -> np.ndarray:
        """Return how far from the middle inputs (n, width or more) lie, summed over the numbers: 1 each at an edge, (n,)."""
        off = (2 * (inputs[:, : self._cube.width] - 0.5)) ** 2
        return off[:, self._cube.numbers].sum(axis=1)

    def _best(self, model: Model, cost: float, begun: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the place (width,) that promises most per cost at this length, and the improvement expected there.

        A place of `begun` (m, width), the trials that were begun, is chosen again only when no other is left.
        """
        process = model.process

        def expect(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            here = np.zeros((len(places), process.inputs.shape[1] - places.shape[1]))
            mean, deviation = process.predict(np.hstack([places, here]))
            return mean - model.edge * self._off(places), deviation

        tried = process.inputs[:, : self._cube.width]
        means, _ = expect(tried)
        best = float(means.max())

        def gain(places: np.ndarray) -> np.ndarray:
            epochs = self._cube.values("epochs", places)
            improvement = expected_improvement(*expect(places), best)
            return improvement if epochs is None else improvement / epochs**cost

        taken = {place.tobytes() for place in begun}
        kept = tried[np.argsort(-means)[:_KEPT]]
        places = np.empty((0, self._cube.width))
        drawn = self._cube.random(self._draw, _ANYWHERE)
        for radius in _ROUNDS:
            drawn = np.vstack([drawn, self._cube.near(self._draw, kept, _NEAR, radius)])
            places = np.vstack(
                [places, [place for place in drawn if place.tobytes() not in taken] or places[:0]]
            )
            if not len(places):
                return _again(begun, *expect(begun), process.noise), 0.0
            places = places[np.argsort(-gain(places), kind="stable")[:_KEPT]]
            kept, drawn = places, places[:0]
        return places[0], float(expected_improvement(*expect(places[:1]), best)[0])


@dataclass(frozen=True)
class Model:
    """What the trials teach: a process beside an expectation."""

    process: GaussianProcess
    """Of scores of mean 0 and variance 1, less what is expected without any trial."""
    edge: float
    """That of `EDGES`."""
    spread: float
    """Spread of the scores that is 1 to the process."""


@dataclass(frozen=True)
class Trial:
    """One trial as the model needs it."""

    place: np.ndarray
    """The model's input."""
    reports: Mapping[int, float]
    """Score by evaluation."""
    final: float | None
    """Score at the end; None for a trial that was stopped or still runs."""


@dataclass(frozen=True)
class Observations:
    """Trials as a model sees them: inputs (n, d), scores (n,) of mean 0 and variance 1, and what is known of their variance."""

    inputs: np.ndarray
    values: np.ndarray
    extra: np.ndarray
    spread: float
    """Standard deviation that the scores had."""

    def fewer(self, most: int) -> Observations:
        """Return at most so many: the better half of them best, the others latest."""
        if len(self.values) <= most:
            return self
        best = np.argsort(-self.values, kind="stable")[: most // 2]
        others = np.setdiff1d(np.arange(len(self.values)), best)
        kept = np.sort(np.append(best, others[-(most - most // 2) :]))
        return Observations(self.inputs[kept], self.values[kept], self.extra[kept], self.spread)


def observed(trials: Sequence[Trial]) -> Observations | None:
    """Return the observations; None before a trial is complete.

    A trial without an end counts as its last report plus what complete trials gained after that step on average,
    with the variance of those gains; one stopped before its first report (it diverged) as the worst.
    """
    finals = [t.final for t in trials if t.final is not None]
    if not finals:
        return None
    gains: dict[int, list[float]] = {}
    for t in trials:
        for step, value in t.reports.items() if t.final is not None else ():
            gains.setdefault(step, []).append(t.final - value)  # type: ignore[operator]
    values, extra = [], []
    for t in trials:
        value, variance = min(finals), 0.0
        if t.final is not None:
            value = t.final
        elif t.reports:
            ahead = gains.get(max(t.reports), [0.0])
            value = t.reports[max(t.reports)] + float(np.mean(ahead))
            variance = float(np.var(ahead if len(ahead) > 1 else finals))
        values.append(value)
        extra.append(variance)
    scores = np.array(values)
    # a diverged trial says "bad", not how bad: it must not flatten all other differences
    middle = float(np.median(scores))
    scores = np.maximum(scores, middle - 2 * (scores.max() - middle))
    spread = float(scores.std()) or 1.0
    return Observations(
        np.array([t.place for t in trials]),
        (scores - scores.mean()) / spread,
        np.array(extra) / spread**2,
        spread,
    )


def expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """Return E[max(0, f - best)] of normal variables f, (m,) (Jones, Schonlau and Welch 1998, equation 15)."""
    z = (mean - best) / deviation
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    below = 0.5 * (1 + np.array([math.erf(v / math.sqrt(2)) for v in z]))
    return np.maximum(deviation * (z * below + density), 0.0)


def _again(begun: np.ndarray, means: np.ndarray, deviations: np.ndarray, noise: float) -> np.ndarray:
    """Return which place of a space without any other to try again: only noise is measured there.

    The one whose next score promises most to change which place is thought best, of equals the one begun least: the
    knowledge gradient (Frazier, Powell and Dayanik 2009), each place by itself.
    """
    places, at, counts = np.unique(begun, axis=0, return_index=True, return_counts=True)
    means, deviations = means[at], deviations[at]
    if len(places) == 1:
        return begun[0]
    rivals = np.full(len(places), means.max())
    rivals[means.argmax()] = np.delete(means, means.argmax()).max()
    moved = deviations**2 / np.sqrt(deviations**2 + noise)
    worth = expected_improvement(-abs(means - rivals), moved, 0.0)
    chosen: np.ndarray = places[np.lexsort((counts, -worth.round(3)))[0]]
    return chosen
