"""What `plan` may ask for. Doing any of these twice is doing it once."""

from __future__ import annotations

from dataclasses import dataclass, field

from coref_k8s.controller.runner import ObservedJob, Reason
from coref_k8s.controller.snapshot import PREPARATION, Unit, unit_of
from coref_k8s.store.records import Outcome, Phase
from coref_k8s.study.names import Kind
from coref_k8s.wording import NOTHING, Message


@dataclass(frozen=True)
class OfJob:
    """Something done with a job that exists."""

    job: ObservedJob

    @property
    def unit(self) -> Unit:
        """What the job works on."""
        return unit_of(self.job)


@dataclass(frozen=True)
class Record(OfJob):
    """Write down how a job ended. Comes before its removal: an absent job must never mean "never ran"."""

    outcome: Outcome
    tier: int
    reason: Reason | None = None
    message: Message = NOTHING


@dataclass(frozen=True)
class Remove(OfJob):
    """Forget a job that has ended, or one that waits and is to be another."""


@dataclass(frozen=True)
class Stop(OfJob):
    """End a live job."""

    why: Message = field(default=NOTHING, compare=False)
    """For whoever looks at the job."""


@dataclass(frozen=True)
class Start:
    """Start a job for a unit that has none."""

    unit: Unit
    attempt: int
    tier: int


@dataclass(frozen=True)
class Fail:
    """Close a trial as failed."""

    unit: Unit
    reason: Message


@dataclass(frozen=True)
class Prune:
    """Close a trial as pruned."""

    unit: Unit


@dataclass(frozen=True)
class _OfLength:
    seq_len: int

    @property
    def unit(self) -> Unit:
        """The length as a whole."""
        return Unit(Kind.TRIAL, self.seq_len)


@dataclass(frozen=True)
class WarmStart(_OfLength):
    """Offer a length the best parameters of a shorter one, before its first trial."""

    source: int | None
    """The shorter length; None for the study that `search.warmStartFrom` names."""


@dataclass(frozen=True)
class OfferDefaults(_OfLength):
    """Offer a length that starts from nothing the middle of its ranges, before its first trial."""


@dataclass(frozen=True)
class NewTrial(_OfLength):
    """Ask the search for parameters and start the first job of the trial."""

    random: bool = False
    """Whether they are drawn at random, to compare others with."""


@dataclass(frozen=True)
class NewFinalist(_OfLength):
    """Begin the next run of a length's finalists."""

    @property
    def unit(self) -> Unit:
        """The length's finalists as a whole."""
        return Unit(Kind.FINALIST, self.seq_len)


@dataclass(frozen=True)
class SetPhase:
    """Write phase and message of the study."""

    phase: Phase
    message: Message = NOTHING

    @property
    def unit(self) -> Unit:
        """Phases wait for nothing but the preparation."""
        return PREPARATION


Action = (
    Record
    | Remove
    | Stop
    | Start
    | Fail
    | Prune
    | WarmStart
    | OfferDefaults
    | NewTrial
    | NewFinalist
    | SetPhase
)
