"""The resources the fake serves: a table of built-in kinds, joined by what CRDs add while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Resource:
    """One kind as the REST paths know it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    has_status: bool = False
    #: Kinds without `metadata.generation` on a real server (checked on 1.36).
    has_generation: bool = False
    short_names: tuple[str, ...] = ()
    schema: Any = None  # structural schema of a custom resource

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """As error messages say it: `jobs.batch`, `pods`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        """As validation messages say it: `Job.batch`, `Pod`."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def key(self) -> str:
        return self.qualified


def _r(group: str, version: str, plural: str, kind: str, flags: str = "", *short: str) -> Resource:
    """Flags: c = cluster-scoped, s = status subresource, g = has a generation."""
    return Resource(group, version, plural, kind, "c" not in flags, "s" in flags, "g" in flags, short)


RBAC = "rbac.authorization.k8s.io"
BUILTIN = (
    _r("", "v1", "namespaces", "Namespace", "cs", "ns"),
    _r("", "v1", "nodes", "Node", "cs", "no"),
    _r("", "v1", "pods", "Pod", "sg", "po"),
    _r("", "v1", "events", "Event", "", "ev"),
    _r("", "v1", "secrets", "Secret"),
    _r("", "v1", "configmaps", "ConfigMap", "", "cm"),
    _r("", "v1", "services", "Service", "s", "svc"),
    _r("", "v1", "endpoints", "Endpoints", "", "ep"),
    _r("", "v1", "serviceaccounts", "ServiceAccount", "", "sa"),
    _r("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", "s", "pvc"),
    _r("", "v1", "resourcequotas", "ResourceQuota", "s", "quota"),
    _r("batch", "v1", "jobs", "Job", "sg"),
    _r("apps", "v1", "deployments", "Deployment", "sg", "deploy"),
    _r("coordination.k8s.io", "v1", "leases", "Lease"),
    _r("events.k8s.io", "v1", "events", "Event"),
    _r("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", "cg", "pc"),
    _r("storage.k8s.io", "v1", "storageclasses", "StorageClass", "c", "sc"),
    _r("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", "sg", "pdb"),
    _r("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", "g", "netpol"),
    _r(RBAC, "v1", "roles", "Role"),
    _r(RBAC, "v1", "rolebindings", "RoleBinding"),
    _r(RBAC, "v1", "clusterroles", "ClusterRole", "c"),
    _r(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", "c"),
    _r("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", "csg", "crd"),
)


class Catalogue:
    """Every resource served now, looked up by (group, version, plural)."""

    def __init__(self) -> None:
        self._by_path = {(r.group, r.version, r.plural): r for r in BUILTIN}

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self._by_path.get((group, version, plural))

    def builtin(self, plural: str, group: str | None = None) -> Resource:
        return next(r for r in BUILTIN if r.plural == plural and group in (None, r.group))

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        return next((r for r in self.all() if r.kind == kind and r.api_version == api_version), None)

    def all(self) -> list[Resource]:
        return list(self._by_path.values())

    def add_crd(self, crd: dict[str, Any]) -> list[Resource]:
        """Serve a definition, in the place of what it said before; return its resources."""
        spec = crd["spec"]
        self.remove_crd(crd)
        served = []
        for version in spec["versions"]:
            if not version.get("served"):
                continue
            resource = Resource(
                group=spec["group"],
                version=version["name"],
                plural=spec["names"]["plural"],
                kind=spec["names"]["kind"],
                namespaced=spec["scope"] == "Namespaced",
                has_status="status" in version.get("subresources", {}),
                has_generation=True,
                short_names=tuple(spec["names"].get("shortNames", ())),
                schema=version["schema"]["openAPIV3Schema"],
            )
            self._by_path[resource.group, resource.version, resource.plural] = resource
            served.append(resource)
        return served

    def remove_crd(self, crd: dict[str, Any]) -> None:
        spec = crd["spec"]
        for path, resource in list(self._by_path.items()):
            if resource.group == spec["group"] and resource.plural == spec["names"]["plural"]:
                del self._by_path[path]
