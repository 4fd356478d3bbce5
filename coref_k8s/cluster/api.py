"""The Kubernetes API as raw JSON, over the official client's configuration, TLS and authentication.

Objects are plain dicts. Every call has time-outs, maps refusals to `cluster.errors`, waits as a 429 asks,
and is counted by `on_request`. No typed models: decoding them costs several times the request
(docs/decisions/003-own-reflector.md).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import urlencode

import urllib3

from coref_k8s.cluster.connection import connect
from coref_k8s.cluster.errors import ApiRefusal, UnreachableError, refusal
from coref_k8s.cluster.resources import ACCESS_REVIEWS, PODS, SERVICES, Resource

Json = dict[str, Any]
#: Called once an answer (or its absence, code 0) is known: verb, plural, HTTP code, seconds.
RequestHook = Callable[[str, str, int, float], None]

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
#: Objects in one page of a list.
PAGE = 500
#: A 429 (priority and fairness) means "not done, come back": how often we do, within one call.
THROTTLED_RETRIES = 5
MERGE_PATCH, APPLY_PATCH = "application/merge-patch+json", "application/apply-patch+yaml"


class Call(NamedTuple):
    """One request."""

    verb: str
    """As the API's roles have it: get, list, watch, create, …"""
    resource: Resource
    method: str
    path: str
    query: Json | None = None
    body: Any = None
    content_type: str = "application/json"
    stream: float | bool | None = False
    """False for a whole answer, else the read time-out of the stream (seconds)."""


