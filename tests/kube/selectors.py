"""Label and field selectors, in the grammar of the API (`a=b,c!=d,e in (f,g),!h`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.kube.errors import bad_request

Json = dict[str, Any]
Test = Callable[[Json], bool]

_SET = re.compile(r"^([\w./-]+)\s+(in|notin)\s+\(([^)]*)\)$")
_EQUALITY = re.compile(r"^([\w./-]+)\s*(==|=|!=)\s*([\w.-]*)$")
_NAME = re.compile(r"^(!?)\s*([\w./-]+)$")

#: The fields a real server can select on, beside metadata.name and metadata.namespace.
FIELDS = {
    "pods": {
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
    },
    "events": {
        "involvedObject.kind",
        "involvedObject.name",
        "involvedObject.namespace",
        "involvedObject.uid",
        "reason",
        "type",
        "source",
        "reportingComponent",
    },
    "jobs": {"status.successful"},
    "secrets": {"type"},
    "namespaces": {"status.phase"},
    "nodes": {"spec.unschedulable"},
}

#: Built-in kinds without field labels of their own, which word the refusal differently.
_ONLY_NAMES = {"configmaps", "leases", "persistentvolumeclaims", "deployments", "roles", "rolebindings"}


def _requirement(text: str) -> Callable[[dict[str, str]], bool]:
    if match := _SET.match(text):
        key, operator, values = match[1], match[2], {v.strip() for v in match[3].split(",")}
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: key not in labels or labels[key] not in values
    if match := _EQUALITY.match(text):
        key, operator, value = match[1], match[2], match[3]
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if match := _NAME.match(text):
        key = match[2]
        return (lambda labels: key not in labels) if match[1] else (lambda labels: key in labels)
    raise bad_request(f"unable to parse requirement: {text!r}")


def label_test(selector: str) -> Test | None:
    """A predicate over objects, or None when everything matches."""
    if not selector:
        return None
    parts = [p.strip() for p in re.split(r",(?![^(]*\))", selector)]
    tests = [_requirement(p) for p in parts if p]
    return lambda obj: all(t(obj["metadata"].get("labels") or {}) for t in tests)


def field_test(selector: str, plural: str) -> Test | None:
    if not selector:
        return None
    tests: list[Test] = []
    for part in filter(None, selector.split(",")):
        match = re.match(r"^([\w.]+)(==|=|!=)(.*)$", part)
        if not match:
            raise bad_request(f"invalid field selector: {selector!r}")
        path, operator, value = match[1], match[2], match[3]
        if path not in FIELDS.get(plural, set()) | {"metadata.name", "metadata.namespace"}:
            if plural not in _ONLY_NAMES:
                raise bad_request(f"field label not supported: {path}")
            why = 'only "metadata.name", "metadata.namespace"'
            raise bad_request(f'"{path}" is not a known field selector: {why}')
        tests.append(_field(path.split("."), value, operator != "!="))
    return lambda obj: all(t(obj) for t in tests)


def _field(path: list[str], value: str, equal: bool) -> Test:
    def test(obj: Json) -> bool:
        at: Any = obj
        for step in path:
            at = at.get(step) if isinstance(at, dict) else None
        text = (
            {None: "", True: "true", False: "false"}.get(at, str(at)) if not isinstance(at, int) else str(at)
        )
        return (text == value) == equal

    return test


def matcher(labels: str, fields: str, plural: str) -> Test | None:
    tests = [t for t in (label_test(labels), field_test(fields, plural)) if t]
    if not tests:
        return None
    return lambda obj: all(t(obj) for t in tests)
