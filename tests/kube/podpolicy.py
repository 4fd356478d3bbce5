"""podFailurePolicy: the first rule that a failed pod matches decides (matchPodFailurePolicy of 1.36)."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def match(job: Json, pod: Json) -> tuple[str | None, bool]:
    """(message when the Job must fail, whether the failure counts towards backoffLimit)."""
    for index, rule in enumerate(job["spec"].get("podFailurePolicy", {}).get("rules", ())):
        action = rule["action"]
        where = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        if "onExitCodes" in rule:
            container = _by_exit_code(pod["status"], rule["onExitCodes"])
            if container is None:
                continue
            code = container["state"]["terminated"]["exitCode"]
            said = f"Container {container['name']} for pod {where} failed with exit code {code}"
        else:
            condition = _by_condition(pod["status"], rule["onPodConditions"])
            if condition is None:
                continue
            said = f"Pod {where} has condition {condition['type']}"
        if action == "FailJob":
            return f"{said} matching FailJob rule at index {index}", True
        return None, action != "Ignore"
    return None, True


def _by_exit_code(status: Json, wanted: Json) -> Json | None:
    for container in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
        terminated = container["state"].get("terminated")
        if not terminated or terminated["exitCode"] == 0:
            continue
        if wanted.get("containerName") not in (None, container["name"]):
            continue
        if (terminated["exitCode"] in wanted["values"]) == (wanted["operator"] == "In"):
            return container
    return None


def _by_condition(status: Json, patterns: list[Json]) -> Json | None:
    for condition in status.get("conditions") or ():
        for pattern in patterns:
            if condition["type"] == pattern["type"] and condition["status"] == pattern.get("status", "True"):
                return condition
    return None