class ClusterApi:
    """One connection pool to one API server; safe to use from several threads."""

    def __init__(
        self,
        api_client: Any,
        *,
        namespace: str = "default",
        field_manager: str = "coref-k8s",
        on_request: RequestHook | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.namespace, self.field_manager = namespace, field_manager
        self.on_request: RequestHook = on_request or (lambda verb, plural, code, seconds: None)
        self._client, self._sleep = api_client, sleep

    @classmethod
    def connect(cls, context: str | None = None, kubeconfig: str | None = None, **options: Any) -> ClusterApi:
        """Connect as `connection.connect` finds the server; `options` as for the constructor."""
        client, namespace = connect(context, kubeconfig)
        return cls(client, **{"namespace": namespace} | options)

    @property
    def official(self) -> Any:
        """The official `ApiClient`, for parts used as they are (the Lease lock)."""
        return self._client

    def close(self) -> None:
        """Close pooled connections."""
        self._client.rest_client.pool_manager.clear()

    # Reading

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Json:
        """One object; `NotFound` when it is not there."""
        return self._json(Call("get", resource, "GET", resource.path(self._in(resource, namespace), name)))

    def list_page(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        limit: int = PAGE,
        token: str = "",
        all_namespaces: bool = False,
    ) -> tuple[list[Json], Json]:
        """One page: (items with apiVersion and kind, the list's metadata)."""
        query = {"labelSelector": labels, "fieldSelector": fields, "limit": limit, "continue": token}
        path = resource.path(None if all_namespaces else self._in(resource, namespace))
        answer = self._json(Call("list", resource, "GET", path, query))
        stamp = {"apiVersion": resource.api_version, "kind": resource.kind}
        return [{**stamp, **item} for item in answer.get("items") or ()], answer["metadata"]

    def list(
        self, resource: Resource, namespace: str | None = None, **options: Any
    ) -> tuple[list[Json], str]:
        """All pages: (items, resourceVersion to watch from). `Expired` when paging took too long."""
        items: list[Json] = []
        token = ""
        while True:
            page, metadata = self.list_page(resource, namespace, token=token, **options)
            items += page
            token = metadata.get("continue") or ""
            if not token:
                return items, metadata["resourceVersion"]

    def watch(
        self,
        resource: Resource,
        namespace: str | None,
        resource_version: str,
        *,
        labels: str = "",
        fields: str = "",
        timeout_seconds: int = 300,
        silence_seconds: float = 150.0,
        all_namespaces: bool = False,
        opened: Callable[[Any], None] | None = None,
    ) -> Iterator[Json]:
        """Watch events, bookmarks among them, until the server's `timeout_seconds` end the stream.

        `silence_seconds` without a byte (bookmarks come about every minute) raise `UnreachableError`;
        `opened` is handed the raw response, whose `shutdown()` ends the stream from another thread.
        An ERROR event is raised as the refusal it carries: `Expired` for a compacted version.
        """
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": timeout_seconds,
            "labelSelector": labels,
            "fieldSelector": fields,
        }
        path = resource.path(None if all_namespaces else self._in(resource, namespace))
        response = self._send(Call("watch", resource, "GET", path, query, stream=silence_seconds))
        if opened:
            opened(response)
        with closing(_lines(response, "cluster.watch-broke-off", plural=resource.plural)) as lines:
            for line in lines:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise refusal(status.get("code", 500), status, None, f"watch {resource.plural}")
                yield event

    def logs(
        self,
        pod: str,
        namespace: str | None = None,
        *,
        container: str = "",
        follow: bool = False,
        tail_lines: int | None = None,
    ) -> Iterator[str]:
        """A pod's log, line by line; with `follow`, until the container ends."""
        query = {"container": container, "follow": "true" if follow else "", "tailLines": tail_lines}
        path = PODS.path(self._in(PODS, namespace), pod, "log")
        stream = None if follow else READ_SECONDS
        response = self._send(Call("logs", PODS, "GET", path, query, stream=stream))
        with closing(_lines(response, "cluster.log-broke-off", pod=pod)) as lines:
            for line in lines:
                yield line.decode(errors="replace")

    # Writing

    def create(
        self, resource: Resource, body: Json, namespace: str | None = None, *, dry_run: bool = False
    ) -> Json:
        """Create; `AlreadyExists` when the name is taken. Fields that the server does not know are refused."""
        query = {"fieldManager": self.field_manager, "fieldValidation": "Strict"}
        query |= {"dryRun": "All"} if dry_run else {}
        return self._json(
            Call("create", resource, "POST", resource.path(self._in(resource, namespace, body)), query, body)
        )

    def patch(self, resource: Resource, name: str, body: Json, namespace: str | None = None) -> Json:
        """A merge patch."""
        path = resource.path(self._in(resource, namespace), name)
        return self._json(
            Call("patch", resource, "PATCH", path, {"fieldManager": self.field_manager}, body, MERGE_PATCH)
        )

    def apply_status(self, resource: Resource, body: Json) -> Json:
        """Server-side apply of a status, whoever owns it; fields we applied before and left out now are given up."""
        return self._apply(resource, body, None, "status", force=True)

    def _apply(
        self, resource: Resource, body: Json, namespace: str | None, subresource: str | None, *, force: bool
    ) -> Json:
        query = {"fieldManager": self.field_manager, "force": "true" if force else "false"}
        path = resource.path(self._in(resource, namespace, body), body["metadata"]["name"], subresource)
        return self._json(Call("apply", resource, "PATCH", path, query, body, APPLY_PATCH))

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
    ) -> Json:
        """Delete, dependents too; with `uid`, only that very object (`Conflict` when another took its name)."""
        # left to the server, the pods of a Job would be orphaned
        return self._delete(resource, name, namespace, uid=uid, propagationPolicy="Background")

    def _delete(
        self, resource: Resource, name: str, namespace: str | None, *, uid: str | None, **options: Any
    ) -> Json:
        options |= {"preconditions": {"uid": uid}} if uid else {}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options}
        path = resource.path(self._in(resource, namespace), name)
        return self._json(Call("delete", resource, "DELETE", path, body=body))

    def can_i(
        self,
        verb: str,
        resource: Resource,
        namespace: str | None = None,
        *,
        subresource: str = "",
        name: str = "",
    ) -> bool:
        """Whether the caller may do that (SelfSubjectAccessReview)."""
        attributes = {
            "verb": verb,
            "group": resource.group,
            "resource": resource.plural,
            "subresource": subresource,
            "name": name,
            "namespace": self._in(resource, namespace) or "",
        }
        body = {
            "apiVersion": ACCESS_REVIEWS.api_version,
            "kind": ACCESS_REVIEWS.kind,
            "spec": {"resourceAttributes": attributes},
        }
        answer = self._json(Call("create", ACCESS_REVIEWS, "POST", ACCESS_REVIEWS.path(), body=body))
        return bool(answer["status"].get("allowed"))

    def proxied(self, service: str, path: str, namespace: str | None = None) -> bytes:
        """What a service (`name:port`) answers to a GET of `path`, asked through the API server."""
        where = self._in(SERVICES, namespace)
        url = f"{SERVICES.path(where, service, 'proxy')}/{path.lstrip('/')}"
        return bytes(self._send(Call("get", SERVICES, "GET", url)).data)

    def version(self) -> str:
        """The server's version, such as `v1.36.2`; also the cheapest proof that it is reachable."""
        resource = Resource("", "", "version", "Version", False)
        return str(self._json(Call("get", resource, "GET", "/version"))["gitVersion"])

    # The wire

    def _in(self, resource: Resource, namespace: str | None, body: Json | None = None) -> str | None:
        if not resource.namespaced:
            return None
        return namespace or (body or {}).get("metadata", {}).get("namespace") or self.namespace

    def _json(self, call: Call) -> Json:
        return json.loads(self._send(call).data)

    def _send(self, call: Call) -> Any:
        for attempt in range(THROTTLED_RETRIES + 1):
            try:
                return self._once(call)
            except ApiRefusal as error:
                if error.code != 429 or error.retry_after is None or attempt == THROTTLED_RETRIES:
                    raise
                self._sleep(error.retry_after)
        raise AssertionError("unreachable")

    def _once(self, call: Call) -> Any:
        configuration = self._client.configuration
        headers = dict(self._client.default_headers) | {
            "Accept": "application/json",
            "User-Agent": self.field_manager,
        }
        for setting in configuration.auth_settings().values():
            headers[setting["key"]] = setting["value"]
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        given = {k: v for k, v in (call.query or {}).items() if v not in ("", None)}
        url = configuration.host + call.path + ("?" + urlencode(given) if given else "")
        read = READ_SECONDS if call.stream is False else call.stream
        started, code = time.monotonic(), 0
        try:
            response = self._client.rest_client.pool_manager.request(
                call.method,
                url,
                body=None if call.body is None else json.dumps(call.body),
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=read),
                retries=False,
                preload_content=call.stream is False,
            )
            code = response.status
        except (urllib3.exceptions.HTTPError, OSError) as error:
            host, plural = configuration.host, call.resource.plural
            raise UnreachableError(
                "cluster.unreachable", host=host, verb=call.verb, plural=plural, why=str(error)
            ) from error
        finally:
            self.on_request(call.verb, call.resource.plural, code, time.monotonic() - started)
        if code >= 400:
            raise _refused(response, f"{call.verb} {call.path}")
        return response


def _refused(response: Any, action: str) -> ApiRefusal:
    raw = response.data
    try:
        status = json.loads(raw)
    except ValueError:
        status = {"message": raw.decode(errors="replace")[:200]}
    return refusal(response.status, status, response.headers.get("Retry-After"), action)


def _lines(response: Any, broke_off: str, **values: str) -> Generator[bytes, None, None]:
    """Whole lines of a stream; a part of a line waits for its rest. Raises UnreachableError (`broke_off`) when it is cut."""
    pending: list[bytes] = []
    try:
        for chunk in response.stream(None):
            *whole, rest = chunk.split(b"\n")
            for line in whole:
                pending.append(line)
                joined = b"".join(pending)
                pending.clear()
                if joined:
                    yield joined
            pending.append(rest)
        if last := b"".join(pending):
            yield last
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UnreachableError(broke_off, why=str(error), **values) from error
    finally:
        response.close()
