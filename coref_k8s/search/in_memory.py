"""One Optuna study, sampled and pruned in memory and recorded in the database.

Optuna's own cache reads every open trial whole, several times an `ask`: with hundreds open at once that is most of a
controller's work (docs/decisions/063-optuna-as-a-library.md). Here the study that sampler and pruner see lives in memory.
The database is asked in two light queries which trials have closed and what was reported, and each trial is read whole
once, when it has closed. What a sampler draws becomes visible in the database at once, whole, or not at all.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from coref_k8s.errors import StorageError
from coref_k8s.search.optuna_tables import OptunaTables, id_of


@dataclass
class Refreshed:
    """What a refresh has found: trials that are new or have closed, and reports that are new."""

    trials: list[FrozenTrial] = field(default_factory=list)
    reports: list[tuple[int, int, float]] = field(default_factory=list)
    """Trial number, step, value."""


class StudyInMemory:
    """The trials of one Optuna study; one process at a time may ask. Raises what Optuna's storage raises."""

    tables_type: type[OptunaTables] = OptunaTables

    def __init__(
        self, storage: RDBStorage, name: str, pruner: BasePruner, needed: frozenset[str] = frozenset()
    ) -> None:
        self._storage = storage
        self.pruner = pruner
        self._stored = optuna.create_study(
            study_name=name, storage=storage, direction="maximize", load_if_exists=True
        )
        self.study_id = storage.get_study_id_from_name(name)
        self._tables = self.tables_type(storage, self.study_id, needed)
        self.forget()

    def forget(self) -> None:
        """Start from nothing: the next refresh reads everything."""
        self._memory = InMemoryStorage()
        # Hyperband draws a trial's bracket from the study's name. It would also show the sampler one bracket
        # alone: so the study that is sampled has no pruner.
        name = self._stored.study_name
        self.study = optuna.create_study(
            study_name=name, storage=self._memory, direction="maximize", pruner=NopPruner()
        )
        self._inner_study = self._memory.get_study_id_from_name(name)
        self.ids: list[int] = []
        """The database's trial id by trial number; the memory's own ids differ."""
        self._open: dict[int, int] = {}
        self._highest = -1

    @property
    def open(self) -> Collection[int]:
        """Numbers of the trials that wait or run, as of the last refresh."""
        return self._open.values()

    def refresh(self) -> Refreshed:
        """Bring the memory up to date and return what is new. Raises StorageError when trials were deleted."""
        found = Refreshed()
        states = self._tables.unfinished()
        changed = {
            trial_id: number
            for trial_id, number in self._open.items()
            if states.get(trial_id) is not self.trial(number).state
        }
        found.trials += self._tables.some(changed)
        if len(found.trials) < len(changed):
            self.forget()
            raise StorageError("search.trials-deleted", study=self._stored.study_name)
        for frozen in found.trials:
            self._follow(frozen)
        new = self._tables.all(after=self._highest)
        for frozen in new:
            self._add(frozen)
        found.trials += new
        for trial_id, step, value in self._tables.reports():
            number = self._open.get(trial_id)
            if number is not None and step not in self.trial(number).intermediate_values:
                self._memory.set_trial_intermediate_value(self._inner(number), step, value)
                found.reports.append((number, step, value))
        return found

    def trial(self, number: int) -> FrozenTrial:
        """Return a trial as sampler and pruner see it."""
        return self._memory.get_trial(self._inner(number))

    def enqueue(self, params: dict[str, Any]) -> None:
        """Let a later `ask` begin with these parameters, unless a trial has them or was enqueued with them."""
        self._stored.enqueue_trial(params, skip_if_exists=True)

    def ask(self, sampler: BaseSampler, space: dict[str, BaseDistribution]) -> FrozenTrial:
        """Open a trial with parameters from `space`, an enqueued one first. Call `refresh` before.

        Others see it open when it has all its parameters, and not before.
        """
        self.study.sampler = sampler
        try:
            drawn = self.trial(self.study.ask(space).number)
            if drawn.number < len(self.ids):
                trial_id = self._begin(drawn)
            else:
                template = create_trial(
                    state=TrialState.RUNNING, params=drawn.params, distributions=drawn.distributions
                )
                trial_id = self._storage.create_new_trial(self.study_id, template)
            (frozen,) = self._tables.some([trial_id])
        except BaseException:
            self.forget()  # memory and database may differ now
            raise
        if frozen.number != drawn.number:
            self.forget()  # somebody else has opened one, against the rule: start from what is there
        else:
            self._note(frozen)
        return frozen

    def _begin(self, drawn: FrozenTrial) -> int:
        """Write what was drawn for an enqueued trial, then open it: whoever is killed between leaves it waiting."""
        trial_id = self.ids[drawn.number]
        written = self._storage.get_trial(trial_id).params
        for name, distribution in drawn.distributions.items():
            if name not in written:
                value = distribution.to_internal_repr(drawn.params[name])
                self._storage.set_trial_param(trial_id, name, value, distribution)
        if not self._storage.set_trial_state_values(trial_id, TrialState.RUNNING):
            raise StorageError("search.asked-elsewhere", study=self._stored.study_name)
        return trial_id

    def _add(self, frozen: FrozenTrial) -> None:
        if frozen.number != len(self.ids):
            raise StorageError(
                "search.trials-missing",
                study=self._stored.study_name,
                number=frozen.number,
                before=len(self.ids) - 1,
            )
        light = copy.copy(frozen)
        light.user_attrs = {}  # no sampler reads them
        self._memory.create_new_trial(self._inner_study, light)
        # the memory has copied thousands of equal distributions
        self.trial(frozen.number).distributions = dict(frozen.distributions)
        self._note(frozen)

    def _note(self, frozen: FrozenTrial) -> None:
        trial_id = id_of(frozen)
        if frozen.number == len(self.ids):
            self.ids.append(trial_id)
        self._highest = max(self._highest, trial_id)
        if not frozen.state.is_finished():
            self._open[trial_id] = frozen.number

    def _follow(self, frozen: FrozenTrial) -> None:
        """Change the memory's trial as the database's has changed."""
        inner, known = self._inner(frozen.number), self.trial(frozen.number)
        if known.state is TrialState.WAITING:
            for name, distribution in frozen.distributions.items():
                if name not in known.distributions:
                    value = distribution.to_internal_repr(frozen.params[name])
                    self._memory.set_trial_param(inner, name, value, distribution)
            self._memory.set_trial_state_values(inner, TrialState.RUNNING)
        for step, value in frozen.intermediate_values.items():
            self._memory.set_trial_intermediate_value(inner, step, value)
        if frozen.state.is_finished():
            self._memory.set_trial_state_values(inner, frozen.state, frozen.values)
            self._open.pop(id_of(frozen), None)

    def _inner(self, number: int) -> int:
        return self._memory.get_trial_id_from_study_id_trial_number(self._inner_study, number)
