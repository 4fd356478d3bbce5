"""Reads trials from Optuna's tables in one query a table, whatever their number: the one place that knows what is private there.

The public way, `RDBStorage.get_all_trials`, builds an object of the ORM for every parameter of every trial: 5,000 finished
trials take 7.6 s (SQLite) or 15.3 s (Postgres) with it, here 1.0 and 1.7 s; looking for news among 100 open ones 85 and 202 ms,
here 7 and 20 ms (docs/decisions/063-optuna-as-a-library.md). Optuna's columns have not changed since 3.0;
`tests/search/test_optuna_tables.py` holds what is read here to what Optuna itself reads.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Select, Table, select

#: Ids in one `IN`: every database takes so many.
_CHUNK = 500
_SPECIAL = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}


def _table(model: Any) -> Table:
    table: Table = model.__table__
    return table


_TRIALS = _table(models.TrialModel)
_PARAMS = _table(models.TrialParamModel)
_VALUES = _table(models.TrialValueModel)
_REPORTS = _table(models.TrialIntermediateValueModel)
_USER = _table(models.TrialUserAttributeModel)
_SYSTEM = _table(models.TrialSystemAttributeModel)


class OptunaTables:
    """The trials of one Optuna study. Raises what SQLAlchemy raises."""

    def __init__(self, storage: RDBStorage, study_id: int) -> None:
        self._storage = storage
        self._study_id = study_id
        self._distributions: dict[str, BaseDistribution] = {}

    def all(self, *, after: int = -1) -> list[FrozenTrial]:
        """Return every trial whose id is above `after`, by number."""
        with self._storage.engine.connect() as connection:
            wanted = (_TRIALS.c.study_id == self._study_id) & (_TRIALS.c.trial_id > after)
            return self._read(connection, [wanted])

    def some(self, ids: Collection[int]) -> list[FrozenTrial]:
        """Return the trials with these ids, by number; those that were deleted are not among them."""
        if not ids:
            return []
        with self._storage.engine.connect() as connection:
            chunked = sorted(ids)
            chunks = [chunked[i : i + _CHUNK] for i in range(0, len(chunked), _CHUNK)]
            return self._read(connection, [_TRIALS.c.trial_id.in_(chunk) for chunk in chunks])

    def unfinished(self) -> dict[int, TrialState]:
        """Return the state of every trial without an outcome, by id."""
        query = select(_TRIALS.c.trial_id, _TRIALS.c.state).where(
            _TRIALS.c.study_id == self._study_id,
            _TRIALS.c.state.in_((TrialState.RUNNING, TrialState.WAITING)),
        )
        with self._storage.engine.connect() as connection:
            return {row.trial_id: row.state for row in connection.execute(query)}

    def reports(self) -> Iterator[tuple[int, int, float]]:
        """Yield id, step and value of every report of a running trial."""
        running = (_TRIALS.c.study_id == self._study_id) & (_TRIALS.c.state == TrialState.RUNNING)
        with self._storage.engine.connect() as connection:
            for row in connection.execute(_of(_REPORTS, running)):
                yield row.trial_id, row.step, _number(row.intermediate_value, row.intermediate_value_type)

    def _read(self, connection: Connection, conditions: list[Any]) -> list[FrozenTrial]:
        found = [trial for condition in conditions for trial in self._chunk(connection, condition)]
        return sorted(found, key=lambda trial: trial.number)

    def _chunk(self, connection: Connection, condition: Any) -> Iterator[FrozenTrial]:
        trials = connection.execute(select(_TRIALS).where(condition)).all()
        if not trials:
            return
        params, distributions = defaultdict(dict), defaultdict(dict)  # type: ignore[var-annotated]
        for row in connection.execute(_of(_PARAMS, condition).order_by(_PARAMS.c.param_id)):
            distribution = self._distribution(row.distribution_json)
            params[row.trial_id][row.param_name] = distribution.to_external_repr(row.param_value)
            distributions[row.trial_id][row.param_name] = distribution
        values = {
            row.trial_id: _number(row.value, row.value_type)
            for row in connection.execute(_of(_VALUES, condition))
        }
        reports, user, system = defaultdict(dict), defaultdict(dict), defaultdict(dict)  # type: ignore[var-annotated]
        for row in connection.execute(_of(_REPORTS, condition).order_by(_REPORTS.c.step)):
            value = _number(row.intermediate_value, row.intermediate_value_type)
            reports[row.trial_id][row.step] = value
        for table, into in ((_USER, user), (_SYSTEM, system)):
            for row in connection.execute(_of(table, condition)):
                into[row.trial_id][row.key] = json.loads(row.value_json)
        for row in trials:
            yield FrozenTrial(
                number=row.number,
                state=row.state,
                value=values.get(row.trial_id),
                datetime_start=_local(row.datetime_start),
                datetime_complete=_local(row.datetime_complete),
                params=params[row.trial_id],
                distributions=distributions[row.trial_id],
                user_attrs=user[row.trial_id],
                system_attrs=system[row.trial_id],
                intermediate_values=reports[row.trial_id],
                trial_id=row.trial_id,
            )

    def _distribution(self, text: str) -> BaseDistribution:
        """Return the distribution; thousands of equal ones are one object."""
        known = self._distributions.get(text)
        if known is None:
            known = self._distributions[text] = json_to_distribution(text)
        return known


def id_of(trial: FrozenTrial) -> int:
    """Return the trial's id in the storage, which Optuna's interface takes and does not give."""
    return trial._trial_id


def _of(table: Table, condition: Any) -> Select[Any]:
    """Return the rows of a table that belong to the trials of a condition."""
    return select(table).join(_TRIALS, _TRIALS.c.trial_id == table.c.trial_id).where(condition)


def _number(value: float | None, kind: Any) -> float:
    return _SPECIAL[kind.name] if value is None else value


def _local(moment: datetime | None) -> datetime | None:
    """Return a time of the database (naive UTC) as Optuna shows it (naive local)."""
    return None if moment is None else moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
