"""What the custom resource's status and events say of a study: pure, from the controller's progress."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from coref_k8s import __version__
from coref_k8s.cluster import names
from coref_k8s.cluster.admit import annotation, resume_token, was_accepted
from coref_k8s.cluster.status import Condition, ConditionReason
from coref_k8s.controller.actions import Action, Fail, Record, SetPhase
from coref_k8s.controller.loop import LONGEST_PAUSE
from coref_k8s.controller.plan import UNPLACED_FOR
from coref_k8s.controller.progress import LengthProgress, Progress
from coref_k8s.controller.runner import Reason, State
from coref_k8s.errors import ClusterError, CorefError, RequestError, StorageError, UnknownKeyError
from coref_k8s.store import Outcome, Phase
from coref_k8s.study.names import Kind
from coref_k8s.study.reading import paths_of, read_known
from coref_k8s.wording import NOTHING, Message, say

Json = dict[str, Any]

#: What is said of a job that waits or is lost, by its reason.
_TROUBLES = {
    Reason.IMAGE: "cluster.image-trouble",
    Reason.UNSCHEDULABLE: "cluster.pod-waits",
    Reason.REFUSED: "cluster.pod-refused",
    Reason.NOT_STARTED: "cluster.pod-not-started",
    Reason.DISRUPTED: "cluster.pod-lost",
    Reason.CRASHED: "cluster.pod-failed",
}
#: Longest message of a condition or an event (characters).
LONGEST = 1000
#: A word of more characters than this hides what is said about it.
_LONGEST_WORD = 200


class Trouble(NamedTuple):
    """Something that keeps trials from running."""

    reason: ConditionReason
    message: Message


class EventNote(NamedTuple):
    """A Kubernetes event to be."""

    kind: str
    """`Normal` or `Warning`."""
    reason: str
    message: str


def study_status(
    resource: Json, progress: Progress, *, results: str | None = None, trouble: Trouble | None = None
) -> Json:
    """Return the status; conditions keep the time of their last change from the resource's own status.

    `trouble`: what kept the controller from going on; else what keeps trials from running is looked for.
    """
    spec = progress.spec
    trouble = trouble or trouble_of(progress)
    waiting = awaited(progress)
    told = trouble.message if trouble else progress.message or progress.preparing
    if not trouble and waiting and not any(one.job.state is State.RUNNING for one in progress.running):
        told = waiting
    planned = sum(length.planned for length in progress.lengths) or spec.trials * len(spec.seq_lengths)
    done = sum(length.done for length in progress.lengths)
    status: Json = {
        "phase": progress.phase.value,
        "message": brief(told),
        "observedGeneration": resource["metadata"].get("generation"),
        "progress": f"{done}/{planned}",
        "trials": {
            "total": planned,
            "done": done,
            "running": sum(length.running for length in progress.lengths),
            "waiting": sum(length.waiting for length in progress.lengths) + _beside(progress),
            "succeeded": sum(length.complete for length in progress.lengths),
            "pruned": sum(length.pruned for length in progress.lengths),
            "failed": sum(length.failed for length in progress.lengths),
        },
        "best": [_best(length) for length in progress.lengths if length.best is not None],
        "bestScore": _best_score(progress.lengths),
        "finalists": _finalists(progress.lengths),
        "startTime": stamp(progress.started_at),
        "completionTime": stamp(progress.finished_at if progress.ended else None),
        "results": results,
        "version": __version__,
        "resumed": resume_token(resource),
    }
    status["conditions"] = with_times(resource, _conditions(progress, trouble), progress.now)
    return {key: value for key, value in status.items() if value not in (None, "", [])}


def refused_status(resource: Json, reason: ConditionReason, message: Message, now: datetime) -> Json:
    """Return the status of a request that cannot become a study."""
    found = [(Condition.ACCEPTED, False, reason, message)]
    return {
        "phase": Phase.FAILED.value,
        "message": brief(message),
        "observedGeneration": resource["metadata"].get("generation"),
        "version": __version__,
        "conditions": with_times(resource, found, now),
    }


def waiting_status(resource: Json, trouble: Trouble, now: datetime) -> Json:
    """Return the status, as it was, with what the controller waits for."""
    known = resource.get("status") or {}
    found = [(Condition.DEGRADED, True, trouble.reason, trouble.message)]
    others = [c for c in known.get("conditions") or () if c["type"] != Condition.DEGRADED]
    kept = {key: value for key, value in known.items() if key != "conditions"}
    return {
        "phase": Phase.PENDING.value,
        **kept,
        "message": brief(trouble.message),
        "version": __version__,
        "conditions": sorted([*others, *with_times(resource, found, now)], key=lambda c: str(c["type"])),
    }


def brief(message: Message) -> str:
    """Return the words of a condition or an event; of a name that would fill them both ends are shown."""
    words = re.sub(
        rf"\S{{{_LONGEST_WORD},}}", lambda found: f"{found[0][:50]}…{found[0][-50:]}", str(message)
    )
    return words[:LONGEST]


def trouble_in(error: Exception) -> Trouble:
    """Return what to say of an error that ended a look at a study; the look is repeated until it is gone."""
    reason = ConditionReason.ERROR
    if isinstance(error, StorageError):
        reason = ConditionReason.DATABASE
    elif isinstance(error, ClusterError):
        # a quota of Jobs, an admission policy or its webhook, missing rights: the cluster's people can help
        reason = ConditionReason.REFUSED
    if isinstance(error, CorefError):
        why = error.message
    else:
        words = " ".join(str(error).split())
        why = Message.of("cluster.unexpected", kind=type(error).__name__, why=words)
    return Trouble(reason, Message.of("cluster.tried-again", why=why, span=LONGEST_PAUSE))


def trouble_of(progress: Progress) -> Trouble | None:
    """Return what keeps trials from running: what is seen to be wrong at once, all else after a moment in which it may come right."""
    jobs = [one.job for one in progress.running]
    for job in jobs:
        if job.reason is None or job.reason not in _TROUBLES:
            continue
        late = job.created_at is not None and progress.now - job.created_at >= UNPLACED_FOR
        if late or job.reason in (Reason.IMAGE, Reason.DISRUPTED, Reason.CRASHED):
            told = Message.of(_TROUBLES[job.reason], job=job.name, why=job.message)
            return Trouble(ConditionReason(job.reason.value), told)
    if jobs and all(job.reason is Reason.SUSPENDED for job in jobs):
        # of one that it preempted Kueue may say nothing more, while it says of another what lacks
        first = next((job for job in jobs if job.message.code == "cluster.queued"), jobs[0])
        told = Message.of("cluster.all-suspended", job=first.name, why=first.message)
        return Trouble(ConditionReason.SUSPENDED, told)
    return None


def awaited(progress: Progress) -> Message:
    """Return which pods do not run yet though nothing is wrong so far; nothing when all do."""
    jobs = [one.job for one in progress.running if one.job.state is State.PENDING]
    if not jobs:
        return NOTHING
    first = next((job for job in jobs if job.message), jobs[0])
    why = first.message or Message.of("cluster.being-started")
    return Message.of("cluster.starting-up", n=len(jobs), job=first.name, why=why)


def _beside(progress: Progress) -> int:
    """Return how much waits beside trials: the preparation, also while there is no Job for it, and what finalists need."""
    jobs = [one.job for one in progress.running if one.job.kind is not Kind.TRIAL]
    missing = progress.phase is Phase.PREPARING and not any(job.kind is Kind.PREPARE for job in jobs)
    return sum(job.state is State.PENDING for job in jobs) + missing


def not_ours(resource: Json, error: RequestError) -> Trouble | None:
    """Return why a request is not for this version to call wrong; None when it is.

    The API server took it: with keys that are not known here its definition is newer, as it is for a moment in every
    upgrade and after a rollback; with values that are not, another version wrote it, or accepted it.
    """
    theirs = annotation(resource, names.VERSION_ANNOTATION)
    another = theirs not in ("", __version__)
    if not (another or was_accepted(resource) or isinstance(error, UnknownKeyError)):
        return None
    fields = paths_of(read_known(resource.get("spec") or {})[1])
    code = "cluster.not-usable-by" if another else "cluster.not-usable"
    told = {"fields": fields, "ours": __version__, "theirs": theirs}
    return Trouble(ConditionReason.VERSION, Message.of(code, **told))


def lost_trouble(fields: list[str]) -> Trouble:
    """Return what to say of a request from which an older definition has taken fields."""
    return Trouble(ConditionReason.VERSION, Message.of("cluster.lost", fields=fields))


def event_of(action: Action, before: Phase) -> EventNote | None:
    """Return what was done, as people who read `kubectl describe` want to know it; `before` is the phase until then."""
    match action:
        case SetPhase(phase, message) if phase is not before:
            kind = "Warning" if phase is Phase.FAILED else "Normal"
            told = message or Message.of("controller.study-is", phase=phase.value.lower())
            return EventNote(kind, phase.value, brief(told))
        case Fail(unit, reason):
            told = Message.of("controller.with-words", what=unit.named, said=reason)
            return EventNote("Warning", "TrialFailed", brief(told))
        case Record(job=job, outcome=Outcome.OUT_OF_MEMORY | Outcome.DISRUPTED as outcome, message=message):
            why = "OutOfMemory" if outcome is Outcome.OUT_OF_MEMORY else "Disrupted"
            return EventNote("Warning", why, brief(Message.of("cluster.of-job", job=job.name, why=message)))
    return None


def trouble_notes(before: Json, after: Json) -> list[EventNote]:
    """Return what a new status says of trouble that the one before did not."""
    old, new = (_condition(status, Condition.DEGRADED) for status in (before, after))
    if new.get("status") == "True" and (old.get("status"), old.get("reason")) != ("True", new["reason"]):
        return [EventNote("Warning", new["reason"], new.get("message", ""))]
    if old.get("status") == "True" and new.get("status") == "False":
        return [EventNote("Normal", "Recovered", say("cluster.recovered", reason=old["reason"]))]
    return []


def is_degraded(status: Json) -> bool:
    """Return whether a status says that something keeps the study from going on."""
    return _condition(status, Condition.DEGRADED).get("status") == "True"


def _condition(status: Json, kind: Condition) -> Json:
    return next((c for c in status.get("conditions") or () if c["type"] == kind), {})


def with_times(
    resource: Json, found: Iterable[tuple[Condition, bool, ConditionReason, Message]], now: datetime
) -> list[Json]:
    """Return conditions by type; one whose status stayed keeps its time."""
    known = {c["type"]: c for c in (resource.get("status") or {}).get("conditions") or ()}
    result = []
    for kind, holds, reason, message in sorted(found, key=lambda one: one[0]):
        status = "True" if holds else "False"
        before = known.get(kind.value)
        same = before is not None and before["status"] == status
        changed = before["lastTransitionTime"] if before is not None and same else stamp(now)
        condition = {
            "type": kind.value,
            "status": status,
            "reason": reason.value,
            "message": brief(message),
            "lastTransitionTime": changed,
            "observedGeneration": resource["metadata"].get("generation"),
        }
        result.append({key: value for key, value in condition.items() if value is not None})
    return result


def stamp(moment: datetime | None) -> str | None:
    """Return a time as the API writes it."""
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _conditions(
    progress: Progress, trouble: Trouble | None
) -> list[tuple[Condition, bool, ConditionReason, Message]]:
    phase, ended = progress.phase, progress.ended
    reason = ConditionReason(phase.value)
    prepared = progress.prepared is not None
    told = progress.message or progress.preparing or Message.verbatim(phase.value)
    return [
        (Condition.ACCEPTED, True, ConditionReason.ACCEPTED, Message.of("cluster.accepted")),
        (
            Condition.PREPARED,
            prepared,
            ConditionReason.PREPARED if prepared else ConditionReason.PREPARING,
            Message.of("cluster.prepared" if prepared else "cluster.not-prepared"),
        ),
        (Condition.PROGRESSING, not ended, reason, told),
        (
            Condition.DEGRADED,
            trouble is not None,
            trouble.reason if trouble else ConditionReason.AS_EXPECTED,
            trouble.message if trouble else awaited(progress) or Message.of("cluster.as-expected"),
        ),
        (Condition.COMPLETE, ended, reason, told),
    ]


def _best(length: LengthProgress) -> Json:
    best, verdict = length.winner, length.verdict
    assert best is not None
    found: Json = {
        "seqLen": length.seq_len,
        "trial": best.number,
        "score": round(_score(length) or 0.0, 6),
        "params": dict(best.params),
    }
    if verdict is None:
        return found
    claims = {one.against: one.score.claim for one in verdict.comparisons if one.score is not None}
    found |= {
        "runs": next(len(one.scores) for one in verdict.candidates if one.trial == verdict.winner),
        "test": round(verdict.test, 6),
        "testLow": None if verdict.low is None else round(verdict.low, 6),
        "testHigh": None if verdict.high is None else round(verdict.high, 6),
        "againstUntuned": claims.get("untuned"),
        "againstDefaults": claims.get("defaults"),
    }
    return {key: value for key, value in found.items() if value is not None}


def _score(length: LengthProgress) -> float | None:
    """Return the best score of a length on dev: the winner's mean once there is a verdict."""
    if length.verdict is not None:
        return length.verdict.dev
    return length.best.value if length.best is not None else None


def _finalists(lengths: Iterable[LengthProgress]) -> str | None:
    """Return how many runs of finalists have ended, of those planned; None before there are any."""
    known = [length.runs for length in lengths if length.runs]
    planned = sum(sum(runs.values()) for runs in known)
    return f"{sum(runs['complete'] + runs['failed'] for runs in known)}/{planned}" if planned else None


def _best_score(lengths: Iterable[LengthProgress]) -> str | None:
    known = [(value, length.seq_len) for length in lengths if (value := _score(length)) is not None]
    if not known:
        return None
    value, seq_len = max(known)
    return f"{value:.4f} ({seq_len})"
