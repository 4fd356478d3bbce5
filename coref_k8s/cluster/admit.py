"""What a custom resource asks for, against what the database has: pure decisions, no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from coref_k8s.cluster import names
from coref_k8s.cluster.crd import IMMUTABLE, SEARCH_MUTABLE
from coref_k8s.cluster.status import Condition
from coref_k8s.store import Phase, StudyRecord
from coref_k8s.study.reading import spec_from_mapping
from coref_k8s.study.spec import SearchSpec, StudySpec
from coref_k8s.wording import NOTHING, Message

#: Longest annotation that is taken as it is (characters); the API server takes 262,144 from whoever may create a study.
LONGEST_ANNOTATION = 253
_SEARCH_MUTABLE = {n for n, f in SearchSpec.model_fields.items() if (f.alias or n) in SEARCH_MUTABLE}


class Step(StrEnum):
    """What is to be done before the study goes on."""

    CREATE = "create"
    UPDATE = "update"
    RESUME = "resume"
    CANCEL = "cancel"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Decision:
    """Steps in order, and, for REFUSE, why."""

    steps: tuple[Step, ...] = ()
    message: Message = NOTHING


def wanted(resource: dict[str, Any]) -> StudySpec:
    """Return the request in a custom resource. Raises RequestError."""
    metadata = resource["metadata"]
    return spec_from_mapping(resource.get("spec") or {}, where=f"{names.KIND} {metadata['name']}")


def annotation(resource: dict[str, Any], name: str) -> str:
    """Return an annotation; empty when it is not there. Of a long one its beginning and its hash: statuses repeat it."""
    found = str((resource["metadata"].get("annotations") or {}).get(name, ""))
    if len(found) <= LONGEST_ANNOTATION:
        return found
    return f"{found[:40]}…{hashlib.sha256(found.encode(errors='replace')).hexdigest()}"


def lost_fields(resource: dict[str, Any]) -> list[str]:
    """Return the dotted paths of a request that somebody has written and that are not there any more.

    A definition of another version, as after a rollback, does not know them: the API server shows a resource without them,
    and the next write to it loses them. What a person takes away has no owner any more; what was lost so keeps its own.
    """
    written = [entry.get("fieldsV1") or {} for entry in resource["metadata"].get("managedFields") or ()]
    spec = resource.get("spec") or {}
    return sorted({path for one in written for path in _missing(one.get("f:spec") or {}, spec)})


def _missing(owned: dict[str, Any], value: dict[str, Any], at: str = "") -> Iterator[str]:
    for step, below in owned.items():
        key = step.removeprefix("f:")
        if key == step:
            continue  # "." is the mapping itself; the other kinds are items of lists
        if key not in value:
            yield at + key
        elif isinstance(value[key], dict):
            yield from _missing(below, value[key], f"{at}{key}.")


def was_accepted(resource: dict[str, Any]) -> bool:
    """Whether a controller has taken the request up and the study has started: what may not change is the same since."""
    status = resource.get("status") or {}
    accepted = any(
        c["type"] == Condition.ACCEPTED and c["status"] == "True" for c in status.get("conditions") or ()
    )
    return accepted and status.get("phase", Phase.PENDING) != Phase.PENDING


def settled(spec: StudySpec, resource: dict[str, Any], record: StudyRecord | None) -> StudySpec:
    """Return the request with what may not change as the database has it, where only that can be right.

    The API server lets nobody change these fields once the study has started, so another version's definition has.
    """
    if record is None or not (was_accepted(resource) or lost_fields(resource)):
        return spec
    known, free = record.spec, {n: getattr(spec.search, n) for n in _SEARCH_MUTABLE}
    kept = {n: getattr(known, n) for n, f in StudySpec.model_fields.items() if (f.alias or n) in IMMUTABLE}
    return spec.model_copy(update=kept | {"search": known.search.model_copy(update=free)})


def decide(spec: StudySpec, resource: dict[str, Any], record: StudyRecord | None) -> Decision:
    """Return what brings the database's study to what the custom resource asks for."""
    cancel = annotation(resource, names.CANCEL_ANNOTATION) == "true"
    if record is None:
        return Decision((Step.CREATE, Step.CANCEL) if cancel else (Step.CREATE,))
    known = record.spec
    changed = [field for field in IMMUTABLE if _kept(spec, field) != _kept(known, field)]
    if changed:
        return Decision(
            (Step.REFUSE,),
            Message.of("cluster.database-has-another", study=record.name, fields=changed),
        )
    steps: list[Step] = []
    if spec != known:
        steps.append(Step.UPDATE)
    if cancel:
        if not record.ended and not record.cancel_requested:
            steps.append(Step.CANCEL)
    elif record.ended and _goes_on(spec, resource, record):
        steps.append(Step.RESUME)
    return Decision(tuple(steps))


def resume_token(resource: dict[str, Any]) -> str:
    """Return the last wish to resume; empty when there was none."""
    return annotation(resource, names.RESUME_ANNOTATION)


def _goes_on(spec: StudySpec, resource: dict[str, Any], record: StudyRecord) -> bool:
    if record.phase is Phase.CANCELLED:
        return True  # nobody asks for that any more
    token = resume_token(resource)
    if token and token != (resource.get("status") or {}).get("resumed", ""):
        return True
    return record.phase is Phase.SUCCEEDED and any(
        wanted > done
        for wanted, done in (
            (spec.trials, record.spec.trials),
            (spec.search.finalists, record.spec.search.finalists),
            (spec.search.finalist_seeds, record.spec.search.finalist_seeds),
        )
    )


def _kept(spec: StudySpec, alias: str) -> Any:
    """Return what may not change of a field."""
    name = next(n for n, f in StudySpec.model_fields.items() if (f.alias or n) == alias)
    found = getattr(spec, name)
    return found.model_dump(by_alias=True, exclude=_SEARCH_MUTABLE) if alias == "search" else found
