"""What a simulated trial scores: a made-up but measured-shape answer to "these parameters, this length".

Nothing here knows of a search strategy, and no strategy knows of this. The assumptions, their values and where
each comes from are in docs/search.md; `Assumptions` holds them so that the benchmark can vary them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from coref_k8s.search.space import space_for
from coref_k8s.sizing.batch import effective_batch
from coref_k8s.study.spec import StudySpec

#: GPU time of one epoch of one length relative to 1,024 tokens: see docs/search.md, "Cost".
COST = {512: 0.41, 768: 0.64, 1024: 1.0, 1280: 1.37, 1536: 1.68, 1792: 2.22, 2048: 2.22}
#: Score of the untuned model, and what the best parameters add to it.
BASE, GAIN = 0.30, 0.30
#: Items of an evaluation, as `data.evalItems` has them.
ITEMS = 200
#: How far off (share of its range; decades for the learning rate) costs a trial 1 - 1/e of its gain, by parameter.
WIDTHS = {
    "warmup_ratio": 1.3,
    "weight_decay": 2.0,
    "layer_decay": 1.3,
    "mask_low": 2.0,
    "mask_high": 1.2,
    "mention_share": 1.0,
    "distance_preference": 1.2,
}


@dataclass(frozen=True)
class Assumptions:
    """What is assumed of the world; every field is varied by the benchmark."""

    rate_width: float = 0.6
    """Decades of learning rate that cost a trial 1 - 1/e of its gain."""
    seed_noise: float = 0.024
    """Standard deviation of the final score between seeds (score)."""
    report_noise: float = 0.02
    """Standard deviation of one evaluation around the trial's own curve (score)."""
    margin: float = 0.15
    """How far from the edges of its range an optimum lies at least, in the shortest length (share of the range)."""
    rate_offset: float = 0.5
    """How far the best learning rate lies from the middle of its range at most, in the shortest length (decades)."""
    drift: float = 0.15
    """Standard deviation of how far an optimum moves from a length to the next (decades; share of a range)."""
    transfer: bool = True
    """Whether the optima of two lengths have anything to do with each other."""
    crossing: float = 1.2
    """Spread of the curves' shapes: 0 is one shape for all, so the first report would tell the last."""
    divergence: float = 0.9
    """Decades above the best learning rate at which training diverges."""
    startup: float = 0.01
    """GPU time of a trial before its first step (epochs of 1,024 tokens)."""


@dataclass(frozen=True)
class Run:
    """What a trial will do."""

    hours: float
    """GPU-hours of the whole trial, its start included."""
    start: float
    """GPU-hours before its first step."""
    reports: Sequence[float]
    """Score at each evaluation, as reported."""
    diverges_at: int | None
    """Evaluation before which the loss explodes; None for a healthy trial."""


