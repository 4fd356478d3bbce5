"""The stand-in scheduler's rules: which node a pod fits, or the sentence that says why none does."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

Json = dict[str, Any]
_UNITS = {
    "": 1,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "m": 1e-3,
}


def quantity(text: str | int | float) -> float:
    """A Kubernetes quantity as a number: `500m` is 0.5, `2Gi` is 2147483648."""
    match = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(text))
    if not match or match[2] not in _UNITS:
        raise ValueError(f"not a quantity: {text!r}")
    return float(match[1]) * _UNITS[match[2]]


def requests(pod: Json) -> dict[str, float]:
    """What a pod asks for: the sum over its containers, by resource."""
    total: dict[str, float] = {"pods": 1}
    for container in pod["spec"]["containers"]:
        resources = container.get("resources", {})
        for name, amount in {**resources.get("limits", {}), **resources.get("requests", {})}.items():
            total[name] = total.get(name, 0) + quantity(amount)
    return total


def place(pod: Json, nodes: list[Json], used: dict[str, dict[str, float]]) -> tuple[str | None, str]:
    """(node name, "") or (None, message as the real scheduler words it)."""
    reasons: Counter[str] = Counter()
    for node in nodes:
        why = _refusal(pod, node, used.get(node["metadata"]["name"], {}))
        if why is None:
            return node["metadata"]["name"], ""
        reasons[why] += 1
    listed = ", ".join(f"{count} {why}" for why, count in sorted(reasons.items()))
    return None, f"0/{len(nodes)} nodes are available: {listed or 'no nodes'}."


def _refusal(pod: Json, node: Json, used: dict[str, float]) -> str | None:
    spec, labels = pod["spec"], node["metadata"].get("labels", {})
    if node["spec"].get("unschedulable"):
        return "node(s) were unschedulable"
    for taint in node["spec"].get("taints") or ():
        if taint["effect"] != "PreferNoSchedule" and not any(
            _tolerates(t, taint) for t in spec.get("tolerations") or ()
        ):
            return f"node(s) had untolerated taint(s) {{{taint['key']}: {taint.get('value', '')}}}"
    if any(labels.get(k) != v for k, v in (spec.get("nodeSelector") or {}).items()):
        return "node(s) didn't match Pod's node affinity/selector"
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    terms = (affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms")
    if terms and not any(all(_expression(e, labels) for e in t.get("matchExpressions") or ()) for t in terms):
        return "node(s) didn't match Pod's node affinity/selector"
    allocatable = node["status"]["allocatable"]
    for name, amount in requests(pod).items():
        if used.get(name, 0) + amount > quantity(allocatable.get(name, 0)):
            return f"Insufficient {name}" if name != "pods" else "Too many pods"
    return None


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", "")


def _expression(expression: Json, labels: dict[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return value is not None and value.isdigit() and int(value) > int(values[0])
        case "Lt":
            return value is not None and value.isdigit() and int(value) < int(values[0])
    return False
