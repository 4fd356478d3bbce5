"""What follows from how the attempts at one unit ended: another one, in which memory tier, or giving up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coref_k8s.controller.runner import ObservedJob, Reason, State
from coref_k8s.controller.snapshot import Attempt, TrialSnapshot
from coref_k8s.search.records import TrialState
from coref_k8s.store.records import Outcome
from coref_k8s.study.spec import LimitsSpec
from coref_k8s.wording import NOTHING, Message

_BY_TRIAL = {TrialState.COMPLETE: Outcome.SUCCEEDED, TrialState.PRUNED: Outcome.PRUNED}
_MEMORY = (Reason.GPU_OUT_OF_MEMORY, Reason.HOST_OUT_OF_MEMORY)


@dataclass(frozen=True)
class Retry:
    """Start the next attempt."""

    attempt: int
    tier: int


@dataclass(frozen=True)
class GiveUp:
    """The unit has failed."""

    reason: Message


def after(attempts: Sequence[Attempt], limits: LimitsSpec) -> Retry | GiveUp:
    """Return what comes after these attempts at a unit that has no result and no job.

    Crashes were retried inside the job, so a failed attempt is final. Running out of memory moves up a
    memory tier, `limits.memory_tiers` times. Disruptions are nobody's fault, `limits.max_disruptions` times.
    """
    for attempt in attempts:
        if attempt.outcome is Outcome.FAILED and not attempt.forgiven:
            return GiveUp(attempt.message)
    if tier_of(attempts) > (tiers := limits.memory_tiers):
        last = next(a.message for a in reversed(attempts) if a.outcome is Outcome.OUT_OF_MEMORY)
        return GiveUp(Message.of("controller.more-memory-too", why=last, n=tiers) if tiers else last)
    disruptions = sum(a.disruptions + (a.outcome is Outcome.DISRUPTED) for a in attempts if not a.forgiven)
    if disruptions > limits.max_disruptions:
        return GiveUp(
            Message.of("controller.disrupted-too-often", n=disruptions, most=limits.max_disruptions)
        )
    return Retry(max((a.number for a in attempts), default=0) + 1, tier_of(attempts))


def tier_of(attempts: Sequence[Attempt]) -> int:
    """Return the memory tier of the next attempt."""
    return sum(a.outcome is Outcome.OUT_OF_MEMORY for a in attempts)


def outcome_of(
    job: ObservedJob, *, closed: TrialSnapshot | None, done: bool, stopped: bool
) -> tuple[Outcome, Reason | None, Message]:
    """Return outcome, reason and message of an ended job.

    What the unit has to show counts more than how its process ended: `closed` is its trial when that has
    an outcome, `done` says that its preparation has succeeded, `stopped` that we told the job to end.
    """
    reason, outcome = job.reason or Reason.CRASHED, Outcome.FAILED
    if (closed is not None and closed.state is not TrialState.FAILED) or (closed is None and done):
        return Outcome.SUCCEEDED if closed is None else _BY_TRIAL[closed.state], None, NOTHING
    if closed is None:
        if job.state is State.SUCCEEDED:
            reason = Reason.NO_RESULT
        elif reason in _MEMORY:
            outcome = Outcome.OUT_OF_MEMORY
        elif reason is Reason.DISRUPTED:
            outcome = Outcome.STOPPED if stopped else Outcome.DISRUPTED
    return outcome, reason, ended(reason, job)


def ended(reason: Reason, job: ObservedJob) -> Message:
    """Return in words why a job ended without a result, or waits in vain."""
    what = Message.of(f"controller.reason-{reason.value.lower()}")
    if job.retries:
        what = Message.of("controller.after-starts", what=what, n=job.retries + 1)
    return Message.of("controller.with-detail", what=what, detail=job.message) if job.message else what