class Landscape:
    """One repetition's world: the same for every strategy that is let loose in it."""

    base = BASE

    def __init__(self, seed: int, spec: StudySpec, assumed: Assumptions) -> None:
        self._seed, self._assumed, self._evaluations = seed, assumed, spec.training.evaluations
        spaces = {length: space_for(spec, length) for length in spec.seq_lengths}
        self._spec, self._spaces = spec, spaces
        draw = random.Random(f"landscape/{seed}")
        self._weights = {name: math.exp(draw.gauss(0, 0.4)) for name in WIDTHS}
        self._optima: dict[int, dict[str, float]] = {}
        self._choices: dict[int, dict[tuple[str, Any], float]] = {}
        # Between "the best learning rate is the same at every length" (0) and "it moves with the ranges" (1).
        follow = draw.random()
        shortest = min(spaces)
        for length in sorted(spaces):
            one = random.Random(f"landscape/{seed}/{length}")
            if length == shortest or not assumed.transfer:
                best = {name: one.uniform(assumed.margin, 1 - assumed.margin) for name in WIDTHS}
                best["learning_rate"] = self._centre(length) + assumed.rate_offset * one.uniform(-1, 1)
                drawn = {
                    (n, v): one.uniform(0.0, 0.3) for n, r in spaces[length].items() for v in r.choices or ()
                }
            else:
                before = max(n for n in self._optima if n < length)
                known = self._optima[before]
                steps = math.log2(length / before)
                spread = assumed.drift * math.sqrt(steps)
                best = {
                    name: min(
                        1.0, max(0.0, self._moved(name, known[name], before, length) + one.gauss(0, spread))
                    )
                    for name in WIDTHS
                }
                best["learning_rate"] = (
                    known["learning_rate"]
                    + follow * (self._centre(length) - self._centre(before))
                    + one.gauss(0, spread)
                )
                drawn = {
                    (n, v): self._choices[before].get((n, v), one.uniform(0.0, 0.3))
                    + one.gauss(0, 0.3 * spread)
                    for n, r in spaces[length].items()
                    for v in r.choices or ()
                }
            self._optima[length] = best
            self._choices[length] = drawn

    def _centre(self, length: int) -> float:
        rate = self._spaces[length]["learning_rate"]
        assert rate.low is not None
        assert rate.high is not None
        return (math.log10(rate.low) + math.log10(rate.high)) / 2

    def _moved(self, name: str, place: float, before: int, length: int) -> float:
        """Return the place in this length's range of a value that has this place in the other's."""
        old, new = self._spaces[before][name], self._spaces[length][name]
        assert old.low is not None
        assert old.high is not None
        assert new.low is not None
        assert new.high is not None
        return (old.low + place * (old.high - old.low) - new.low) / (new.high - new.low)

    def quality(self, length: int, params: dict[str, Any]) -> float:
        """Return the score that these parameters reach on average over seeds."""
        best, loss = self._optima[length], 0.0
        for name, width in WIDTHS.items():
            one = self._spaces[length][name]
            assert one.low is not None
            assert one.high is not None
            place = (params[name] - one.low) / (one.high - one.low)
            loss += self._weights[name] * ((place - best[name]) / width) ** 2
        loss += (self._off(length, params) / self._assumed.rate_width) ** 2
        # epochs: more are better, with less and less to gain; other choices by their drawn penalties
        if "epochs" in params:
            loss += {1.0: 0.25, 2.0: 0.08, 3.0: 0.0}[float(params["epochs"])]
        if "position_range" in params:
            found = {v: p for (n, v), p in self._choices[length].items() if n == "position_range"}
            loss += found[params["position_range"]] - min(found.values())
        return BASE + GAIN * math.exp(-loss)

    def _off(self, length: int, params: dict[str, Any]) -> float:
        """Return how many decades the learning rate is above its best, given the accumulation."""
        rate = math.log10(params["learning_rate"])
        # a batch twice as large bears a rate about 1.4 times as high
        batch = effective_batch(self._spec, length, params["accumulation"])
        wanted = self._optima[length]["learning_rate"] + 0.15 * math.log2(batch / 32)
        return rate - wanted

    def items(self, length: int, number: int, score: float) -> dict[str, float]:
        """Return which of the items of an evaluation are hit, so many that their mean is the score.

        How hard an item is, is half its own and the same for every trial, half the trial's.
        """
        own = random.Random(f"items/{self._seed}/{length}")
        drawn = random.Random(f"items/{self._seed}/{length}/{number}")
        hard = [own.gauss(0, 1) + drawn.gauss(0, 1) for _ in range(ITEMS)]
        most = round(ITEMS * min(1.0, max(0.0, score)))
        hit = set(sorted(range(ITEMS), key=hard.__getitem__)[:most])
        return {str(item): float(item in hit) for item in range(ITEMS)}

    def run(self, length: int, params: dict[str, Any], number: int, hours_per_epoch: float = 1.0) -> Run:
        """Return what a trial does; the same parameters under another number have another seed."""
        assumed, draw = (
            self._assumed,
            random.Random(f"{self._seed}/{length}/{number}/{sorted(params.items())}"),
        )
        start = assumed.startup * hours_per_epoch
        hours = start + COST[length] * float(params.get("epochs", 1.0)) * hours_per_epoch
        final = self.quality(length, params) + draw.gauss(0, assumed.seed_noise)
        off = self._off(length, params)
        # A low rate rises late, a high one early; the rest of the spread is the trial's own.
        late = math.exp(assumed.crossing * (draw.gauss(0, 0.5) - 0.8 * max(-1.0, min(1.0, off))))
        scores = []
        for step in range(1, self._evaluations + 1):
            done = (step / self._evaluations) ** late
            rise = (1 - math.exp(-2.5 * done)) / (1 - math.exp(-2.5))
            scores.append(BASE + (final - BASE) * rise + draw.gauss(0, assumed.report_noise))
        diverges_at = None
        if off > assumed.divergence:
            diverges_at = 1 + min(self._evaluations - 1, int(draw.random() * 3))
            scores[diverges_at - 1 :] = [
                0.05 + draw.gauss(0, assumed.report_noise) for _ in scores[diverges_at - 1 :]
            ]
        return Run(hours, start, tuple(scores), diverges_at)
