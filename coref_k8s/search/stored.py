"""Trials as Optuna's tables hold them, read in one query a table, whatever their number, and without Optuna.

The one place that knows what is private there. The public way, `RDBStorage.get_all_trials`, builds an object of the ORM
for every parameter of every trial: 5,000 finished trials take 7.6 s (SQLite) or 15.3 s (Postgres) with it, here 1.0 and
1.7 s (docs/decisions/063-optuna-as-a-library.md). Optuna's columns have not changed since 3.0;
`tests/search/test_optuna_tables.py` holds what is read here to what Optuna itself reads.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Connection,
    DateTime,
    Engine,
    Float,
    Integer,
    Select,
    String,
    TableClause,
    column,
    delete,
    inspect,
    select,
    table,
)

from coref_k8s.search.records import METRICS_ATTR, PARAMS_ATTR, REASON_ATTR, TrialRecord, TrialState
from coref_k8s.search.verdict import Verdict
from coref_k8s.store.engine import storage_errors
from coref_k8s.wording import Message

#: Part of a length's trials that are its finalists' runs.
FINALISTS = "finalists"
#: Attribute of the Optuna study of a length's finalists.
VERDICT_ATTR = "verdict"
#: Optuna's states by ours.
STATES = {
    "WAITING": TrialState.WAITING,
    "RUNNING": TrialState.RUNNING,
    "COMPLETE": TrialState.COMPLETE,
    "PRUNED": TrialState.PRUNED,
    "FAIL": TrialState.FAILED,
}
#: Why a trial has failed that lacks parameters.
HALF = "search.asked-in-part"
_SPECIAL = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}


def _table(name: str, **types: Any) -> TableClause:
    return table(name, *(column(key, kind) for key, kind in types.items()))


STUDIES = _table("studies", study_id=Integer, study_name=String)
TRIALS = _table(
    "trials", trial_id=Integer, number=Integer, study_id=Integer, state=String,
    datetime_start=DateTime, datetime_complete=DateTime,
)  # fmt: skip
PARAMS = _table(
    "trial_params", param_id=Integer, trial_id=Integer, param_name=String, param_value=Float, distribution_json=String
)  # fmt: skip
VALUES = _table("trial_values", trial_id=Integer, value=Float, value_type=String)
REPORTS = _table(
    "trial_intermediate_values",
    trial_id=Integer,
    step=Integer,
    intermediate_value=Float,
    intermediate_value_type=String,
)
USER = _table("trial_user_attributes", trial_id=Integer, key=String, value_json=String)
SYSTEM = _table("trial_system_attributes", trial_id=Integer, key=String, value_json=String)
_HEARTBEATS = _table("trial_heartbeats", trial_id=Integer)
_STUDY_USER = _table("study_user_attributes", study_id=Integer, key=String, value_json=String)


def optuna_study_name(namespace: str, study: str, seq_len: int | str = "", part: str = "") -> str:
    """Return the name of one length's Optuna study: `[namespace/]study/length[/part]`, or what those of a study share."""
    return "/".join(str(name) for name in (namespace, study, seq_len, part) if name)


@dataclass(frozen=True)
class Stored:
    """One trial as the tables have it."""

    trial_id: int
    number: int
    state: str
    """Optuna's name of it."""
    started: datetime | None
    """Naive, in UTC, as the end is."""
    ended: datetime | None
    value: float | None
    params: Mapping[str, tuple[float, str]]
    """Internal value and distribution (JSON) by name."""
    reports: Mapping[int, float]
    user: Mapping[str, Any]
    system: Mapping[str, Any]


def read(connection: Connection, condition: Any, needed: frozenset[str] = frozenset()) -> Iterator[Stored]:
    """Yield the trials of a condition on `TRIALS`, in no order. Raises what SQLAlchemy raises.

    One that lacks a `needed` parameter has failed, whatever became of it: 0.1 could ask for a trial in part, when the database was
    full in that moment.
    """
    trials = connection.execute(select(TRIALS).where(condition)).all()
    if not trials:
        return
    params: defaultdict[int, dict[str, tuple[float, str]]] = defaultdict(dict)
    for row in connection.execute(of_trials(PARAMS, condition).order_by(PARAMS.c.param_id)):
        params[row.trial_id][row.param_name] = row.param_value, row.distribution_json
    values = {
        row.trial_id: number(row.value, row.value_type)
        for row in connection.execute(of_trials(VALUES, condition))
    }
    reports: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for row in connection.execute(of_trials(REPORTS, condition).order_by(REPORTS.c.step)):
        reports[row.trial_id][row.step] = number(row.intermediate_value, row.intermediate_value_type)
    user: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    system: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    for attributes, into in ((USER, user), (SYSTEM, system)):
        for row in connection.execute(of_trials(attributes, condition)):
            into[row.trial_id][row.key] = json.loads(row.value_json)
    for row in trials:
        key = row.trial_id
        state, value, lacks = row.state, values.get(key), sorted(needed - params[key].keys())
        if lacks and state != "WAITING":
            state, value = "FAIL", None
            user[key][REASON_ATTR] = Message.of(HALF, lacks=lacks).to_text()
        yield Stored(
            key, row.number, state, row.datetime_start, row.datetime_complete, value, params[key],
            reports[key], user[key], system[key],
        )  # fmt: skip


