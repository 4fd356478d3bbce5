"""One Optuna study kept warm: sampled and pruned in memory, recorded in the database.

Optuna's own cache reads every open trial whole, by six queries, several times an `ask`: with hundreds open
at once that is most of a controller's work, and a cost that grows with parallelism. Here the study that sampler and
pruner see lives in memory. The database is asked in two light queries which trials have closed and what was
reported, and each trial is read whole once, when it has closed. A new trial is written whole in one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from coref_k8s.errors import StorageError
from coref_k8s.search.rows import TrialRows

# where `Study.enqueue_trial` puts the parameters, and `Trial` looks for them
_ENQUEUED = "fixed_params"


@dataclass
class Refreshed:
    """What a refresh has found: trials that are new or have closed, and reports that are new."""

    trials: list[FrozenTrial] = field(default_factory=list)
    reports: list[tuple[int, int, float]] = field(default_factory=list)
    """Trial number, step, value."""


class WarmStudy:
    """The trials of one Optuna study; one process at a time may ask. Raises what Optuna's storage raises."""

    rows_type: type[TrialRows] = TrialRows

    def __init__(self, storage: RDBStorage, name: str, pruner: BasePruner) -> None:
        self._storage = storage
        self.pruner = pruner
        self._name = name
        study = optuna.create_study(
            study_name=name, storage=storage, direction="maximize", load_if_exists=True
        )
        self.study_id = study._study_id
        self._rows = self.rows_type(storage, self.study_id)
        self.forget()

    def forget(self) -> None:
        """Start from nothing: the next refresh reads everything."""
        self.memory = InMemoryStorage()
        # Hyperband draws a trial's bracket from the study's name. It would also show the sampler one bracket
        # alone: so the study that is sampled has no pruner.
        self.study = optuna.create_study(
            study_name=self._name, storage=self.memory, direction="maximize", pruner=NopPruner()
        )
        self.ids: list[int] = []
        """The database's trial id by trial number; the memory's own ids differ."""
        self._open: dict[int, int] = {}
        self._highest = -1

    def refresh(self) -> Refreshed:
        """Bring the memory up to date and return what is new. Raises StorageError when trials were deleted."""
        found = Refreshed()
        states = self._rows.unfinished()
        changed = {
            trial_id: number
            for trial_id, number in self._open.items()
            if states.get(trial_id) is not self.study_trial(number).state
        }
        found.trials += self._rows.some(changed)
        if len(found.trials) < len(changed):
            self.forget()
            raise StorageError(f"trials of Optuna study {self.study_id} were deleted while it runs")
        for frozen in found.trials:
            self._follow(frozen)
        new = self._rows.all(after=self._highest)
        for frozen in new:
            self._add(frozen)
        found.trials += new
        for trial_id, step, value in self._rows.reports():
            number = self._open.get(trial_id)
            if number is not None and step not in self.study_trial(number).intermediate_values:
                self.memory.set_trial_intermediate_value(self._inner_id(number), step, value)
                found.reports.append((number, step, value))
        return found

    def study_trial(self, number: int) -> FrozenTrial:
        """Return a trial as sampler and pruner see it; not a copy."""
        trials: list[FrozenTrial] = self.memory._studies[self.study._study_id].trials
        return trials[number]

    def facts(self, number: int) -> dict[str, Any]:
        """Return the attributes of an open trial; read now, since the memory holds none."""
        found = self._rows.some([self.ids[number]])
        return dict(found[0].user_attrs) if found else {}

    def waiting(self) -> FrozenTrial | None:
        """Return the first trial that was enqueued and not asked for."""
        found = self.memory.get_all_trials(self.study._study_id, deepcopy=False, states=(TrialState.WAITING,))
        return found[0] if found else None

    def enqueue(self, params: dict[str, Any]) -> None:
        """Let a later `ask` begin with these parameters, unless a trial has them or was enqueued with them."""
        for known in self.study.get_trials(deepcopy=False):
            if known.system_attrs.get(_ENQUEUED, known.params) == params:
                return
        self._storage.create_new_trial(
            self.study_id, create_trial(state=TrialState.WAITING, system_attrs={_ENQUEUED: params})
        )

    def ask(self, sampler: BaseSampler, space: dict[str, BaseDistribution]) -> FrozenTrial:
        """Open a trial with parameters from `space`, an enqueued one first. Call `refresh` before."""
        self.study.sampler = sampler
        try:
            while (waiting := self.waiting()) is not None:
                trial_id = self.ids[waiting.number]
                if self._storage.set_trial_state_values(trial_id, TrialState.RUNNING):
                    return self.draw(waiting.number, space)
                self._follow(*self._rows.some([trial_id]))
            return self._new(space)
        except BaseException:
            self.forget()  # memory and database may differ now
            raise

    def draw(self, number: int, space: dict[str, BaseDistribution]) -> FrozenTrial:
        """Draw the parameters that an open trial lacks, and write each."""
        trial_id, inner = self.ids[number], self._inner_id(number)
        if self.study_trial(number).state is TrialState.WAITING:
            self.memory.set_trial_state_values(inner, TrialState.RUNNING)
        trial = Trial(self.study, inner)
        known = set(trial.params)
        for name, distribution in space.items():
            value = distribution.to_internal_repr(trial._suggest(name, distribution))
            if name not in known:
                self._storage.set_trial_param(trial_id, name, value, distribution)
        self._open[trial_id] = number
        (frozen,) = self._rows.some([trial_id])
        return frozen

    def _new(self, space: dict[str, BaseDistribution]) -> FrozenTrial:
        trial = self.study.ask(space)
        inner = self.study_trial(trial.number)
        template = create_trial(
            state=TrialState.RUNNING, params=inner.params, distributions=inner.distributions
        )
        trial_id = self._storage.create_new_trial(self.study_id, template)
        (frozen,) = self._rows.some([trial_id])
        if frozen.number != trial.number:
            self.forget()  # somebody else has opened one, against the rule: start from what is there
        else:
            self._note(trial_id, frozen.number, TrialState.RUNNING)
        return frozen

    def _add(self, frozen: FrozenTrial) -> None:
        if frozen.number != len(self.ids):
            raise StorageError(
                f"trial {frozen.number} of Optuna study {self.study_id} follows {len(self.ids) - 1}: "
                "the database misses trials; restore it from a backup"
            )
        self.memory.create_new_trial(self.study._study_id, frozen)
        inner = self.study_trial(frozen.number)
        # the memory has made copies: thousands of equal distributions, and attributes that no sampler reads
        inner.distributions, inner.user_attrs = dict(frozen.distributions), {}
        self._note(frozen._trial_id, frozen.number, frozen.state)

    def _note(self, trial_id: int, number: int, state: TrialState) -> None:
        self.ids.append(trial_id)
        self._highest = max(self._highest, trial_id)
        if not state.is_finished():
            self._open[trial_id] = number

    def _follow(self, frozen: FrozenTrial) -> None:
        """Change the memory's trial as the database's has changed."""
        inner = self._inner_id(frozen.number)
        now = self.study_trial(frozen.number)
        if now.state is TrialState.WAITING:
            now.params, now.distributions = dict(frozen.params), dict(frozen.distributions)
            self.memory.set_trial_state_values(inner, TrialState.RUNNING)
        for step, value in frozen.intermediate_values.items():
            self.memory.set_trial_intermediate_value(inner, step, value)
        if frozen.state.is_finished():
            self.memory.set_trial_state_values(inner, frozen.state, frozen.values)
            self._open.pop(frozen._trial_id, None)

    def _inner_id(self, number: int) -> int:
        return self.study_trial(number)._trial_id
