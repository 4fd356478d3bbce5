"""What the store holds: one record a study, one record an ended attempt."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from coref_k8s import __version__
from coref_k8s.errors import StorageError
from coref_k8s.study.names import Kind, study_uid
from coref_k8s.study.reading import paths_of, read_known
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import NOTHING, Message


class Phase(StrEnum):
    """Where a study is in its life."""

    PENDING = "Pending"
    PREPARING = "Preparing"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    UNKNOWN = "Unknown"  # of a version that knows more phases; nothing is done with the study

    @classmethod
    def _missing_(cls, value: object) -> Phase:
        return cls.UNKNOWN

    @property
    def words(self) -> Message:
        """What people call it."""
        return Message.of(f"words.phase-{self.value.lower()}")


#: Phases in which nothing runs any more; only `resume` leaves them.
TERMINAL = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED})


class Outcome(StrEnum):
    """How an attempt ended; GPU time is accounted by it."""

    SUCCEEDED = "succeeded"
    PRUNED = "pruned"
    FAILED = "failed"
    OUT_OF_MEMORY = "out_of_memory"
    DISRUPTED = "disrupted"  # not the trial's fault; counts against maxDisruptions
    STOPPED = "stopped"  # by us: cancelled, interrupted, a limit; counts against nothing


def standing(phase: Phase, interrupted: bool) -> Message:
    """Return what people call a phase, or that nobody works on a study that is in it."""
    return Message.of("words.phase-interrupted") if interrupted else phase.words


class Standing:
    """What a study's phase and the moment of its creation say of it, whoever has read them."""

    phase: Phase
    created_at: datetime
    interrupted: bool

    @property
    def ended(self) -> bool:
        """Whether nothing will happen any more unless the study is resumed."""
        return self.phase in TERMINAL

    @property
    def uid(self) -> str:
        """What tells it from others that had its name."""
        return study_uid(self.created_at)

    @property
    def stands(self) -> Message:
        """What people call the phase that it is in, or that nobody works on it."""
        return standing(self.phase, self.interrupted)


@dataclass(frozen=True)
class StudyRecord(Standing):
    """A study as the database has it. Times are UTC."""

    namespace: str
    """Kubernetes namespace; empty on one machine."""
    name: str
    spec_json: str = field(repr=False)
    phase: Phase
    message: Message
    """Why the study is in its phase; may be empty."""
    cancel_requested: bool
    prepared: str | None
    """Folder of the prepared data below the data root; None until preparation has succeeded."""
    statistics_json: str | None = field(repr=False)
    created_at: datetime
    started_at: datetime | None
    """First time the controller took it up."""
    resumed_at: datetime | None
    """Last time it was submitted or resumed; `limits.maxDuration` counts from here."""
    finished_at: datetime | None
    version: str = ""
    """coref-k8s that wrote the request; empty before 0.2, which did not say, and where the request is not in the database."""
    interrupted: bool = False
    """Whether it has not ended and nobody works on it, where that is known: on one machine."""
    expected_json: str | None = field(default=None, repr=False)

    @classmethod
    def of_request(cls, name: str, request: Any, version: str = "", **more: Any) -> StudyRecord:
        """Return the record of a request (JSON) that is not in a database: of a resource, or of an exported study."""
        known: dict[str, Any] = {
            "namespace": "", "name": name, "spec_json": json.dumps(request), "phase": Phase.PENDING, "message": NOTHING,
            "cancel_requested": False, "prepared": None, "statistics_json": None, "created_at": datetime.now(UTC),
            "started_at": None, "resumed_at": None, "finished_at": None, "version": version,
        }  # fmt: skip
        return cls(**known | more)

    @cached_property
    def spec(self) -> StudySpec:
        """The request, as far as this version knows it. Raises StorageError when nothing of it can be read."""
        return self._known[0]

    @property
    def unknown(self) -> dict[str, Any]:
        """What this version does not know of the request (see `read_known`). Raises StorageError as `spec` does."""
        return self._known[1]

    @cached_property
    def _known(self) -> tuple[StudySpec, dict[str, Any]]:
        try:
            data = json.loads(self.spec_json)
        except ValueError as error:
            raise self._unreadable(str(error)) from error
        if not isinstance(data, dict):
            raise self._unreadable(f"not a mapping: {self.spec_json[:40]}")
        return read_known(data)

    def _unreadable(self, why: str) -> StorageError:
        return StorageError("store.unreadable-request", study=self.name, why=why, writer=self._writer)

    @property
    def problem(self) -> Message:
        """Why the study cannot be shown; empty when it can. Nobody has to read its request to delete it."""
        try:
            self._known  # noqa: B018
        except StorageError as error:
            return error.message
        return NOTHING

    @property
    def not_understood(self) -> Message:
        """Why this version must not run the study, though it may show it; empty when it may."""
        if self.problem:
            return self.problem
        if self.phase is Phase.UNKNOWN:
            return Message.of("store.unknown-phase", study=self.name, writer=self._writer)
        if paths := paths_of(self.unknown):
            return Message.of("store.unknown-fields", study=self.name, paths=paths, writer=self._writer)
        return NOTHING

    @property
    def _writer(self) -> Message:
        if self.version in ("", __version__):
            return Message.of("store.written-elsewhere", ours=__version__)
        return Message.of("store.written-by", theirs=self.version, ours=__version__)

    @property
    def statistics(self) -> dict[str, Any]:
        """What preparation counted; empty before it has succeeded."""
        return json.loads(self.statistics_json) if self.statistics_json else {}

    @property
    def expected(self) -> dict[str, Any]:
        """What it was expected to take, by length (`controller.expecting`); empty before that was worked out."""
        return json.loads(self.expected_json) if self.expected_json else {}


@dataclass(frozen=True)
class AttemptRecord:
    """One job that has ended. `log_tail` is the end of its log (at most 4 KiB), kept for failures."""

    job_name: str
    kind: Kind
    seq_len: int | None
    trial: int | None
    attempt: int
    tier: int
    """Memory tier it ran in: 0 as requested, higher after running out of memory."""
    outcome: Outcome
    reason: str = ""
    """One word (see `coref_k8s.controller.runner.Reason`); empty when it succeeded."""
    message: Message = NOTHING
    exit_code: int | None = None
    retries: int = 0
    disruptions: int = 0
    gpus: int = 0
    gpu_seconds: float = 0.0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    node: str = ""
    log_tail: str = field(default="", repr=False)

    @property
    def seconds(self) -> float:
        """How long it ran; 0 where that is not known."""
        begun, ended = self.started_at, self.finished_at
        return (ended - begun).total_seconds() if begun and ended else 0.0
