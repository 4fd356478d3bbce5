"""What follows from how the attempts at one unit ended: another one, in which memory tier, or giving up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coref_k8s.controller.runner import ObservedJob, Reason, State
from coref_k8s.controller.snapshot import Attempt, TrialSnapshot
from coref_k8s.search.records import TrialState
from coref_k8s.store.records import Outcome
from coref_k8s.study.spec import LimitsSpec

_BY_TRIAL = {
    TrialState.COMPLETE: Outcome.SUCCEEDED,
    TrialState.PRUNED: Outcome.PRUNED,
    TrialState.FAILED: Outcome.FAILED,
}
_MEMORY = (Reason.GPU_OUT_OF_MEMORY, Reason.HOST_OUT_OF_MEMORY)
#: Reason of a job that ended well without leaving a result.
NO_RESULT = "NoResult"


@dataclass(frozen=True)
class Again:
    """Start the next attempt."""

    attempt: int
    tier: int


@dataclass(frozen=True)
class GiveUp:
    """The unit has failed, with the reason in words."""

    reason: str


def verdict(attempts: Sequence[Attempt], limits: LimitsSpec) -> Again | GiveUp:
    """Return what comes after these attempts at a unit that has no result and no job.

    Crashes were retried inside the job, so a failed attempt is final. Running out of memory moves up a
    memory tier, `limits.memory_tiers` times. Disruptions are nobody's fault, `limits.max_disruptions` times.
    """
    for attempt in attempts:
        if attempt.outcome is Outcome.FAILED and not attempt.forgiven:
            return GiveUp(attempt.message)
    if tier_of(attempts) > limits.memory_tiers:
        last = next(a for a in reversed(attempts) if a.outcome is Outcome.OUT_OF_MEMORY)
        return GiveUp(f"{last.message}, also with more memory ({limits.memory_tiers} times)")
    disruptions = sum(a.disruptions + (a.outcome is Outcome.DISRUPTED) for a in attempts if not a.forgiven)
    if disruptions > limits.max_disruptions:
        return GiveUp(f"disrupted {disruptions} times, limits.maxDisruptions bears {limits.max_disruptions}")
    return Again(max((a.number for a in attempts), default=0) + 1, tier_of(attempts))


def tier_of(attempts: Sequence[Attempt]) -> int:
    """Return the memory tier of the next attempt."""
    return sum(a.outcome is Outcome.OUT_OF_MEMORY for a in attempts)


def outcome_of(
    job: ObservedJob, *, closed: TrialSnapshot | None, done: bool, stopped: bool
) -> tuple[Outcome, str, str]:
    """Return outcome, reason and words of an ended job.

    What the unit has to show counts more than how its process ended: `closed` is its trial when that has
    an outcome, `done` says that its preparation has succeeded, `stopped` that we told the job to end.
    """
    if closed is not None:
        outcome = _BY_TRIAL[closed.state]
        if outcome is not Outcome.FAILED:
            return outcome, "", ""
    elif done:
        return Outcome.SUCCEEDED, "", ""
    elif job.state is State.SUCCEEDED:
        return Outcome.FAILED, NO_RESULT, "it ended without an error and without a result"
    elif job.reason in _MEMORY:
        return Outcome.OUT_OF_MEMORY, job.reason.value, _words(job)
    elif job.reason is Reason.DISRUPTED:
        return (Outcome.STOPPED if stopped else Outcome.DISRUPTED), job.reason.value, _words(job)
    else:
        outcome = Outcome.FAILED
    return outcome, (job.reason or Reason.CRASHED).value, _words(job)


def _words(job: ObservedJob) -> str:
    reason = (job.reason or Reason.CRASHED).value
    starts = f", {job.retries + 1} starts" if job.retries else ""
    return f"{reason} ({job.message}{starts})" if job.message else f"{reason}{starts}"
