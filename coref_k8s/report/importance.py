"""Which parameters mattered: PED-ANOVA with a mark for what chance alone would show.

PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023) compares the values of the best trials with those of all; unlike
fANOVA it grows no forest, so neither scikit-learn nor torch is needed, and it is at home where a sampler has
already drawn towards the good. A number from 20 trials says little by itself: the same scores are shuffled
over the trials, and what 95 % of the shuffles stay below is shown beside each bar (docs/decisions/080-importance.md).
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coref_k8s.search.records import TrialRecord, ranked
from coref_k8s.search.space import distributions, space_for
from coref_k8s.study.spec import StudySpec

#: Complete trials below which nothing is said.
LEAST = 8
#: The best trials that are compared with all: this share, and not fewer than that many.
_SHARE, _FEWEST = 0.25, 5
#: Complete trials that are compared: of more, every second, third … from the best to the worst. The shuffles of 5,000
#: take 17 s, and say no more.
_MOST = 500
#: Shuffles, and the one that bounds 95 % of them.
_SHUFFLES, _BOUND = 40, 38


@dataclass(frozen=True)
class Importance:
    """How much one parameter mattered. Shares add up to 1 over the parameters of a length."""

    name: str
    share: float
    chance: float
    """Share that 95 % of shuffled scores stay below."""

    @property
    def shown(self) -> bool:
        """Whether it is more than chance shows."""
        return self.share > self.chance


@dataclass(frozen=True)
class Importances:
    """The parameters of one length, most important first."""

    trials: int
    """Complete trials that this rests on."""
    top: int
    """The best of them, which were compared with all."""
    parameters: list[Importance]


def importances(spec: StudySpec, seq_len: int, trials: Sequence[TrialRecord]) -> Importances | None:
    """Return what mattered at one length; None below 8 complete trials or when all score the same.

    Only parameters that every complete trial has and that vary are judged.
    """
    complete = ranked(trials)
    complete = complete[:: -(-len(complete) // _MOST) or 1]
    values = [one.value or 0.0 for one in complete]
    if len(complete) < LEAST or min(values) == max(values):
        return None
    space = {
        name: dist
        for name, dist in distributions(space_for(spec, seq_len)).items()
        if all(name in one.params and dist._contains(_inner(dist, one.params[name])) for one in complete)
        and len({str(one.params[name]) for one in complete}) > 1
    }
    if not space:
        return None
    top = max(_FEWEST, math.ceil(_SHARE * len(complete)))
    judge = _judge([{name: one.params[name] for name in space} for one in complete], space, top)
    found = judge(values)
    chance: dict[str, list[float]] = {name: [] for name in space}
    shuffler = random.Random(0)
    for _ in range(_SHUFFLES):
        shuffler.shuffle(values)
        for name, value in judge(values).items():
            chance[name].append(value)
    total = sum(found.values()) or 1.0
    parameters = [
        Importance(name, value / total, sorted(chance[name])[_BOUND - 1] / total)
        for name, value in found.items()
    ]
    return Importances(len(complete), top, sorted(parameters, key=lambda one: -one.share))


def _inner(distribution: Any, value: Any) -> float:
    try:
        return float(distribution.to_internal_repr(value))
    except ValueError:  # a choice that the request no longer has
        return math.nan


def _judge(
    rows: Sequence[Mapping[str, Any]], space: Mapping[str, Any], top: int
) -> Callable[[Sequence[float]], dict[str, float]]:
    """Return what turns scores of these trials into the divergence of each parameter."""
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study()
        study.add_trials(
            [
                optuna.trial.create_trial(params=dict(row), distributions=dict(space), value=0.0)
                for row in rows
            ]
        )
    finally:
        optuna.logging.set_verbosity(level)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=top / len(rows))

    def judge(values: Sequence[float]) -> dict[str, float]:
        with warnings.catch_warnings():
            # Optuna warns that a target is minimised, and that is why it is negated
            warnings.simplefilter("ignore")
            found = evaluator.evaluate(study, target=lambda trial: -values[trial.number])
        return {name: max(0.0, value) for name, value in found.items()}

    return judge
