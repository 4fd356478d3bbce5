"""TLS to the bundled database: a real Postgres with the chart's own arguments, its `pg_hba.conf` and its URL."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from coref_k8s.errors import StorageError
from coref_k8s.search.storage import open_storage
from coref_k8s.store import Store
from coref_k8s.store.engine import connect
from tests.chart.rendering import NAMESPACE, RELEASE, objects, one
from tests.postgres import Server, running_server

HOST = f"{RELEASE}-postgres.{NAMESPACE}.svc"
#: Where the chart mounts the authority, and the files of Postgres.
AUTHORITY = "/run/coref/ca/ca.crt"
MOUNTS = ("/etc/postgres-tls", "/etc/postgres-hba")

Url = Callable[..., str]


def rendered(mode: str) -> list[dict[str, Any]]:
    return objects(
        {"postgres": {"tlsSecret": "postgres-tls", "tlsMode": mode}, "network": {"caConfigMap": "company-ca"}}
    )


def openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def authority(folder: Path, name: str) -> Path:
    """Make a certificate authority; return its certificate."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", f"/CN={name}", "-keyout", key, "-out", certificate,
    )  # fmt: skip
    return certificate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the authorities `company` and `stranger`."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("company", "stranger"):
        authority(folder, name)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """Postgres as the chart starts it, with a certificate that `company` has signed for the service's name."""
    found = rendered("verify-full")
    with running_server() as server:
        server.new_database()
        server.set_password("secret-word")
        server.stop("fast")
        here = server.folder
        openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={HOST}",
            "-addext", f"subjectAltName=DNS:{HOST}", "-keyout", here / "tls.key", "-out", here / "tls.csr",
        )  # fmt: skip
        openssl(
            "x509", "-req", "-in", here / "tls.csr", "-CA", folder / "company.crt", "-CAkey",
            folder / "company.key", "-CAcreateserial", "-days", "2", "-copy_extensions", "copy",
            "-out", here / "tls.crt",
        )  # fmt: skip
        hba = one(found, "ConfigMap", f"{RELEASE}-postgres-hba")["data"]["pg_hba.conf"]
        # clients come from loopback here; without its lines they are as those of other pods
        others = [line for line in hba.splitlines() if "127.0.0.1/32" not in line and "::1/128" not in line]
        assert any(line.startswith("hostssl") for line in others)
        (here / "pg_hba.conf").write_text("\n".join(others) + "\n", encoding="utf-8")
        for name in ("tls.key", "tls.crt", "pg_hba.conf"):
            (here / name).chmod(0o600)
            if os.geteuid() == 0:
                shutil.chown(here / name, "postgres")
        container = one(found, "StatefulSet", f"{RELEASE}-postgres")["spec"]["template"]["spec"][
            "containers"
        ][0]
        arguments = list(container["args"])
        for mount in MOUNTS:
            assert any(mount in argument for argument in arguments)
            arguments = [argument.replace(mount, str(here)) for argument in arguments]
        server.start(*arguments)
        yield server


@pytest.fixture
def url(server: Server, folder: Path) -> Url:
    """Return the chart's URL for a mode, on this machine's port, with an authority of the folder."""

    def make(mode: str, authority: str = "company", host: str = HOST) -> str:
        secret = one(rendered(mode), "Secret", f"{RELEASE}-postgres")["stringData"]
        found = str(secret["url"]).replace(secret["password"], "secret-word").replace(HOST, host)
        found = found.replace(":5432/coref", f":{server.port}/postgres")
        if mode != "require":
            assert AUTHORITY in found
            found = found.replace(AUTHORITY, str(folder / f"{authority}.crt"))
        # the name is the certificate's, the address this machine's
        return f"{found}&hostaddr=127.0.0.1"

    return make


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_every_mode_works_with_the_right_authority(url: Url, mode: str) -> None:
    store = Store(url(mode))
    assert store.list_studies("") == []
    store.close()
    open_storage(url(mode)).remove_session()
    engine = connect(url(mode))
    with engine.connect() as connection:
        encrypted = connection.execute(
            text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        ).scalar()
    engine.dispose()
    assert encrypted is True


@pytest.mark.parametrize("opens", [Store, open_storage])
@pytest.mark.parametrize(
    ("mode", "more", "words"),
    [
        ("verify-full", {"authority": "stranger"}, "certificate verify failed"),
        ("verify-ca", {"authority": "stranger"}, "certificate verify failed"),
        ("verify-full", {"authority": "nowhere"}, "does not exist"),
        ("verify-full", {"host": "elsewhere.svc"}, "elsewhere.svc"),
    ],
)
def test_a_certificate_that_cannot_be_trusted_is_refused_in_one_sentence(
    url: Url, opens: Callable[[str], object], mode: str, more: dict[str, str], words: str
) -> None:
    with pytest.raises(StorageError) as refused:
        opens(url(mode, **more))
    said = str(refused.value)
    assert words in said
    assert "check that sslrootcert (in the chart network.caConfigMap)" in said
    assert "secret-word" not in said
    assert "\n" not in said


def test_the_name_matters_to_verify_full_only(url: Url) -> None:
    Store(url("verify-ca", host="elsewhere.svc")).close()


def test_without_tls_nobody_comes_in(url: Url) -> None:
    with pytest.raises(StorageError, match="no encryption"):
        Store(url("require").replace("sslmode=require", "sslmode=disable"))
