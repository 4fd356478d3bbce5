"""Which controller works in a namespace, as whoever uses it can see: by its lease, and by no other's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from coref_k8s.cluster import names
from coref_k8s.cluster.api import ClusterApi
from coref_k8s.cluster.observed import parse_time
from coref_k8s.cluster.resources import LEASES, SERVICES
from coref_k8s.cluster.settings import ClusterSettings

#: A lease that was not renewed for so long has no controller behind it (seconds).
LEASE_AGE = 60.0


class Leader(NamedTuple):
    """Who holds the lease."""

    holder: str
    age: float
    """Time since it was renewed (seconds)."""

    @property
    def at_work(self) -> bool:
        """Whether it was renewed lately."""
        return self.age <= LEASE_AGE


def services(api: ClusterApi) -> list[dict[str, Any]]:
    """Return the services that lead to a controller of ours. Raises ClusterError."""
    found, _ = api.list(SERVICES, labels=f"{names.NAME_LABEL}={names.APP},{names.COMPONENT_LABEL}=controller")
    return found


def leader(api: ClusterApi) -> Leader | None:
    """Return who holds the lease of this namespace's controller; None when nobody does. Raises ClusterError.

    It is called like the controller's service, as the chart names both; other programs have leases of their own.
    """
    ours = {service["metadata"]["name"] for service in services(api)} | {ClusterSettings().lease}
    held = []
    for lease in api.list(LEASES)[0]:
        spec = lease["spec"]
        renewed = parse_time(spec.get("renewTime"))
        if lease["metadata"]["name"] in ours and spec.get("holderIdentity") and renewed is not None:
            held.append(Leader(spec["holderIdentity"], (datetime.now(UTC) - renewed).total_seconds()))
    return min(held, key=lambda one: one.age, default=None)
