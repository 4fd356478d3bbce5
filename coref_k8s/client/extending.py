"""What a study can be given afterwards: more trials, finalists, time or patience, or more of it at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from typing import Any

from coref_k8s.client.where import Spelled
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import RequestError
from coref_k8s.store.records import Phase
from coref_k8s.study.reading import amended
from coref_k8s.study.spec import StudySpec

#: Where each value stands in the request, in the order in which they are told.
FIELDS = {
    "trials": ("trials",),
    "budget": ("search", "budget"),
    "parallelism": ("parallelism",),
    "finalists": ("search", "finalists"),
    "finalist_seeds": ("search", "finalistSeeds"),
    "patience": ("search", "patience"),
    "min_gain": ("search", "minGain"),
    "max_gpu_hours": ("limits", "maxGpuHours"),
    "max_duration": ("limits", "maxDuration"),
}


@dataclass(frozen=True)
class Extension:
    """A checked change of a study's request."""

    changes: Mapping[str, Any]
    """What is new, camelCase, as in the resource."""
    told: Mapping[str, tuple[Any, Any]]
    """Key of each field that is really changed, with its value before and after."""
    goes_on: bool
    """Whether a study that has ended has something to do again."""
    in_vain: tuple[str, ...] = ()
    """Fields of which one must change too before more trials are begun: the search had ended for their sake."""


def extension(view: StudyView, given: Mapping[str, Any], *, spelled: Spelled = str) -> Extension:
    """Return what these fields (`FIELDS`; None is not given) change of a study.

    `trials` is a number, or a text such as `+10` for ten more. Raises RequestError for what cannot be given, or
    changes nothing.
    """
    values = {name: given[name] for name in FIELDS if given.get(name) is not None}
    if not values:
        examples = {name: spelled(name) for name in ("trials", "finalists", "parallelism")}
        raise RequestError("client.nothing-to-change", **examples)
    if "trials" in values:
        values["trials"] = _trials(str(values["trials"]), view, spelled("trials"))
    changes: dict[str, Any] = {}
    for name, value in values.items():
        *outer, key = FIELDS[name]
        (changes.setdefault(outer[0], {}) if outer else changes)[key] = value
    spec = amended(view.spec, changes, names={path: spelled(name) for name, path in FIELDS.items()})
    before, after = _values(view.spec), _values(spec)
    told = {name: (before[name], after[name]) for name in values if after[name] != before[name]}
    if not told:
        raise RequestError("client.nothing-changes", study=view.name)
    goes_on = view.ended and any(_more(name, *pair) for name, pair in told.items())
    if goes_on:
        _check_hours(view, spec, spelled("max_gpu_hours"))
    return Extension(
        changes, {FIELDS[name][-1]: pair for name, pair in told.items()}, goes_on, _in_vain(view, told)
    )


def new_count(text: str, now: int, name: str) -> int:
    """Return the number that `12` or `+10` means, given that there are `now`. Raises RequestError."""
    more = text.startswith("+")
    if not text.removeprefix("+").isdecimal():
        raise RequestError("client.not-a-count", option=name, text=text)
    count = int(text.removeprefix("+")) + (now if more else 0)
    if count < 1:
        raise RequestError("client.no-trials", option=name)
    return count


def _trials(text: str, view: StudyView, name: str) -> int:
    count = new_count(text, view.spec.trials, name)
    begun, seq_len = max((one.done + len(one.open), one.seq_len) for one in view.lengths)
    if count < begun:
        raise RequestError(
            "client.begun-already", option=name, text=text, study=view.name, begun=begun, seq_len=seq_len
        )
    return count


def _values(spec: StudySpec) -> dict[str, Any]:
    """Return what a request says of each field."""
    request = spec.model_dump(mode="json", by_alias=True)
    return {name: reduce(getitem, path, request) for name, path in FIELDS.items()}


def _more(name: str, before: Any, after: Any) -> bool:
    """Whether a change lets a study that has ended do more than it has done."""
    if before is None or name == "parallelism":
        return False
    return bool(after < before if name == "min_gain" else after > before)


def _check_hours(view: StudyView, spec: StudySpec, name: str) -> None:
    """Raise RequestError when the study would go on only to end: GPU-hours count over its whole life."""
    most, used = spec.limits.max_gpu_hours, view.gpu_seconds / 3600
    if most is not None and used >= most:
        raise RequestError("client.hours-used", study=view.name, used=used, most=most, option=name)


def _in_vain(view: StudyView, told: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the fields for whose sake a length has ended, where more trials are given and these stay as they are."""
    early = any(one.done < one.planned for one in view.lengths)
    if view.phase is not Phase.SUCCEEDED or not early or "trials" not in told:
        return ()
    reasons = {"patience": view.spec.search.patience, "min_gain": view.spec.search.min_gain}
    return tuple(name for name, value in reasons.items() if value is not None and name not in told)
