"""When a study ends, how, and why in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from coref_k8s.controller.finals import finals_left, run_unit, searching, verdict_due, verdict_unit
from coref_k8s.controller.snapshot import PREPARATION, LengthSnapshot, Snapshot, Unit
from coref_k8s.store.records import Phase
from coref_k8s.study.names import Kind


@dataclass(frozen=True)
class Ending:
    """The phase a study ends in once nothing runs any more."""

    phase: Phase
    message: str
    stop: bool
    """Whether running jobs are stopped rather than waited for."""
    judge: bool = False
    """Whether what the finalists have shown is compared before."""


def ending_of(s: Snapshot, failed: Mapping[Unit, str]) -> Ending | None:
    """Return how the study ends, or None when it goes on; `failed` are the units that have just been given up."""
    stop = s.spec.limits.on_end == "stop"
    if s.cancel_requested:
        return Ending(Phase.CANCELLED, "cancelled on request", stop)
    if PREPARATION in failed:
        return Ending(Phase.FAILED, f"preparation failed: {failed[PREPARATION]}", True)
    if (reason := _too_many_failures(s, failed)) is not None:
        return Ending(Phase.FAILED, reason, stop)
    complete = sum(length.complete for length in s.lengths)
    if _all_closed(s, failed):
        if not complete:
            return Ending(Phase.FAILED, "no trial is complete", True)
        return Ending(Phase.SUCCEEDED, _remarks(s, failed), False)
    if (reason := _limit(s)) is not None:
        if complete:
            return Ending(Phase.SUCCEEDED, "; ".join([reason, *_unfinished_finals(s)]), stop, judge=True)
        return Ending(Phase.FAILED, f"{reason} before a trial was complete", stop)
    return None


def _remarks(s: Snapshot, failed: Mapping[Unit, str]) -> str:
    """Return what a reader of the results should know of a study that has ended by itself; mostly nothing."""
    empty = ", ".join(str(length.seq_len) for length in s.lengths if not length.complete)
    remarks = [f"no trial of length {empty} is complete"] if empty else []
    remarks += [
        f"length {length.seq_len} ended after {length.asked} of {s.spec.trials} trials, {length.exhausted}"
        for length in s.lengths
        if length.exhausted and length.asked < s.spec.trials
    ]
    remarks += [words for length in s.lengths if (words := _finals_remark(length, failed))]
    return "; ".join(remarks)


def _finals_remark(length: LengthSnapshot, failed: Mapping[Unit, str]) -> str:
    finals = length.finals
    if finals is None:
        return ""
    lost = finals.failed + sum(run_unit(length, run) in failed for run in finals.open)
    if not finals.candidates:
        return f"every finalist of length {length.seq_len} failed, so its best single run stands"
    if reason := failed.get(verdict_unit(length)):
        return f"the finalists of length {length.seq_len} could not be compared: {reason}"
    return f"{lost} of the finalists' runs of length {length.seq_len} failed" if lost else ""


def _unfinished_finals(s: Snapshot) -> list[str]:
    """Return in words which finalists a limit has kept from running."""
    if not s.spec.search.finalists:
        return []
    none = [n for n in s.lengths if n.complete and not (n.finals and n.finals.candidates)]
    begun = [n for n in s.lengths if n.finals and n.finals.candidates]
    some = [n for n in begun if searching(s, n, {}) or finals_left(n, {})]
    words = [f"no finalist of length {_named(none)} was run, so its best single run stands"] if none else []
    return words + ([f"not all finalists of length {_named(some)} were run"] if some else [])


def _named(lengths: list[LengthSnapshot]) -> str:
    return ", ".join(str(length.seq_len) for length in lengths)


def _too_many_failures(s: Snapshot, failed: Mapping[Unit, str]) -> str | None:
    trials = [unit for unit in failed if unit.kind is Kind.TRIAL]
    count = sum(length.failed_lately for length in s.lengths) + len(trials)
    borne = s.spec.limits.max_failed_trials
    if count <= borne:
        return None
    last = f"; the last one: {failed[trials[-1]]}" if trials else ""
    return f"{count} trials failed, limits.maxFailedTrials bears {borne}{last}"


def _limit(s: Snapshot) -> str | None:
    limits = s.spec.limits
    if limits.max_duration is not None and s.counted(s.now) >= timedelta(seconds=limits.max_duration):
        return f"stopped after {limits.max_duration:g} s, as limits.maxDuration says"
    if limits.max_gpu_hours is not None and s.used_gpu_seconds() >= limits.max_gpu_hours * 3600:
        return f"stopped after {limits.max_gpu_hours:g} GPU-hours, as limits.maxGpuHours says"
    return None


def _all_closed(s: Snapshot, failed: Mapping[Unit, str]) -> bool:
    """Whether every trial and finalist has an outcome, counting those that get theirs in this plan, and nothing runs."""
    return (
        s.prepared is not None
        and not s.live
        and not any(
            searching(s, length, failed) or finals_left(length, failed) or verdict_due(length, failed)
            for length in s.lengths
        )
    )
