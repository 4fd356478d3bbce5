"""Optuna's trials, read from its tables by `coref_k8s.search.stored`: looking for news among 100 open ones takes 7 ms (SQLite) and
20 ms (Postgres) so, and 85 and 202 ms in the public way (docs/decisions/063-optuna-as-a-library.md).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, select

from coref_k8s.search.stored import REPORTS, TRIALS, Stored, number, of_trials, read

#: Ids in one `IN`: every database takes so many.
_CHUNK = 500


class OptunaTables:
    """The trials of one Optuna study. Raises what SQLAlchemy raises."""

    def __init__(self, storage: RDBStorage, study_id: int, needed: frozenset[str] = frozenset()) -> None:
        """Read trials that lack a `needed` parameter as failed."""
        self._storage = storage
        self._study_id = study_id
        self._needed = needed
        self._distributions: dict[str, BaseDistribution] = {}

    def all(self, *, after: int = -1) -> list[FrozenTrial]:
        """Return every trial whose id is above `after`, by number."""
        with self._storage.engine.connect() as connection:
            wanted = (TRIALS.c.study_id == self._study_id) & (TRIALS.c.trial_id > after)
            return self._read(connection, [wanted])

    def some(self, ids: Collection[int]) -> list[FrozenTrial]:
        """Return the trials with these ids, by number; those that were deleted are not among them."""
        if not ids:
            return []
        with self._storage.engine.connect() as connection:
            chunked = sorted(ids)
            chunks = [chunked[i : i + _CHUNK] for i in range(0, len(chunked), _CHUNK)]
            return self._read(connection, [TRIALS.c.trial_id.in_(chunk) for chunk in chunks])

    def unfinished(self) -> dict[int, TrialState]:
        """Return the state of every trial without an outcome, by id."""
        query = select(TRIALS.c.trial_id, TRIALS.c.state).where(
            TRIALS.c.study_id == self._study_id,
            TRIALS.c.state.in_((TrialState.RUNNING.name, TrialState.WAITING.name)),
        )
        with self._storage.engine.connect() as connection:
            return {row.trial_id: TrialState[row.state] for row in connection.execute(query)}

    def reports(self) -> Iterator[tuple[int, int, float]]:
        """Yield id, step and value of every report of a running trial."""
        running = (TRIALS.c.study_id == self._study_id) & (TRIALS.c.state == TrialState.RUNNING.name)
        with self._storage.engine.connect() as connection:
            for row in connection.execute(of_trials(REPORTS, running)):
                yield row.trial_id, row.step, number(row.intermediate_value, row.intermediate_value_type)

    def _read(self, connection: Connection, conditions: list[Any]) -> list[FrozenTrial]:
        found = [
            self._trial(one) for condition in conditions for one in read(connection, condition, self._needed)
        ]
        return sorted(found, key=lambda trial: trial.number)

    def _trial(self, one: Stored) -> FrozenTrial:
        distributions = {name: self._distribution(text) for name, (_, text) in one.params.items()}
        return FrozenTrial(
            number=one.number,
            state=TrialState[one.state],
            value=one.value,
            datetime_start=_local(one.started),
            datetime_complete=_local(one.ended),
            params={
                name: distributions[name].to_external_repr(value) for name, (value, _) in one.params.items()
            },
            distributions=distributions,
            user_attrs=dict(one.user),
            system_attrs=dict(one.system),
            intermediate_values=dict(one.reports),
            trial_id=one.trial_id,
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


def _local(moment: datetime | None) -> datetime | None:
    """Return a time of the database (naive UTC) as Optuna shows it (naive local)."""
    return None if moment is None else moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
