"""When a length's search is over, what its finalists still have to do, and when they can be judged. Pure."""

from __future__ import annotations

from collections.abc import Collection

from coref_k8s.controller.snapshot import LengthSnapshot, Snapshot, TrialSnapshot, Unit
from coref_k8s.study.names import Kind


def trial_unit(length: LengthSnapshot, trial: TrialSnapshot) -> Unit:
    """Return the unit of a trial."""
    return Unit(Kind.TRIAL, length.seq_len, trial.number)


def run_unit(length: LengthSnapshot, run: TrialSnapshot) -> Unit:
    """Return the unit of a finalist's run."""
    return Unit(Kind.FINALIST, length.seq_len, run.number)


def verdict_unit(length: LengthSnapshot) -> Unit:
    """Return the unit that compares a length's finalists."""
    return Unit(Kind.VERDICT, length.seq_len)


def trials_left(length: LengthSnapshot) -> int:
    """Return how many trials of a length are still to be asked for."""
    return 0 if length.exhausted else max(0, length.planned - length.asked)


def searching(s: Snapshot, length: LengthSnapshot, failed: Collection[Unit]) -> bool:
    """Whether a length has trials to ask for or to finish; those that are closed in this plan are finished."""
    return bool(trials_left(length)) or any(
        not trial.hopeless and trial_unit(length, trial) not in failed for trial in length.open
    )


def finals_left(length: LengthSnapshot, failed: Collection[Unit]) -> bool:
    """Whether a length has runs of finalists to begin or to finish."""
    finals = length.finals
    return finals is not None and (
        finals.missing > 0
        or any(not run.hopeless and run_unit(length, run) not in failed for run in finals.open)
    )


def verdict_due(length: LengthSnapshot, failed: Collection[Unit]) -> bool:
    """Whether there are complete runs that no verdict covers, and judging them has not failed."""
    finals = length.finals
    return (
        finals is not None
        and finals.candidates > 0
        and not finals.judged
        and verdict_unit(length) not in failed
    )
