"""`Store`: read and write studies and attempts. Every method is one transaction."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, inspect, select, update
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError

from coref_k8s import __version__
from coref_k8s.errors import NotFoundError, RequestError, StorageError
from coref_k8s.sizing.calibration import Calibration
from coref_k8s.store.engine import connect, mask, storage_errors
from coref_k8s.store.records import TERMINAL, AttemptRecord, Outcome, Phase, StudyRecord
from coref_k8s.store.schema import bring_up_to_date, readable
from coref_k8s.store.tables import attempt_key, attempt_table, calibration_table, fence_table, study_table
from coref_k8s.study.names import Kind
from coref_k8s.study.reading import read_known, validated_name, with_unknown
from coref_k8s.study.spec import StudySpec
from coref_k8s.telemetry.bus import utc_now
from coref_k8s.wording import NOTHING, Message

#: Longest piece of a log that is kept with an attempt (bytes).
LOG_TAIL_BYTES = 4096

_c = attempt_table.c
_LIGHT = [c for c in _c if c.name not in ("id", "namespace", "study", "log_tail")]
_FULL = [*_LIGHT, _c.log_tail]


class Store:
    """The studies and attempts of one database. Methods raise StorageError when it cannot be reached."""

    def __init__(self, url: str, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.url = url
        self._clock = clock
        with storage_errors(url):
            self._engine = connect(url)
            bring_up_to_date(self._engine, url)
            columns = readable(self._engine)
        self._study = select(*columns)
        self._outdated = len(columns) < len(study_table.c)

    @property
    def engine(self) -> Engine:
        """The way to the database, for whoever reads other tables of it."""
        return self._engine

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    # -- studies ---------------------------------------------------------------------------------------

    def create_study(self, namespace: str, name: str, spec: StudySpec) -> StudyRecord:
        """Add a study in phase Pending. Raises RequestError when the name is taken or no name."""
        validated_name(name)
        now = self._clock()
        begun = {"phase": Phase.PENDING.value, "created_at": now, "resumed_at": now}
        self.restore_study(namespace, name, spec, begun)
        return self.get_study(namespace, name)

    def restore_study(
        self,
        namespace: str,
        name: str,
        spec: StudySpec,
        values: dict[str, Any],
        attempts: Sequence[AttemptRecord] = (),
    ) -> None:
        """Add a study as it was elsewhere, with its attempts, wholly or not at all. Raises RequestError."""
        row = {**values, "namespace": namespace, "name": name}
        try:
            with self._transaction() as connection:
                connection.execute(insert(study_table).values(spec_json=_written(name, spec), **row))
                for record in attempts:
                    connection.execute(insert(attempt_table).values(_values(namespace, name, record)))
        except IntegrityError:
            raise RequestError("store.name-taken", study=name) from None

    def get_study(self, namespace: str, name: str) -> StudyRecord:
        """Return one study. Raises NotFoundError, naming the closest study."""
        with self._reading() as connection:
            row = connection.execute(self._study.where(_this(namespace, name))).one_or_none()
            if row is not None:
                return _study(row)
            names = connection.scalars(
                select(study_table.c.name).where(study_table.c.namespace == namespace)
            ).all()
        near = difflib.get_close_matches(name, names, n=1)
        if near:
            raise NotFoundError("store.no-study-but", study=name, near=near[0])
        raise NotFoundError("store.no-study", study=name)

    def list_studies(self, namespace: str | None = None) -> list[StudyRecord]:
        """Return the studies of a namespace (of all when None), oldest first."""
        query = self._study.order_by(study_table.c.created_at, study_table.c.name)
        if namespace is not None:
            query = query.where(study_table.c.namespace == namespace)
        with self._reading() as connection:
            return [_study(row) for row in connection.execute(query)]

    def set_phase(self, namespace: str, name: str, phase: Phase, message: Message = NOTHING) -> None:
        """Write phase and message; the first phase after Pending sets the start, a terminal one the end."""
        now = self._clock()
        values: dict[str, Any] = {"phase": phase.value, "message": message.to_text()}
        values["finished_at"] = now if phase in TERMINAL else None
        with self._transaction() as connection:
            if phase is not Phase.PENDING:
                connection.execute(
                    update(study_table)
                    .where(_this(namespace, name), study_table.c.started_at.is_(None))
                    .values(started_at=now)
                )
            self._update(connection, namespace, name, values)

    def set_prepared(self, namespace: str, name: str, prepared: str, statistics: dict[str, Any]) -> None:
        """Note where the prepared data are (folder below the data root) and what was counted."""
        if PurePosixPath(prepared).is_absolute():
            raise RequestError("store.prepared-not-relative", folder=prepared)
        values = {"prepared": prepared, "statistics_json": json.dumps(statistics, ensure_ascii=False)}
        with self._transaction() as connection:
            self._update(connection, namespace, name, values)

    def set_expected(self, namespace: str, name: str, expected: Mapping[str, Any]) -> None:
        """Note what the study is expected to take (`controller.expecting.Expected` by length, as JSON)."""
        with self._transaction() as connection:
            self._update(connection, namespace, name, {"expected_json": json.dumps(expected)})

    def request_cancel(self, namespace: str, name: str) -> None:
        """Ask the controller to end the study."""
        with self._transaction() as connection:
            self._update(connection, namespace, name, {"cancel_requested": True})

    def resume(self, namespace: str, name: str) -> None:
        """Put the study back to Pending; its duration limit counts from now."""
        values = {
            "phase": Phase.PENDING.value,
            "message": "",
            "cancel_requested": False,
            "resumed_at": self._clock(),
            "finished_at": None,
        }
        with self._transaction() as connection:
            self._update(connection, namespace, name, values)

    def update_spec(self, namespace: str, name: str, spec: StudySpec) -> None:
        """Replace the request; which fields may change is the caller's to decide. What this version does not know stays."""
        text = _written(name, spec, self.get_study(namespace, name).unknown)
        with self._transaction() as connection:
            self._update(connection, namespace, name, {"spec_json": text, "version": __version__})

    def delete_study(self, namespace: str, name: str) -> None:
        """Remove the study and its attempts; gone already is success. Who still works on it may write no more."""
        f = fence_table.c
        with self._transaction() as connection:
            connection.execute(delete(fence_table).where(f.namespace == namespace, f.study == name))
            connection.execute(delete(attempt_table).where(_c.namespace == namespace, _c.study == name))
            connection.execute(delete(study_table).where(_this(namespace, name)))

    # -- attempts --------------------------------------------------------------------------------------

    def record_attempt(self, namespace: str, study: str, record: AttemptRecord) -> None:
        """Write how an attempt ended. Writing it again replaces it: a repeated reconcile changes nothing."""
        values = _values(namespace, study, record)
        with self._transaction() as connection:
            same = (c == (-1 if values[name] is None else values[name]) for name, c in attempt_key.items())
            connection.execute(delete(attempt_table).where(*same))
            connection.execute(insert(attempt_table).values(values))

    def attempts(
        self,
        namespace: str,
        study: str,
        *,
        seq_len: int | None = None,
        trial: int | None = None,
        logs: bool = False,
    ) -> list[AttemptRecord]:
        """Return the ended attempts of a study (of one length, of one trial), in order; with log ends on request."""
        query = select(*(_FULL if logs else _LIGHT)).where(_c.namespace == namespace, _c.study == study)
        if seq_len is not None:
            query = query.where(_c.seq_len == seq_len)
        if trial is not None:
            query = query.where(_c.trial == trial)
        query = query.order_by(_c.seq_len, _c.trial, _c.attempt)
        with self._reading() as connection:
            return [_attempt(row) for row in connection.execute(query)]

    # -- calibrations ----------------------------------------------------------------------------------

    def keep_calibration(self, found: Calibration) -> None:
        """Keep what was measured; it replaces what was of the same kind of device, driver, versions, shape and precision."""
        key = {"key": found.key}
        row = {
            "device": found.device,
            "task": found.task,
            "measured_at": found.measured_at,
            "measured_json": found.to_json(),
        }
        there = update(calibration_table).where(calibration_table.c.key == found.key).values(row)
        with self._transaction() as connection:
            if connection.execute(there).rowcount:
                return
        try:
            with self._transaction() as connection:
                connection.execute(insert(calibration_table).values(row | key))
        except IntegrityError:  # another one measures the same elsewhere
            with self._transaction() as connection:
                connection.execute(there)

    def calibrations(self) -> list[Calibration]:
        """Return what was measured, newest first; nothing of a database that is older and may only be read."""
        query = select(calibration_table.c.measured_json).order_by(calibration_table.c.measured_at.desc())
        with self._reading() as connection:
            if self._outdated and not inspect(connection).has_table(calibration_table.name):
                return []
            return [Calibration.from_json(text) for text in connection.scalars(query)]

    # -- inside ----------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with storage_errors(self.url), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        if self._outdated:
            raise StorageError("store.read-only", url=mask(self.url))
        with self._reading() as connection:
            yield connection

    def _update(self, connection: Connection, namespace: str, name: str, values: dict[str, Any]) -> None:
        done = connection.execute(update(study_table).where(_this(namespace, name)).values(values))
        if done.rowcount == 0:
            raise NotFoundError("store.no-study", study=name)


