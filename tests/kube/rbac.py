"""Authentication by bearer token and RBAC as the server's own authorizer evaluates it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from tests.kube.errors import forbidden, unauthorized
from tests.kube.resources import Catalogue
from tests.kube.store import Store

Json = dict[str, Any]
ADMIN_TOKEN = "fake-admin-token"


@dataclass(frozen=True)
class User:
    name: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Access:
    """One question to the authorizer."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def full_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class Authorizer:
    """Tokens, and the Role and ClusterRole objects of the store; `system:masters` may do everything."""

    def __init__(self, store: Store, catalogue: Catalogue):
        self._store, self._catalogue = store, catalogue
        self._tokens = {ADMIN_TOKEN: User("admin", ("system:masters", "system:authenticated"))}

    def issue(self, namespace: str, account: str) -> str:
        """A token of a service account, as the TokenRequest API gives."""
        token = secrets.token_urlsafe(24)
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
        self._tokens[token] = User(f"system:serviceaccount:{namespace}:{account}", groups)
        return token

    def user(self, authorization: str | None) -> User:
        if not authorization:
            return User("system:anonymous", ("system:unauthenticated",))
        token = authorization.removeprefix("Bearer ").strip()
        if token not in self._tokens:
            raise unauthorized()
        return self._tokens[token]

    def check(self, user: User, access: Access) -> None:
        if self.allowed(user, access):
            return
        scope = f'in the namespace "{access.namespace}"' if access.namespace else "at the cluster scope"
        what = f'"{access.name}" is forbidden' if access.name else "is forbidden"
        target = f"{access.resource}.{access.group}" if access.group else access.resource
        said = f'{target} {what}: User "{user.name}" cannot {access.verb} resource "{access.full_resource}"'
        details = {"group": access.group, "kind": access.resource, "name": access.name}
        raise forbidden(
            f'{said} in API group "{access.group}" {scope}', {k: v for k, v in details.items() if v}
        )

    def allowed(self, user: User, access: Access) -> bool:
        if "system:masters" in user.groups:
            return True
        if access.group == "authorization.k8s.io" and access.resource.startswith("selfsubject"):
            return "system:authenticated" in user.groups  # system:basic-user
        return any(_rule_allows(rule, access) for rule in self._rules(user, access.namespace))

    def _rules(self, user: User, namespace: str) -> list[Json]:
        rules: list[Json] = []
        cluster = self._catalogue.builtin("clusterrolebindings")
        bindings = [s.obj for s in self._store.list(cluster)]
        if namespace:
            bindings += [s.obj for s in self._store.list(self._catalogue.builtin("rolebindings"), namespace)]
        for binding in bindings:
            where = binding["metadata"].get("namespace", "")
            if any(_is_subject(s, user, where) for s in binding.get("subjects") or ()):
                ref = binding["roleRef"]
                if ref["kind"] == "Role":
                    role = self._store.get(self._catalogue.builtin("roles"), (where, ref["name"]))
                else:
                    role = self._store.get(self._catalogue.builtin("clusterroles"), ("", ref["name"]))
                rules += (role.obj.get("rules") or []) if role else []
        return rules


def _is_subject(subject: Json, user: User, namespace: str) -> bool:
    match subject["kind"]:
        case "ServiceAccount":
            return (
                user.name == f"system:serviceaccount:{subject.get('namespace', namespace)}:{subject['name']}"
            )
        case "User":
            return user.name == subject["name"]
        case "Group":
            return subject["name"] in user.groups
    return False


def _rule_allows(rule: Json, access: Access) -> bool:
    def has(field: str, *values: str) -> bool:
        return any(v in (rule.get(field) or ()) for v in ("*", *values))

    resources = [access.full_resource] + ([f"*/{access.subresource}"] if access.subresource else [])
    if not (has("verbs", access.verb) and has("apiGroups", access.group) and has("resources", *resources)):
        return False
    names = rule.get("resourceNames")
    return not names or access.name in names


def review(authorizer: Authorizer, user: User, body: Json) -> Json:
    """SelfSubjectAccessReview."""
    asked = body["spec"].get("resourceAttributes") or {}
    access = Access(
        verb=asked.get("verb", ""),
        group=asked.get("group", ""),
        resource=asked.get("resource", ""),
        namespace=asked.get("namespace", ""),
        name=asked.get("name", ""),
        subresource=asked.get("subresource", ""),
    )
    return {**body, "status": {"allowed": authorizer.allowed(user, access)}}
