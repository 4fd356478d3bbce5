"""When a study ends, how, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from coref_k8s.controller.finals import finals_left, run_unit, searching, verdict_due, verdict_unit
from coref_k8s.controller.snapshot import PREPARATION, LengthSnapshot, Snapshot, Unit
from coref_k8s.store.records import Phase
from coref_k8s.study.names import Kind
from coref_k8s.wording import NOTHING, Message


@dataclass(frozen=True)
class Ending:
    """The phase a study ends in once nothing runs any more."""

    phase: Phase
    message: Message
    stop: bool
    """Whether running jobs are stopped rather than waited for."""
    judge: bool = False
    """Whether what the finalists have shown is compared before."""


def ending_of(s: Snapshot, failed: Mapping[Unit, Message]) -> Ending | None:
    """Return how the study ends, or None when it goes on; `failed` are the units that have just been given up."""
    stop = s.spec.limits.on_end == "stop"
    if s.cancel_requested:
        return Ending(Phase.CANCELLED, Message.of("controller.cancelled"), stop)
    if PREPARATION in failed:
        return Ending(
            Phase.FAILED, Message.of("controller.preparation-failed", why=failed[PREPARATION]), True
        )
    told = s.message.values.get("why")
    if s.prepared is None and isinstance(told, Message) and told.code == "controller.preparation-failed":
        # its job waited in vain and was stopped: nothing else remembers why
        return Ending(Phase.FAILED, told, True)
    if (reason := _too_many_failures(s, failed)) is not None:
        return Ending(Phase.FAILED, reason, stop)
    complete = sum(length.complete for length in s.lengths)
    if _all_closed(s, failed):
        if not complete:
            return Ending(Phase.FAILED, Message.of("controller.no-trial-complete"), True)
        return Ending(Phase.SUCCEEDED, _joined(_remarks(s, failed)), False)
    if (reason := _limit(s)) is not None:
        if complete:
            return Ending(Phase.SUCCEEDED, _joined([reason, *_unfinished_finals(s)]), stop, judge=True)
        return Ending(Phase.FAILED, Message.of("controller.before-any-trial", why=reason), stop)
    return None


def _joined(messages: list[Message]) -> Message:
    if len(messages) < 2:
        return messages[0] if messages else NOTHING
    return Message.of("controller.remarks", first=messages[0], rest=_joined(messages[1:]))


def _remarks(s: Snapshot, failed: Mapping[Unit, Message]) -> list[Message]:
    """Return what a reader of the results should know of a study that has ended by itself; mostly nothing."""
    empty = [length.seq_len for length in s.lengths if not length.complete]
    remarks = [Message.of("controller.length-without-trial", lengths=empty)] if empty else []
    remarks += [
        Message.of(
            "controller.ended-early", length=n.seq_len, done=n.asked, planned=n.planned, why=n.exhausted
        )
        for n in s.lengths
        if n.exhausted and n.asked < n.planned
    ]
    return remarks + [remark for n in s.lengths if (remark := _finals_remark(n, failed))]


def _finals_remark(length: LengthSnapshot, failed: Mapping[Unit, Message]) -> Message | None:
    finals, seq_len = length.finals, length.seq_len
    if finals is None:
        return None
    if not finals.candidates:
        return Message.of("controller.finalists-failed", length=seq_len)
    if reason := failed.get(verdict_unit(length)):
        return Message.of("controller.finalists-not-compared", length=seq_len, why=reason)
    lost = finals.failed + sum(run_unit(length, run) in failed for run in finals.open)
    return Message.of("controller.finalist-runs-failed", n=lost, length=seq_len) if lost else None


def _unfinished_finals(s: Snapshot) -> list[Message]:
    """Return which finalists a limit has kept from running."""
    if not s.spec.search.finalists:
        return []
    begun = [n for n in s.lengths if n.finals and n.finals.candidates]
    none = [n.seq_len for n in s.lengths if n.complete and n not in begun]
    some = [n.seq_len for n in begun if searching(s, n, {}) or finals_left(n, {})]
    found = [Message.of("controller.finalists-not-run", lengths=none)] if none else []
    return found + ([Message.of("controller.finalists-not-all-run", lengths=some)] if some else [])


def _too_many_failures(s: Snapshot, failed: Mapping[Unit, Message]) -> Message | None:
    trials = [unit for unit in failed if unit.kind is Kind.TRIAL]
    count, most = sum(n.failed_lately for n in s.lengths) + len(trials), s.spec.limits.max_failed_trials
    if count <= most:
        return None
    found = Message.of("controller.too-many-failed", n=count, most=most)
    if trials:
        return Message.of("controller.last-failure", what=found, why=failed[trials[-1]])
    # the last failure was told when it happened, and stays told while running jobs end
    told = s.message.values.get("why")
    return told if isinstance(told, Message) and told.values.get("what") == found else found


def _limit(s: Snapshot) -> Message | None:
    limits = s.spec.limits
    if limits.max_duration is not None and s.counted(s.now) >= timedelta(seconds=limits.max_duration):
        return Message.of("controller.max-duration", span=limits.max_duration)
    if limits.max_gpu_hours is not None and s.used_gpu_seconds() >= limits.max_gpu_hours * 3600:
        return Message.of("controller.max-gpu-hours", hours=limits.max_gpu_hours)
    return None


def _all_closed(s: Snapshot, failed: Mapping[Unit, Message]) -> bool:
    """Whether every trial and finalist has an outcome, counting those that get theirs in this plan, and nothing runs."""
    return (
        s.prepared is not None
        and not s.live
        and not any(
            searching(s, length, failed) or finals_left(length, failed) or verdict_due(length, failed)
            for length in s.lengths
        )
    )
