"""The fake API server's HTTP side: paths to verbs, authorization, watches, logs, and injected faults.

`FakeApiServer` listens on a free loopback port and speaks plain HTTP/1.1 with bearer tokens.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.kube import discovery, errors, subresources
from tests.kube.collector import Collector
from tests.kube.errors import ApiError
from tests.kube.faults import Faults
from tests.kube.jobs import JobController
from tests.kube.podgc import PodGarbageCollector
from tests.kube.rbac import ADMIN_TOKEN, Access, Authorizer, User
from tests.kube.registry import Registry
from tests.kube.request import Request, parse
from tests.kube.watch import Watch

Json = dict[str, Any]
#: A real server sends bookmarks about once a minute; tests want to see some.
BOOKMARK_SECONDS = 2.0


class FakeApiServer:
    """Registry, authorizer, controllers and HTTP server together; a context manager.

    `job_backoff_seconds` before the first replacement of a failed pod is 10 on a real cluster.
    """

    def __init__(self, job_backoff_seconds: float = 0.2) -> None:
        self.registry = Registry()
        self.authorizer = Authorizer(self.registry.store, self.registry.catalogue)
        self.faults = Faults()
        self.bookmark_seconds = BOOKMARK_SECONDS
        #: (method, path without query) of every request answered, for tests that count.
        self.requests: list[tuple[str, str]] = []
        #: What a real cluster's controller manager runs.
        self.controllers = [
            Collector(self.registry),
            JobController(self.registry, job_backoff_seconds),
            PodGarbageCollector(self.registry),
        ]
        self.stopped = False
        self._open: set[socket.socket] = set()
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.fake = self
        threading.Thread(target=self._http.serve_forever, args=(0.05,), name="fake-api", daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def kubeconfig(self, token: str = ADMIN_TOKEN, namespace: str = "default") -> Json:
        """A kubeconfig as a dict; write it as JSON (it is YAML too)."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [
                {"name": "fake", "context": {"cluster": "fake", "user": "user", "namespace": namespace}}
            ],
            "current-context": "fake",
        }

    def close(self) -> None:
        self.stopped = True
        self._http.shutdown()
        self.cut_connections()
        self._http.server_close()
        for controller in self.controllers:
            controller.close()

    def cut_connections(self) -> None:
        """Drop every open connection, watches too, as a restarted server does."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> FakeApiServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    fake: FakeApiServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.fake = self.server.fake
        self.fake._open.add(self.connection)

    def finish(self) -> None:
        self.fake._open.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else b""
        fault = self.fake.faults.take(self.command, self.path, "error", "cut")
        if fault and fault.kind == "cut":
            self._cut()
            return
        try:
            if fault:
                raise fault.answer()
            self._answer(raw)
        except ApiError as error:
            self._send(error.code, error.status(), **error.headers)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _answer(self, raw: bytes) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        self.fake.requests.append((self.command, url.path))
        user = self.fake.authorizer.user(self.headers.get("Authorization"))
        if (found := discovery.answer(self.fake.registry.catalogue, url.path)) is not None:
            self._send(200, found)
            return
        body = _decode(raw, self.headers.get("Content-Type", ""))
        if url.path.startswith("/apis/authorization.k8s.io/"):
            self._send(201, subresources.access_review(self.fake.authorizer, user, url.path, body))
            return
        request = parse(
            self.fake.registry.catalogue, self.command, url.path, query, body, self._manager(query)
        )
        self._authorize(user, request)
        if request.verb == "watch":
            self._watch(request)
        elif request.subresource == "log":
            self._logs(request)
        else:
            code, answer = self._perform(request)
            if self.fake.faults.take(self.command, self.path, "lost"):
                self._cut()
                return
            self._send(code, answer, **request.answer_headers)

    def _manager(self, query: dict[str, str]) -> str:
        return query.get("fieldManager") or self.headers.get("User-Agent", "unknown").split("/")[0]

    def _authorize(self, user: User, request: Request) -> None:
        resource = request.resource
        access = Access(
            request.verb,
            resource.group,
            resource.plural,
            request.namespace,
            request.name,
            request.subresource,
        )
        self.fake.authorizer.check(user, access)

    def _perform(self, request: Request) -> tuple[int, Json | bytes]:
        registry, resource = self.fake.registry, request.resource
        if request.subresource not in ("", "status"):
            return subresources.perform(registry, self.fake.authorizer, request)
        if request.subresource == "status" and not resource.has_status:
            raise errors.no_such_path()
        match request.verb:
            case "get":
                return 200, registry.get(resource, request.namespace, request.name).body
            case "list":
                items, meta = registry.list(resource, request.namespace, request.query)
                return 200, _list_body(resource.kind, resource.api_version, meta, [s.body for s in items])
            case "create":
                return 201, registry.create(
                    resource, request.namespace, request.body, **request.options()
                ).body
            case "update":
                place = resource, request.namespace, request.name
                return 200, registry.update(*place, lambda _: request.body, **request.write_options()).body
            case "patch":
                return self._patch(request)
            case "delete":
                return self._delete(request)
            case "deletecollection":
                items, meta = registry.list(resource, request.namespace, request.query)
                for item in items:
                    with contextlib.suppress(ApiError):
                        where = item.obj["metadata"].get("namespace", ""), item.obj["metadata"]["name"]
                        registry.delete(resource, *where, request.delete_options())
                return 200, _list_body(resource.kind, resource.api_version, meta, [s.body for s in items])
        raise errors.ApiError(
            405, "MethodNotAllowed", "the server does not allow this method on the resource"
        )

    def _patch(self, request: Request) -> tuple[int, bytes]:
        kind = self.headers.get("Content-Type", "").split(";")[0]
        place = request.resource, request.namespace, request.name
        if kind not in ("application/apply-patch+yaml", "application/apply-patch+cbor"):
            return 200, self.fake.registry.patch(*place, kind, request.body, **request.write_options()).body
        if "fieldManager" not in request.query:
            why = [("fieldManager", "Required value: is required for apply patch")]
            raise errors.invalid("PatchOptions.meta.k8s.io", "", why)
        force = request.query.get("force") == "true"
        stored, created = self.fake.registry.apply(
            *place, request.body, force=force, **request.write_options()
        )
        return (201 if created else 200), stored.body

    def _delete(self, request: Request) -> tuple[int, Json | bytes]:
        resource, options = request.resource, request.delete_options()
        if resource.qualified == "jobs.batch" and "propagationPolicy" not in options:
            text = (
                "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background"
            )
            request.answer_headers["Warning"] = (
                f'299 - "{text} to remove them or Orphan to suppress this warning"'
            )
        stored, gone = self.fake.registry.delete(
            resource, request.namespace, request.name, options, dry_run=request.dry_run
        )
        if not gone or resource.plural == "pods":
            return 200, stored.body
        details = {"name": request.name, "group": resource.group, "kind": resource.plural}
        details["uid"] = stored.obj["metadata"]["uid"]
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return 200, status | {"details": {k: v for k, v in details.items() if v}}

    def _watch(self, request: Request) -> None:
        watch = Watch(
            self.fake.registry, request.resource, request.namespace, request.query, self.fake.bookmark_seconds
        )
        self._start_chunks("application/json;stream=watch")
        stall = self.fake.faults.take(self.command, self.path, "stall")
        while stall and not self.fake.stopped and self._client_is_there():
            time.sleep(0.05)
        for chunk in watch.lines(lambda: self.fake.stopped):
            if chunk:
                self._chunk(chunk)
            elif not self._client_is_there():
                self.close_connection = True
                return
            if self.fake.faults.take(self.command, self.path, "drop"):
                self._cut()
                return
        self._end_chunks()

    def _logs(self, request: Request) -> None:
        chunks = subresources.logs(self.fake.registry, request)
        first = next(chunks, b"")  # an error must come before the headers
        self._start_chunks("text/plain")
        for chunk in (first, *()) if not first else _chain(first, chunks):
            if chunk:
                self._chunk(chunk)
        self._end_chunks()

    def _client_is_there(self) -> bool:
        try:
            return self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _start_chunks(self, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _end_chunks(self) -> None:
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, code: int, body: Any, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        text = isinstance(body, str)
        self.send_response(code)
        self.send_header("Content-Type", "text/plain" if text else "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()


def _chain(first: bytes, rest: Any) -> Any:
    yield first
    yield from rest


def _decode(raw: bytes, content_type: str) -> Any:
    if not raw:
        return None
    if "protobuf" in content_type or "cbor" in content_type:
        raise ApiError(
            415, "UnsupportedMediaType", f"the body of the request was in an unknown format: {content_type}"
        )
    try:
        if "yaml" in content_type and not raw.lstrip().startswith((b"{", b"[")):
            import yaml

            return yaml.safe_load(raw)
        return json.loads(raw)
    except ValueError as error:
        raise errors.bad_request(f"error decoding request body: {error}") from None


def _list_body(kind: str, api_version: str, meta: Json, bodies: list[bytes]) -> bytes:
    head = json.dumps({"kind": kind + "List", "apiVersion": api_version, "metadata": meta})
    return head[:-1].encode() + b',"items":[' + b",".join(bodies) + b"]}"
