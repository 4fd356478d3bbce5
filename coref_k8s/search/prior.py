"""What another length or study has learnt, as the prior of a sampler.

The trials of the source stand among the study's own ones when TPE divides good from bad. Their scores are of
another length, model or data and lie higher or lower as a whole; by how much is known from the trials that ran in
both, the carried-over ones.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, create_study
from optuna.trial import FrozenTrial, TrialState, create_trial

from coref_k8s.search.records import TrialRecord
from coref_k8s.search.records import TrialState as State

#: Trials of a length from which on it knows more than any prior tells it.
PRIOR_UNTIL = 100


@dataclass(frozen=True)
class PriorTrial:
    """A finished trial of the source, its parameters moved into this space."""

    params: dict[str, Any]
    record: TrialRecord
    elsewhere: bool = False
    """Whether it is of another study, whose data or model differ, and not of another length of this one."""

    @property
    def source(self) -> tuple[int, bool]:
        """What it shares the level of its scores with."""
        return self.record.seq_len, self.elsewhere

    @property
    def done(self) -> bool:
        """Whether it has a score of its end."""
        return self.record.state is State.COMPLETE and is_finite(self.record.value)


class PriorSampler(BaseSampler):
    """Asks another sampler about a study that begins with the trials of a prior, for one trial; `space` is what is sampled."""

    def __init__(
        self, prior: Sequence[PriorTrial], sampler: BaseSampler, space: dict[str, BaseDistribution]
    ) -> None:
        self._prior, self._sampler, self._space = prior, sampler, space
        self._whole: Study | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the space that prior and study have in common."""
        return self._sampler.infer_relative_search_space(*self._seen(study, trial))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw the parameters that go together."""
        return self._sampler.sample_relative(*self._seen(study, trial), search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one parameter by itself."""
        return self._sampler.sample_independent(*self._seen(study, trial), param_name, param_distribution)

    def _seen(self, study: Study, trial: FrozenTrial) -> tuple[Study, FrozenTrial]:
        """Return a study of the prior's trials and then its own, and the trial in it."""
        if self._whole is None:
            own = study.get_trials(deepcopy=False)
            self._whole = create_study(direction="maximize")
            for one, offset in zip(self._prior, levels(self._prior, own), strict=True):
                self._whole.add_trial(_as_trial(one, self._space, offset))
            self._whole.add_trials(own)
        return self._whole, self._whole.get_trials(deepcopy=False)[len(self._prior) + trial.number]


def best_of(prior: Sequence[PriorTrial], count: int) -> list[PriorTrial]:
    """Return the best trials of a prior, complete ones first, in their order."""
    if len(prior) <= count:
        return list(prior)

    def merit(one: PriorTrial) -> tuple[bool, float]:
        record = one.record
        return one.done, record.value if record.value is not None and is_finite(record.value) else -math.inf

    kept = sorted(range(len(prior)), key=lambda at: merit(prior[at]), reverse=True)[:count]
    return [prior[at] for at in sorted(kept)]


def levels(prior: Sequence[PriorTrial], own: Sequence[FrozenTrial]) -> list[float]:
    """Return by how much scores here lie above those of each trial's source: its length, or the other study."""
    complete = [(t.params, score) for t in own if (score := final_score(t)) is not None]
    sources: dict[tuple[int, bool], list[PriorTrial]] = {}
    for one in prior:
        sources.setdefault(one.source, []).append(one)
    offsets = {source: _level(trials, complete) for source, trials in sources.items()}
    return [offsets[one.source] for one in prior]


def _level(prior: Sequence[PriorTrial], complete: Sequence[tuple[dict[str, Any], float]]) -> float:
    """Return the mean difference of the trials that ran in both; best to best before one has, 0 before anything."""
    known = [(p.params, p.record.value) for p in prior if p.done and p.record.value is not None]
    if not complete or not known:
        return 0.0
    pairs = [
        score - value for here, score in complete for params, value in known if params.items() <= here.items()
    ]
    if pairs:
        return statistics.fmean(pairs)
    return max(score for _, score in complete) - max(value for _, value in known)


def is_finite(value: float | None) -> bool:
    """Whether there is a value that a model can use."""
    return value is not None and math.isfinite(value)


def finite_only(reports: Mapping[int, float]) -> dict[int, float]:
    """Return the reports that a model can use."""
    return {step: value for step, value in reports.items() if math.isfinite(value)}


def finite_reports(trial: FrozenTrial) -> dict[int, float]:
    """Return the reports of a trial that a model can use."""
    return finite_only(trial.intermediate_values)


def final_score(trial: FrozenTrial) -> float | None:
    """Return the score of a complete trial; None where there is none that a model can use."""
    done = trial.state is TrialState.COMPLETE and trial.values
    return trial.values[0] if done and math.isfinite(trial.values[0]) else None


def _as_trial(one: PriorTrial, space: dict[str, BaseDistribution], offset: float) -> FrozenTrial:
    """Return a trial of the prior as Optuna has it, its scores at this study's level."""
    held = {name: value for name, value in one.params.items() if name in space}
    return create_trial(
        state=TrialState.COMPLETE if one.done else TrialState.PRUNED,
        value=(one.record.value or 0.0) + offset if one.done else None,
        params=held,
        distributions={name: space[name] for name in held},
        intermediate_values={
            step: value + offset for step, value in finite_only(one.record.intermediate).items()
        },
    )
