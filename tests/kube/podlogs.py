"""The kubelet's log endpoint: `/containerLogs/NAMESPACE/POD/CONTAINER?follow&tailLines`, read from files.

Plain HTTP for the fake API server; HTTPS with a certificate of its own for a real one, which insists on it.
"""

from __future__ import annotations

import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

#: Finds a container's log: (namespace, pod, container) → (file, whether it still runs), or why there is none yet.
Find = Callable[[str, str, str], tuple[Path, Callable[[], bool]] | str]


def read(path: Path, is_running: Callable[[], bool], query: dict[str, str]) -> Iterator[bytes]:
    """The log in chunks; with follow, until the container has ended and all is read."""
    position = 0
    data = path.read_bytes() if path.exists() else b""
    if "tailLines" in query:
        count = int(query["tailLines"])
        lines = data.splitlines(keepends=True)
        position = len(data) - sum(map(len, lines[-count:] if count else []))
    while True:
        alive = query.get("follow") == "true" and is_running()
        if path.exists():
            with path.open("rb") as file:
                file.seek(position)
                chunk = file.read()
            position += len(chunk)
            if chunk:
                yield chunk
        if not alive:
            return
        time.sleep(0.05)


class LogServer:
    """Listens on a free loopback port."""

    def __init__(self, find: Find, tls_directory: Path | None = None):
        handler = type("Handler", (_Handler,), {"find": staticmethod(find)})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        if tls_directory:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*_certificate(tls_directory))
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.port: int = self._http.server_address[1]
        threading.Thread(
            target=self._http.serve_forever, args=(0.05,), daemon=True, name="kubelet-logs"
        ).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _certificate(directory: Path) -> tuple[Path, Path]:
    directory.mkdir(parents=True, exist_ok=True)
    certificate, key = directory / "kubelet.crt", directory / "kubelet.key"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=stand-in",
    ]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


class _Handler(BaseHTTPRequestHandler):
    find: Find
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        found = self.find(*parts[1:4]) if len(parts) == 4 and parts[0] == "containerLogs" else "no such path"
        if isinstance(found, str):
            body = found.encode()
            self.send_response(400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in read(*found, dict(parse_qsl(url.query))):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")
