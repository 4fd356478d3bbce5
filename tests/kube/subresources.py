"""Subresources and virtual resources: binding, eviction, logs, service account tokens, access reviews."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from tests.kube import rbac, strategies
from tests.kube.errors import ApiError, bad_request, no_such_path, not_found
from tests.kube.registry import Registry
from tests.kube.request import Request
from tests.kube.store import now

Json = dict[str, Any]
_SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def access_review(authorizer: rbac.Authorizer, user: rbac.User, path: str, body: Json) -> Json:
    if path.endswith("/selfsubjectaccessreviews"):
        return rbac.review(authorizer, user, body)
    raise no_such_path()


def perform(registry: Registry, authorizer: rbac.Authorizer, request: Request) -> tuple[int, Json | bytes]:
    match request.resource.plural, request.subresource, request.verb:
        case "pods", "binding", "create":
            return 201, _bind(registry, request)
        case "pods", "eviction", "create":
            return 201, _evict(registry, request)
        case "services", "proxy", "get":
            return proxy(registry, request)
        case "serviceaccounts", "token", "create":
            registry.get(request.resource, request.namespace, request.name)
            token = authorizer.issue(request.namespace, request.name)
            return 201, {
                **request.body,
                "status": {"token": token, "expirationTimestamp": "2099-01-01T00:00:00Z"},
            }
    raise no_such_path()


def _bind(registry: Registry, request: Request) -> Json:
    """What the scheduler does: spec.nodeName and the PodScheduled condition."""
    node = request.body["target"]["name"]

    def bound(pod: Json) -> Json:
        if refusal := strategies.refuse_binding(pod):
            raise refusal
        pod["spec"]["nodeName"] = node
        return with_condition(pod, "PodScheduled", "True")

    _rewrite(registry, request, bound)
    return _SUCCESS


def _evict(registry: Registry, request: Request) -> Json:
    """DisruptionTarget first, then an ordinary graceful delete; a finished pod is only deleted."""
    pod = registry.get(request.resource, request.namespace, request.name).obj
    if (
        pod["status"].get("phase") not in ("Succeeded", "Failed")
        and "deletionTimestamp" not in pod["metadata"]
    ):
        message = "Eviction API: evicting"
        _rewrite(
            registry,
            request,
            lambda p: with_condition(p, "DisruptionTarget", "True", "EvictionByEvictionAPI", message),
        )
    registry.delete(request.resource, request.namespace, request.name, request.body.get("deleteOptions"))
    return _SUCCESS


def proxy(registry: Registry, request: Request) -> tuple[int, bytes]:
    """A GET passed on to a pod behind a service, named `NAME:PORT` by the port's number or name.

    As a real server: the addresses are those of the Endpoints, and only of pods that exist and have that IP.
    """
    name, _, port = request.name.partition(":")
    endpoints, place = registry.resource("endpoints"), request.namespace
    if port.isdigit():
        service = registry.get(request.resource, place, name).obj
        known = {str(p["port"]): p.get("name", "") for p in service["spec"].get("ports") or ()}
        if port not in known:
            raise ApiError(503, "ServiceUnavailable", f'no service port {port} found for service "{name}"')
        port = known[port]
    try:
        subsets = registry.get(endpoints, place, name).obj.get("subsets") or ()
    except ApiError:
        raise not_found("services", name) from None
    for subset in subsets:
        for found in (p for p in subset.get("ports") or () if p.get("name", "") == port):
            for address in subset.get("addresses") or ():
                if _is_pod(registry, address):
                    return _pass_on(address["ip"], found["port"], request)
    raise ApiError(503, "ServiceUnavailable", f'no endpoints available for service "{request.name}"')


def _is_pod(registry: Registry, address: Json) -> bool:
    ref = address.get("targetRef") or {}
    if ref.get("kind") != "Pod":
        return False
    try:
        pod = registry.get(registry.resource("pods"), ref["namespace"], ref["name"]).obj
    except ApiError:
        return False
    ips = [entry["ip"] for entry in (pod.get("status") or {}).get("podIPs") or ()]
    return address["ip"] in [*ips, (pod.get("status") or {}).get("podIP")]


def _pass_on(host: str, port: int, request: Request) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, port, timeout=30)
    with contextlib.closing(connection):
        try:
            connection.request("GET", f"/{request.path}?{urlencode(request.query)}")
            response = connection.getresponse()
            return response.status, response.read()
        except OSError as error:
            text = f"error trying to reach service: {error}"
            raise ApiError(503, "ServiceUnavailable", text) from None


def _rewrite(registry: Registry, request: Request, change: Any) -> None:
    """A write to spec and status at once, which only the server itself may do."""
    with registry.store.lock:
        pod = registry.get(request.resource, request.namespace, request.name).obj
        new = change({**pod, "spec": dict(pod["spec"]), "status": dict(pod.get("status") or {})})
        registry.store.put(request.resource, (request.namespace, request.name), new)


def with_condition(obj: Json, kind: str, status: str, reason: str = "", message: str = "") -> Json:
    """`obj` with one status condition set; its transition time moves only when the status does."""
    conditions = list(obj["status"].get("conditions") or ())
    old = next((c for c in conditions if c["type"] == kind), None)
    condition = {"type": kind, "status": status, "lastTransitionTime": now()}
    if old and old["status"] == status:
        condition["lastTransitionTime"] = old["lastTransitionTime"]
    condition |= {k: v for k, v in (("reason", reason), ("message", message)) if v}
    others = [c for c in conditions if c["type"] != kind]
    return {**obj, "status": {**obj["status"], "conditions": [*others, condition]}}


def logs(registry: Registry, request: Request) -> Iterator[bytes]:
    """Proxied from the kubelet of the pod's node, as a real server does."""
    pod = registry.get(request.resource, request.namespace, request.name).obj
    names = [c["name"] for c in pod["spec"]["containers"]]
    container = request.query.get("container") or names[0]
    if "container" not in request.query and len(names) > 1:
        choices = " ".join(names)
        raise bad_request(
            f"a container name must be specified for pod {request.name}, choose one of: [{choices}]"
        )
    if container not in names + [c["name"] for c in pod["spec"].get("initContainers") or ()]:
        raise bad_request(f"container {container} is not valid for pod {request.name}")
    node_name = pod["spec"].get("nodeName")
    if not node_name:
        return
    node = registry.get(registry.resource("nodes"), "", node_name).obj
    address = node["status"]["addresses"][0]["address"]
    port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    query = {
        k: v for k, v in request.query.items() if k in ("follow", "tailLines", "timestamps", "limitBytes")
    }
    connection = http.client.HTTPConnection(address, port, timeout=60)
    with contextlib.closing(connection):
        path = f"/containerLogs/{request.namespace}/{request.name}/{container}?{urlencode(query)}"
        try:
            connection.request("GET", path)
            response = connection.getresponse()
        except OSError as error:
            raise ApiError(500, "InternalError", f"Get {path}: {error}") from None
        if response.status != 200:
            reason = "BadRequest" if response.status == 400 else "NotFound"
            raise ApiError(response.status, reason, response.read().decode())
        while chunk := response.read1(65536):
            yield chunk
