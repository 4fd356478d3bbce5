"""One request, understood: which verb on which resource, as `k8s.io/apiserver`'s RequestInfo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.kube.errors import NoSuchKind, no_such_path
from tests.kube.resources import Catalogue, Resource

Json = dict[str, Any]


@dataclass
class Request:
    verb: str
    resource: Resource
    namespace: str
    name: str
    subresource: str
    query: dict[str, str]
    body: Any
    manager: str
    answer_headers: dict[str, str] = field(default_factory=dict)
    #: What a proxy subresource passes on.
    path: str = ""

    @property
    def dry_run(self) -> bool:
        return self.query.get("dryRun") == "All"

    def options(self) -> Json:
        strict = self.query.get("fieldValidation") == "Strict"
        return {"manager": self.manager, "dry_run": self.dry_run, "strict": strict}

    def write_options(self) -> Json:
        return self.options() | {"status": self.subresource == "status"}

    def delete_options(self) -> Json:
        """DeleteOptions come in the body, or in the query, or half and half."""
        options = dict(self.body) if isinstance(self.body, dict) else {}
        for field_name in ("propagationPolicy", "gracePeriodSeconds"):
            if field_name in self.query:
                options[field_name] = self.query[field_name]
        return options


_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get"}


def parse(
    catalogue: Catalogue, method: str, path: str, query: dict[str, str], body: Any, manager: str
) -> Request:
    """`/apis/GROUP/VERSION[/namespaces/NS]/PLURAL[/NAME[/SUBRESOURCE]]`, or 404."""
    parts = [p for p in path.split("/") if p]
    if parts[:1] == ["api"] and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise NoSuchKind
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 3 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource = catalogue.find(group, version, rest[0])
    proxied = rest[2:3] == ["proxy"]
    if resource is None:
        raise NoSuchKind
    if len(rest) > 3 and not proxied:
        raise no_such_path()
    name, subresource = ([*rest, "", ""])[1:3]
    if resource.plural == "namespaces" and resource.group == "":
        namespace = name
    verb = _VERBS[method]
    if not name:
        verb = {"get": "list", "delete": "deletecollection"}.get(verb, verb)
        if verb == "list" and query.get("watch") in ("1", "true"):
            verb = "watch"
    if resource.namespaced and not namespace and verb not in ("list", "watch"):
        raise no_such_path()
    rest_of_path = "/".join(rest[3:]) if proxied else ""
    return Request(verb, resource, namespace, name, subresource, query, body, manager, path=rest_of_path)
