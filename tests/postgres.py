"""A real Postgres server for the tests: one throwaway server a session, on loopback, in a temporary folder.

It refuses to run as root, so as root it runs as the user `postgres` that the package makes.
A missing server is an error with the command that installs it, never a skip.
"""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ports import free_port

_numbers = itertools.count()


def binaries() -> Path:
    """Return the folder of initdb and postgres."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not installed:
        raise RuntimeError("the tests need a Postgres server; run tests/install-services.sh")
    return installed[-1].parent


class Server:
    """A running server; `stop` and `start` make it go away and come back with its data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as_user:
            shutil.chown(folder, "postgres")
        self._run(
            "initdb", "-D", str(folder / "data"), "-U", "coref", "--auth=trust", "--no-sync", "-E", "UTF8"
        )
        self.start()

    def start(self, *more: str) -> None:
        """Start, with more options, and wait until it answers."""
        # a throwaway database: durability off, so that tests measure our code and not the disk
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} "
            f"-c fsync=off -c full_page_writes=off -c max_connections=200 {shlex.join(more)}"
        )
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-l", log, "-o", options, "-w", "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it as a crash does (`immediate`) or orderly (`fast`)."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", mode, "-w", "stop")

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"coref_{os.getpid()}_{next(_numbers)}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "coref", name)
        return f"postgresql+psycopg2://coref:secret-word@127.0.0.1:{self.port}/{name}"

    def set_password(self, password: str) -> None:
        """Give the user a password, for a `pg_hba.conf` that asks for one."""
        statement = f"ALTER USER coref PASSWORD '{password}'"
        self._run(
            "psql", "-h", str(self.folder), "-p", str(self.port), "-U", "coref", "-c", statement, "postgres"
        )

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return the command line of one of Postgres's programs."""
        return [*self._as_user, str(binaries() / program), *arguments]

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            self.command(program, *arguments),
            cwd=self.folder,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program != "pg_ctl" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        if done.returncode:
            log = self.folder / "log"
            text = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise RuntimeError(f"{program} failed: {done.stdout}\n{text}")


@contextmanager
def running_server() -> Iterator[Server]:
    """Yield a server; it and its folder are gone afterwards."""
    # short: the path of its socket may have 107 characters
    folder = Path(tempfile.mkdtemp(prefix="coref-pg-", dir="/tmp"))
    server = Server(folder)
    with _cleaned_up(server):
        yield server


@contextmanager
def _cleaned_up(server: Server) -> Iterator[None]:
    """Let a process of its own stop the server and remove its folder when we are gone, however we went."""
    folder = shlex.quote(str(server.folder))
    stop = shlex.join(server.command("pg_ctl", "-D", str(server.folder / "data"), "-m", "immediate", "stop"))
    with subprocess.Popen(
        ["sh", "-c", f"cat >/dev/null; cd /; {stop}; rm -rf {folder}"],
        stdin=subprocess.PIPE,  # ends with us
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ):
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The server of this test session."""
    with running_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Server) -> str:
    """URL of an empty database of this test's own."""
    return postgres_server.new_database()


@pytest.fixture
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Return a function that makes an empty database, of kind `sqlite` or `postgres`, and returns its URL."""

    def make(kind: str) -> str:
        if kind == "postgres":
            server: Server = request.getfixturevalue("postgres_server")
            return server.new_database()
        return f"sqlite:///{tmp_path / f'test-{next(_numbers)}.db'}"

    return make
