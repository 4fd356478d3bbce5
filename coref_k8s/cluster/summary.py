"""A study as its resource alone shows it: for whoever cannot ask the controller."""

from __future__ import annotations

from typing import Any

from coref_k8s.cluster import names
from coref_k8s.cluster.admit import annotation
from coref_k8s.cluster.observed import parse_time
from coref_k8s.cluster.status import Condition
from coref_k8s.store.records import Phase, StudyRecord
from coref_k8s.wording import Message


def record_of(resource: dict[str, Any]) -> StudyRecord:
    """Return the record of a resource, of whichever version it is."""
    metadata, status = resource["metadata"], resource.get("status") or {}
    started, created = parse_time(status.get("startTime")), parse_time(metadata.get("creationTimestamp"))
    return StudyRecord.of_request(
        metadata["name"],
        resource.get("spec") or {},
        annotation(resource, names.VERSION_ANNOTATION),
        namespace=metadata["namespace"],
        phase=Phase(status.get("phase") or Phase.PENDING),
        message=Message.verbatim(status.get("message", "")),
        started_at=started,
        resumed_at=started or created,
        finished_at=parse_time(status.get("completionTime")),
        **({"created_at": created} if created else {}),
    )


def problem_of(resource: dict[str, Any]) -> Message:
    """Return what keeps a study from going on, in the words of its resource; empty when nothing does."""
    conditions = (resource.get("status") or {}).get("conditions") or ()
    told = (c.get("message") for c in conditions if c["type"] == Condition.DEGRADED and c["status"] == "True")
    return Message.verbatim(next(told, None) or "")
