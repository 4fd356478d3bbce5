"""The trials of one Optuna study as records: reading, closing and deleting them."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.pruners import BasePruner, NopPruner
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from coref_k8s.errors import TrialError
from coref_k8s.search.in_memory import StudyInMemory
from coref_k8s.search.optuna_tables import id_of
from coref_k8s.search.records import REASON_ATTR, TrialRecord
from coref_k8s.search.storage import guarded
from coref_k8s.search.stored import FINALISTS, as_record, delete_all, optuna_study_name, stored_trials
from coref_k8s.wording import NOTHING, Message


class Trials:
    """The trials of one Optuna study, kept up to date in memory. Every method may raise StorageError."""

    memory_type: type[StudyInMemory] = StudyInMemory

    def __init__(
        self,
        storage: RDBStorage,
        name: str,
        seq_len: int,
        pruner: BasePruner | None = None,
        needed: frozenset[str] = frozenset(),
    ) -> None:
        self.seq_len = seq_len
        self.storage = storage
        self._records: list[TrialRecord] = []
        with guarded(), quiet():
            self._memory = self.memory_type(storage, name, pruner or NopPruner(), needed)

    def trials(self) -> list[TrialRecord]:
        """Return every trial by number. An open one has its reports, its other metrics only once it has closed."""
        with guarded(), quiet():
            found = self._memory.refresh()
        if len(self._memory.ids) < len(self._records):
            self._records.clear()
        for frozen in found.trials:
            self._put(frozen)
        for number, step, value in found.reports:
            record = self._records[number]
            self._records[number] = replace(record, intermediate={**record.intermediate, step: value})
        return list(self._records)

    def complete(self, number: int, value: float) -> None:
        """Close a trial with its score; closed already is fine."""
        self._close(number, OptunaState.COMPLETE, [finite(value)])

    def prune(self, number: int, reason: Message = NOTHING) -> None:
        """Close a trial as pruned, with its last reported score; closed already is fine."""
        reported = self._record(number).intermediate
        self._close(number, OptunaState.PRUNED, [reported[max(reported)]] if reported else None, reason)

    def fail(self, number: int, reason: Message) -> None:
        """Close a trial as failed; closed already is fine."""
        self._close(number, OptunaState.FAIL, None, reason)

    def _put(self, frozen: FrozenTrial) -> TrialRecord:
        record = to_record(self.seq_len, frozen)
        if record.number == len(self._records):
            self._records.append(record)
        elif record.number < len(self._records):
            self._records[record.number] = record
        return record

    def _record(self, number: int) -> TrialRecord:
        if number >= len(self._records):
            self.trials()
        return self._records[number]

    def _close(
        self, number: int, state: OptunaState, values: list[float] | None, reason: Message = NOTHING
    ) -> None:
        trial_id = self._record(number).trial_id
        with guarded(), suppress(UpdateFinishedTrialError):
            if reason:
                self.storage.set_trial_user_attr(trial_id, REASON_ATTR, reason.to_text())
            self.storage.set_trial_state_values(trial_id, state, values)
        self.trials()


def finite(value: float) -> float:
    """Return a score that can be stored and read back. Raises TrialError for one that is not a number."""
    if math.isnan(value):
        raise TrialError("search.score-not-a-number")
    return value


@contextmanager
def quiet() -> Iterator[None]:
    """Let Optuna not warn that what was chosen here is experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def delete_trials(storage: RDBStorage, study: str, namespace: str = "") -> None:
    """Delete the trials of all lengths and the runs of their finalists; none there is fine."""
    of_study = re.compile(rf"{re.escape(optuna_study_name(namespace, study))}/\d+(/{FINALISTS})?")
    with guarded():
        for name in filter(of_study.fullmatch, optuna.get_all_study_names(storage)):
            with suppress(KeyError):
                # Optuna alone reads every row of them before it deletes it: of 5,000 trials for 20 s
                with storage.engine.begin() as connection:
                    delete_all(connection, storage.get_study_id_from_name(name))
                optuna.delete_study(study_name=name, storage=storage)


def read_trials(
    storage: RDBStorage, study: str, seq_len: int, namespace: str = "", **which: Any
) -> list[TrialRecord]:
    """Return the trials of one length without opening a study for asking, as `stored_trials` does."""
    return stored_trials(storage.engine, study, seq_len, namespace, **which)


def to_record(seq_len: int, frozen: FrozenTrial) -> TrialRecord:
    """Return an Optuna trial as a record."""
    return as_record(
        frozen.state.name,
        dict(frozen.user_attrs),
        frozen.values[0] if frozen.values else None,
        dict(frozen.intermediate_values),
        dict(frozen.params),
        seq_len=seq_len,
        number=frozen.number,
        trial_id=id_of(frozen),
        started_at=_utc(frozen.datetime_start),
        finished_at=_utc(frozen.datetime_complete),
    )


def _utc(moment: datetime | None) -> datetime | None:
    # Optuna stores naive local times
    return moment.astimezone(UTC) if moment is not None else None
