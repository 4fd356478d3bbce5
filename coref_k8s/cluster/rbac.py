"""The rights that each part needs: the only list of them. The chart renders it, a test runs with exactly these.

python -m coref_k8s.cluster.rbac                print all roles
python -m coref_k8s.cluster.rbac ROLE           print the rules of one, as YAML
"""

from __future__ import annotations

import sys
from typing import Any

import yaml

from coref_k8s.cluster import names

Rule = dict[str, Any]


def _rule(group: str, resources: list[str], verbs: list[str], **more: Any) -> Rule:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs, **more}


#: The controller, in the namespace of its studies. No right to read Secrets: pods mount them by name.
CONTROLLER: tuple[Rule, ...] = (
    # patch: the finalizer that a purge needs
    _rule(names.GROUP, [names.PLURAL], ["list", "watch", "patch"]),
    _rule(names.GROUP, [f"{names.PLURAL}/status"], ["patch"]),
    _rule("batch", ["jobs"], ["get", "list", "watch", "create", "patch", "delete"]),
    _rule("", ["pods"], ["list", "watch"]),
    # the end of a failed trial's log goes to the database
    _rule("", ["pods/log"], ["get"]),
    # list: why a pod is refused or does not start is told in events only
    _rule("", ["events"], ["create", "list"]),
    _rule("coordination.k8s.io", ["leases"], ["get", "create", "update"]),
)

#: Somebody who runs studies.
USER: tuple[Rule, ...] = (
    _rule(names.GROUP, [names.PLURAL], ["get", "list", "watch", "create", "patch", "delete"]),
    _rule("batch", ["jobs"], ["get", "list"]),
    _rule("", ["pods"], ["get", "list"]),
    _rule("", ["pods/log"], ["get"]),
    # results come from the controller, through the API server
    _rule("", ["services/proxy"], ["get"]),
    _rule("", ["services"], ["get", "list"]),
    _rule("", ["events"], ["get", "list"]),
    _rule("", ["persistentvolumeclaims"], ["get", "list"]),
    _rule("coordination.k8s.io", ["leases"], ["get", "list"]),
)

#: Somebody who looks at studies.
VIEWER: tuple[Rule, ...] = (
    _rule(names.GROUP, [names.PLURAL], ["get", "list", "watch"]),
    *USER[1:],
)

#: Somebody who measures the cluster's cards (`calibrate --on cluster`); to find their kinds he lists nodes, too.
CALIBRATION: tuple[Rule, ...] = (
    _rule("batch", ["jobs"], ["get", "list", "create", "delete"]),
    _rule("", ["pods"], ["get", "list"]),
    _rule("", ["pods/log"], ["get"]),
    _rule("", ["services/proxy"], ["get"]),
    _rule("", ["services"], ["list"]),
)

ROLES: dict[str, tuple[Rule, ...]] = {
    "controller": CONTROLLER,
    "user": USER,
    "viewer": VIEWER,
    "calibration": CALIBRATION,
}


def rules(role: str, *, service: str = "") -> list[Rule]:
    """Return the rules of a role: `controller`, `user`, `viewer` or `calibration`.

    With `service` (`NAME:PORT`) only that service may be asked through the API server, as the chart renders it.
    """
    found = [{key: list(value) for key, value in rule.items()} for rule in ROLES[role]]
    for rule in found:
        if service and rule["resources"] == ["services/proxy"]:
            rule["resourceNames"] = [service]
    return found


def main(arguments: list[str]) -> None:
    """Print rules as YAML."""
    data: Any = rules(arguments[0]) if arguments else {role: rules(role) for role in ROLES}
    sys.stdout.write(yaml.safe_dump(data, sort_keys=False))


if __name__ == "__main__":
    main(sys.argv[1:])