def of_trials(rows: TableClause, condition: Any) -> Select[Any]:
    """Return the rows of a table that belong to the trials of a condition."""
    return select(rows).join(TRIALS, TRIALS.c.trial_id == rows.c.trial_id).where(condition)


def delete_all(connection: Connection, study_id: int) -> None:
    """Delete the trials of an Optuna study, in one statement a table. Raises what SQLAlchemy raises."""
    of_study = TRIALS.c.study_id == study_id
    theirs = select(TRIALS.c.trial_id).where(of_study)
    for rows in (PARAMS, VALUES, REPORTS, USER, SYSTEM, _HEARTBEATS):
        connection.execute(delete(rows).where(rows.c.trial_id.in_(theirs)))
    connection.execute(delete(TRIALS).where(of_study))


def number(value: float | None, kind: str) -> float:
    """Return a stored number; infinities and NaN are stored as their names."""
    return _SPECIAL[kind] if value is None else value


def stored_trials(
    engine: Engine,
    study: str,
    seq_len: int,
    namespace: str = "",
    *,
    part: str = "",
    needed: frozenset[str] = frozenset(),
) -> list[TrialRecord]:
    """Return the trials of one length (of a `part` of it) by number; none when it was not begun. Raises StorageError.

    Those that lack a `needed` parameter have failed.
    """
    with storage_errors(str(engine.url)), engine.connect() as connection:
        study_id = _study_id(connection, optuna_study_name(namespace, study, seq_len, part))
        if study_id is None:
            return []
        found = [_record(seq_len, one) for one in read(connection, TRIALS.c.study_id == study_id, needed)]
    return sorted(found, key=lambda record: record.number)


def stored_verdicts(
    engine: Engine, study: str, seq_lengths: Sequence[int], namespace: str = ""
) -> list[Verdict]:
    """Return the verdicts of these lengths, those that there are. Raises StorageError."""
    found = []
    with storage_errors(str(engine.url)), engine.connect() as connection:
        for seq_len in seq_lengths:
            study_id = _study_id(connection, optuna_study_name(namespace, study, seq_len, FINALISTS))
            query = select(_STUDY_USER.c.value_json).where(
                _STUDY_USER.c.study_id == study_id, _STUDY_USER.c.key == VERDICT_ATTR
            )
            if study_id is not None and (text := connection.scalar(query)) is not None:
                found.append(Verdict.from_dict(json.loads(text)))
    return found


def _study_id(connection: Connection, name: str) -> int | None:
    if not inspect(connection).has_table(STUDIES.name):
        return None  # Optuna's tables are made when the first trial is asked for
    return connection.scalar(select(STUDIES.c.study_id).where(STUDIES.c.study_name == name))


def _record(seq_len: int, one: Stored) -> TrialRecord:
    return as_record(
        one.state,
        dict(one.user),
        one.value,
        dict(one.reports),
        {name: _parameter(*pair) for name, pair in one.params.items()},
        seq_len=seq_len,
        number=one.number,
        trial_id=one.trial_id,
        started_at=_utc(one.started),
        finished_at=_utc(one.ended),
    )


def as_record(
    state: str,
    attrs: dict[str, Any],
    value: float | None,
    reports: dict[int, float],
    params: dict[str, Any],
    **more: Any,
) -> TrialRecord:
    """Return what Optuna knows of a trial as a record: `state` is its name of it, without a value the last report is.

    `attrs` are taken over, but for parameters and metrics that were stored as attributes.
    """
    if value is None and reports:
        value = reports[max(reports)]
    return TrialRecord(
        state=STATES[state],
        params=attrs.pop(PARAMS_ATTR, params),
        value=value,
        intermediate=reports,
        metrics=attrs.pop(METRICS_ATTR, {}),
        attrs=attrs,
        **more,
    )


def _parameter(value: float, distribution: str) -> Any:
    """Return a parameter as a person knows it: distributions of numbers hold it as it is, of choices its place."""
    found = json.loads(distribution)
    if found["name"].startswith("Categorical"):
        return found["attributes"]["choices"][int(value)]
    return int(value) if found["name"].startswith("Int") else value


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None else None