def _written(study: str, spec: StudySpec, unknown: Mapping[str, Any] | None = None) -> str:
    """Return a request as it is stored. Raises RequestError rather than store what would not be read back as it is."""
    unknown = unknown or {}
    text = json.dumps(with_unknown(spec, unknown), ensure_ascii=False)
    if read_known(json.loads(text)) != (spec, unknown) or "Infinity" in text:
        raise RequestError("store.not-storable", study=study)
    return text


def _values(namespace: str, study: str, record: AttemptRecord) -> dict[str, Any]:
    return {
        **vars(record),
        "namespace": namespace,
        "study": study,
        "kind": record.kind.value,
        "outcome": record.outcome.value,
        "message": record.message.to_text(),
        "log_tail": tail_of(record.log_tail),
    }


def tail_of(text: str, limit: int = LOG_TAIL_BYTES) -> str:
    """Return the last `limit` bytes of `text` as whole characters, and no NUL, which Postgres refuses."""
    return text.replace("\0", "").encode()[-limit:].decode(errors="ignore")


def _this(namespace: str, name: str) -> Any:
    return (study_table.c.namespace == namespace) & (study_table.c.name == name)


def _study(row: Row[Any]) -> StudyRecord:
    values = dict(row._mapping)
    values |= {"phase": Phase(values["phase"]), "message": Message.load(values["message"])}
    return StudyRecord(**values)


_ATTEMPT_FIELDS = {field.name for field in fields(AttemptRecord)}


def _attempt(row: Row[Any]) -> AttemptRecord:
    values = {key: value for key, value in row._mapping.items() if key in _ATTEMPT_FIELDS}
    values["kind"] = Kind(values["kind"])
    values["outcome"] = Outcome(values["outcome"])
    values["message"] = Message.load(values["message"])
    return AttemptRecord(**values)
