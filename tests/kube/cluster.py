"""The cluster that tests run against: the fake by default, the one that KUBECONFIG names when it is set.

One handle for both, so the same test functions hold both to the same behaviour.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coref_k8s.cluster.errors import AlreadyExists, NotFound
from coref_k8s.cluster.resources import NODES
from tests.kube.api import AdminApi
from tests.kube.objects import NAMESPACES, ROLE_BINDINGS, ROLES, SERVICE_ACCOUNTS
from tests.kube.server import FakeApiServer

Json = dict[str, Any]


class KubeCluster:
    """A cluster to test against; `fake` is None on a real one."""

    def __init__(self, kubeconfig: Path, fake: FakeApiServer | None):
        self.kubeconfig, self.fake = kubeconfig, fake
        self.admin = self.connect(field_manager="test")
        self._config = json.loads(kubeconfig.read_text()) if fake else None

    @property
    def real(self) -> bool:
        return self.fake is None

    def connect(self, **options: Any) -> AdminApi:
        return AdminApi.connect(kubeconfig=str(self.kubeconfig), **options)

    def has_kubelets(self) -> bool:
        """Whether real nodes run pods here; else the stand-in kubelet has to."""
        nodes, _ = self.admin.list(NODES)
        return any("stand-in" not in n["metadata"].get("labels", {}) for n in nodes)

    def make_namespace(self, prefix: str = "test") -> str:
        name = f"{prefix}-{uuid.uuid4().hex[:8]}"
        self.admin.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        wait_for(lambda: self._exists(SERVICE_ACCOUNTS, "default", name), "the namespace's service account")
        return name

    def remove_namespace(self, name: str) -> None:
        try:
            self.admin.delete(NAMESPACES, name)
        except NotFound:
            return

    def as_service_account(self, namespace: str, name: str, rules: list[Json], **options: Any) -> AdminApi:
        """A connection with exactly the rights of a Role of these rules, in `namespace` only."""
        meta = {"name": name, "namespace": namespace}
        self._ensure(SERVICE_ACCOUNTS, {"metadata": meta})
        self._ensure(ROLES, {"metadata": meta, "rules": rules})
        subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        self._ensure(ROLE_BINDINGS, {"metadata": meta, "subjects": [subject], "roleRef": ref})
        return self.with_token(self.token(namespace, name), namespace=namespace, **options)

    def token(self, namespace: str, account: str) -> str:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        path = {"namespace": namespace, "name": account, "subresource": "token"}
        answer = self.admin.create(SERVICE_ACCOUNTS, body, strict=False, **path)
        return str(answer["status"]["token"])

    def with_token(self, token: str, **options: Any) -> AdminApi:
        from kubernetes import client

        settings = client.Configuration()
        known = self.admin.official.configuration
        settings.host, settings.ssl_ca_cert, settings.verify_ssl = (
            known.host,
            known.ssl_ca_cert,
            known.verify_ssl,
        )
        settings.api_key["authorization"] = f"Bearer {token}"
        return AdminApi(client.ApiClient(settings), **options)

    def kubeconfig_of(self, namespace: str, account: str) -> Json:
        """The kubeconfig of a service account."""
        known = self.admin.official.configuration
        cluster = {"server": known.host}
        if known.ssl_ca_cert:
            cluster["certificate-authority"] = known.ssl_ca_cert
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": self.token(namespace, account)}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "c",
        }

    def _ensure(self, resource: Any, body: Json) -> None:
        try:
            self.admin.create(resource, {"apiVersion": resource.api_version, "kind": resource.kind, **body})
        except AlreadyExists:
            self.admin.replace(resource, {"apiVersion": resource.api_version, "kind": resource.kind, **body})

    def _exists(self, resource: Any, name: str, namespace: str) -> bool:
        try:
            self.admin.get(resource, name, namespace)
        except NotFound:
            return False
        return True


def open_cluster(directory: Path) -> KubeCluster:
    """The cluster that KUBECONFIG names, or a fresh fake whose kubeconfig is written to `directory`."""
    if named := os.environ.get("KUBECONFIG"):
        return KubeCluster(Path(named), None)
    fake = FakeApiServer()
    path = directory / "kubeconfig"
    path.write_text(json.dumps(fake.kubeconfig()))
    return KubeCluster(path, fake)


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 120.0) -> Any:
    """The first true value of `condition`, polled; AssertionError with `what` after `seconds`.

    An object that is not there is "not yet": what one look has listed, a controller may replace before the next.
    """
    deadline = time.monotonic() + seconds
    while True:
        missing: NotFound | None = None
        try:
            if value := condition():
                return value
        except NotFound as error:
            missing = error
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}") from missing
        time.sleep(0.05)
