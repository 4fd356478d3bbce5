"""Writes the trials of an exported study into a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from coref_k8s.search.finalist_study import write_verdict
from coref_k8s.search.records import METRICS_ATTR, PARAMS_ATTR, TrialRecord
from coref_k8s.search.space import distributions, space_for
from coref_k8s.search.storage import guarded
from coref_k8s.search.stored import FINALISTS, STATES, optuna_study_name
from coref_k8s.search.trials import quiet
from coref_k8s.search.verdict import Verdict
from coref_k8s.study.spec import StudySpec

_OPTUNA = {ours: TrialState[theirs] for theirs, ours in STATES.items()}
_VALUED = (TrialState.COMPLETE, TrialState.PRUNED)


def write_trials(
    storage: RDBStorage,
    spec: StudySpec,
    study: str,
    seq_len: int,
    records: Sequence[TrialRecord],
    namespace: str = "",
    part: str = "",
) -> None:
    """Write trials, in order of their number, into a length (or a `part` of it) that has none. Raises StorageError."""
    space = distributions(space_for(spec, seq_len))
    with guarded(), quiet():
        name = optuna_study_name(namespace, study, seq_len, part)
        optuna.create_study(study_name=name, storage=storage, direction="maximize")
        study_id = storage.get_study_id_from_name(name)
        for record in records:
            storage.create_new_trial(study_id, _frozen(record, space))


def write_finalists(
    storage: RDBStorage,
    spec: StudySpec,
    study: str,
    seq_len: int,
    runs: Sequence[TrialRecord],
    verdict: Verdict | None,
    namespace: str = "",
) -> None:
    """Write the runs of a length's finalists and what they have shown; nothing when there are none."""
    if not runs:
        return
    # the storage has their parameters as an attribute
    kept = [replace(run, params={}, attrs={**run.attrs, PARAMS_ATTR: run.params}) for run in runs]
    write_trials(storage, spec, study, seq_len, kept, namespace, FINALISTS)
    if verdict is not None:
        write_verdict(storage, study, verdict, namespace)


def _frozen(record: TrialRecord, space: dict[str, BaseDistribution]) -> FrozenTrial:
    state = _OPTUNA[record.state]
    attrs = dict(record.attrs)
    if record.metrics:
        attrs[METRICS_ATTR] = record.metrics
    return FrozenTrial(
        number=record.number,
        state=state,
        value=record.value if state in _VALUED else None,
        datetime_start=_local(record.started_at),
        datetime_complete=_local(record.finished_at),
        params=record.params,
        distributions={name: _holding(space.get(name), value) for name, value in record.params.items()},
        user_attrs=attrs,
        system_attrs={},
        intermediate_values=record.intermediate,
        trial_id=-1,
    )


def _holding(distribution: BaseDistribution | None, value: Any) -> BaseDistribution:
    """Return the request's distribution, wide enough for a value that was drawn from an earlier, wider one."""
    if isinstance(distribution, FloatDistribution) and isinstance(value, int | float):
        low, high = min(distribution.low, value), max(distribution.high, value)
        return FloatDistribution(low, high, log=distribution.log and low > 0)
    if isinstance(distribution, CategoricalDistribution) and value in distribution.choices:
        return distribution
    return CategoricalDistribution([value])


def _local(moment: datetime | None) -> datetime | None:
    # Optuna takes naive local times
    return None if moment is None else moment.astimezone().replace(tzinfo=None)
