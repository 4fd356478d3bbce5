"""One warm Optuna study per sequence length: asking, telling, reading, pruning.

The controller keeps it open, since a cold one pays 0.9 s to load 1,000 trials and a warm ask 0.1 s.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from coref_k8s.search.pruners import make_pruner
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.search.samplers import make_sampler
from coref_k8s.search.space import distributions, space_for
from coref_k8s.search.storage import guarded, optuna_study_name
from coref_k8s.study import StudySpec

_STATES = {
    OptunaState.WAITING: TrialState.WAITING,
    OptunaState.RUNNING: TrialState.RUNNING,
    OptunaState.COMPLETE: TrialState.COMPLETE,
    OptunaState.PRUNED: TrialState.PRUNED,
    OptunaState.FAIL: TrialState.FAILED,
}

#: Trial attributes that are fields of a record.
METRICS_ATTR = "metrics"
REASON_ATTR = "reason"


class LengthStudy:
    """The trials of one length. Every method may raise StorageError."""

    def __init__(
        self, storage: BaseStorage, spec: StudySpec, study: str, seq_len: int, namespace: str = ""
    ) -> None:
        self.spec = spec
        self.seq_len = seq_len
        self._finished: dict[int, TrialRecord] = {}
        with guarded():
            self._study = optuna.create_study(
                study_name=optuna_study_name(namespace, study, seq_len),
                storage=storage,
                direction="maximize",
                sampler=make_sampler(spec, seq_len, 0),
                pruner=make_pruner(spec),
                load_if_exists=True,
            )
        self._distributions = distributions(space_for(spec, seq_len))

    def ask(self) -> TrialRecord:
        """Open a new trial and return it with its parameters; enqueued ones come first."""
        with guarded(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            # A sampler seeded by what was drawn before: a resumed study goes on as if never interrupted,
            # where one seeded once would draw its first parameters a second time.
            drawn = sum(t.state != OptunaState.WAITING for t in self._study.get_trials(deepcopy=False))
            self._study.sampler = make_sampler(self.spec, self.seq_len, drawn)
            trial = self._study.ask(self._distributions)
            return TrialRecord(
                seq_len=self.seq_len,
                number=trial.number,
                trial_id=trial._trial_id,
                state=TrialState.RUNNING,
                params=dict(trial.params),
                started_at=datetime.now(UTC),
            )

    def whole(self, record: TrialRecord) -> TrialRecord:
        """Return an open trial with all its parameters, drawing those that a killed `ask` left out."""
        if not record.open or self._distributions.keys() <= record.params.keys():
            return record
        with guarded(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            before = [t for t in self._study.get_trials(deepcopy=False) if t.number < record.number]
            drawn = sum(t.state != OptunaState.WAITING for t in before)
            self._study.sampler = make_sampler(self.spec, self.seq_len, drawn)
            trial = optuna.trial.Trial(self._study, record.trial_id)
            for name, distribution in self._distributions.items():
                trial._suggest(name, distribution)
            return replace(record, params=dict(trial.params))

    def enqueue(self, params: Mapping[str, Any]) -> None:
        """Let a later `ask` return these parameters; what the space does not hold is sampled."""
        known = {k: v for k, v in params.items() if k in self._distributions}
        with guarded(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            self._study.enqueue_trial(known, skip_if_exists=True)

    def complete(self, number: int, value: float) -> None:
        """Close a trial with its score; closed already is fine."""
        self._tell(number, OptunaState.COMPLETE, value)

    def prune(self, number: int) -> None:
        """Close a trial as pruned, with its last reported score; closed already is fine."""
        self._tell(number, OptunaState.PRUNED)

    def fail(self, number: int, reason: str) -> None:
        """Close a trial as failed with a reason in words; closed already is fine."""
        with guarded():
            trial_id = self._trial_id(number)
            if not self._study._storage.get_trial(trial_id).state.is_finished():
                self._study._storage.set_trial_user_attr(trial_id, REASON_ATTR, reason)
        self._tell(number, OptunaState.FAIL)

    def should_prune(self, record: TrialRecord) -> bool:
        """Return whether the pruner gives the trial up; never before its warm-up has ended."""
        if not record.intermediate:
            return False
        done = max(record.intermediate) / self.spec.training.evaluations
        if done <= float(record.params.get("warmup_ratio", 0.0)) or done >= 1:
            return False
        with guarded():
            frozen = self._study._storage.get_trial(record.trial_id)
            return not frozen.state.is_finished() and self._study.pruner.prune(self._study, frozen)

    def trials(self) -> list[TrialRecord]:
        """Return every trial by number; finished ones are converted once and remembered."""
        with guarded():
            found = []
            for frozen in self._study.get_trials(deepcopy=False):
                record = self._finished.get(frozen.number)
                if record is None:
                    record = to_record(self.seq_len, frozen)
                    if frozen.state.is_finished():
                        self._finished[frozen.number] = record
                found.append(record)
            return found

    def _tell(self, number: int, state: OptunaState, value: float | None = None) -> None:
        with guarded():
            self._study.tell(number, value, state=state, skip_if_finished=True)

    def _trial_id(self, number: int) -> int:
        return self._study._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)


def delete_length(storage: BaseStorage, study: str, seq_len: int, namespace: str = "") -> None:
    """Delete the trials of one length; none there is fine."""
    with guarded():
        try:
            optuna.delete_study(study_name=optuna_study_name(namespace, study, seq_len), storage=storage)
        except KeyError:
            return


def read_trials(storage: BaseStorage, study: str, seq_len: int, namespace: str = "") -> list[TrialRecord]:
    """Return the trials of one length without opening a study for asking; none when it was not begun."""
    with guarded():
        try:
            study_id = storage.get_study_id_from_name(optuna_study_name(namespace, study, seq_len))
        except KeyError:
            return []
        return [to_record(seq_len, frozen) for frozen in storage.get_all_trials(study_id, deepcopy=False)]


def to_record(seq_len: int, frozen: FrozenTrial) -> TrialRecord:
    """Return an Optuna trial as a record."""
    attrs = dict(frozen.user_attrs)
    value = frozen.values[0] if frozen.values else None
    if value is None and frozen.intermediate_values:
        value = frozen.intermediate_values[max(frozen.intermediate_values)]
    return TrialRecord(
        seq_len=seq_len,
        number=frozen.number,
        trial_id=frozen._trial_id,
        state=_STATES[frozen.state],
        params=dict(frozen.params),
        value=value,
        intermediate=dict(frozen.intermediate_values),
        metrics=attrs.pop(METRICS_ATTR, {}),
        attrs=attrs,
        started_at=_utc(frozen.datetime_start),
        finished_at=_utc(frozen.datetime_complete),
    )


def _utc(moment: datetime | None) -> datetime | None:
    # Optuna stores naive local times
    return moment.astimezone(UTC) if moment is not None else None
