"""Settings of a process: where data, database and bus are. They come from the environment.

The request (`study/`) says what to do; this says where. Secrets may be given as files, which is how
a cluster mounts them: `COREF_STORAGE_URL_FILE` wins over `COREF_STORAGE_URL`, `HF_TOKEN_FILE` over `HF_TOKEN`,
`COREF_UI_TOKEN_FILE` over `COREF_UI_TOKEN`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from coref_k8s.errors import RequestError
from coref_k8s.study.paths import BUS_NAME, DATABASE_NAME, DEFAULT_DATA_DIR, expanded

#: Value of COREF_BUS that writes events to standard output only.
NO_BUS = "-"


@dataclass(frozen=True)
class Settings:
    """Where this process reads and writes."""

    data_dir: Path
    """Absolute path of the data folder; on a cluster the shared volume."""
    storage_url: str = field(repr=False)
    """SQLAlchemy URL of the database; holds a password, so it is never printed (see `masked_url`)."""
    bus: Path | None
    """File that events are appended to; None writes them to standard output only."""
    object_store: str | None = None
    """Address of the object storage that keeps prepared data, checkpoints and models; None where the data folder does."""
    object_store_secret: Path | None = None
    """Folder with its credentials, a file a variable, as a cluster mounts them; None: they are in the environment."""
    order: str | None = field(default=None, repr=False)
    """The order of this trial (JSON); None outside trials."""
    hf_token: str | None = field(default=None, repr=False)
    """Token for gated data sets; optional."""
    metrics_port: int | None = None
    """Port of the metrics endpoint; None for no endpoint."""
    metrics_textfile: bool = False
    """Whether a trial writes its metrics to a file in its folder, for the controller of this machine to serve."""
    ui_token: str | None = field(default=None, repr=False)
    """What people show to `coref-k8s ui`; optional."""

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        data_dir: str | Path | None = None,
        storage_url: str | None = None,
    ) -> Settings:
        """Read the settings from `environ` (the process's by default); arguments win, empty values do not count.

        Raises RequestError when a value is malformed or a named file cannot be read.
        """
        env = os.environ if environ is None else environ
        root = expanded(data_dir or env.get("COREF_DATA_DIR") or DEFAULT_DATA_DIR)
        try:
            str(root).encode()
        except UnicodeEncodeError:  # no database and no event could name it
            raise RequestError("settings.path-no-utf8", path=ascii(str(root))) from None
        url = storage_url or _value(env, "COREF_STORAGE_URL")
        bus = env.get("COREF_BUS") or str(root / BUS_NAME)
        return cls(
            data_dir=root,
            storage_url=checked_url(url) if url else sqlite_url(root / DATABASE_NAME),
            bus=None if bus == NO_BUS else expanded(bus),
            object_store=env.get("COREF_OBJECT_STORE") or None,
            object_store_secret=Path(secret) if (secret := env.get("COREF_OBJECT_STORE_SECRET")) else None,
            order=_value(env, "COREF_ORDER"),
            hf_token=_value(env, "HF_TOKEN"),
            metrics_port=_port(env.get("COREF_METRICS_PORT")),
            metrics_textfile=env.get("COREF_METRICS_TEXTFILE") == "1",
            ui_token=_value(env, "COREF_UI_TOKEN"),
        )

    def environment(self) -> dict[str, str]:
        """Return the variables that give a child process the same settings (secrets only where set here)."""
        variables = {
            "COREF_DATA_DIR": str(self.data_dir),
            "COREF_STORAGE_URL": self.storage_url,
            "COREF_BUS": NO_BUS if self.bus is None else str(self.bus),
        }
        if self.object_store:
            variables["COREF_OBJECT_STORE"] = self.object_store
        if self.object_store_secret:
            variables["COREF_OBJECT_STORE_SECRET"] = str(self.object_store_secret)
        if self.hf_token:
            variables["HF_TOKEN"] = self.hf_token
        return variables


def sqlite_url(path: Path) -> str:
    """Return the SQLAlchemy URL of a database file, whatever signs its path has."""
    from sqlalchemy import URL  # 0.1 s, for those only who need it

    return URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


def checked_url(url: str) -> str:
    """Return the SQLAlchemy URL of a database, with the driver named.

    `postgres://` and `postgresql://` mean psycopg2. Raises RequestError for anything but SQLite and Postgres, and for
    an address that cannot be read.
    """
    scheme, found, rest = url.strip().partition("://")
    if found and scheme in ("sqlite", "sqlite+pysqlite"):
        if rest and not rest.startswith("/"):
            raise RequestError("settings.url-unknown", url=url)
        return f"sqlite:///{os.path.expanduser(rest[1:])}" if rest.startswith("/~") else f"sqlite://{rest}"
    if not found or scheme not in ("postgres", "postgresql", "postgresql+psycopg2"):
        raise RequestError("settings.url-unknown", url=masked_url(url))
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        port = make_url(f"postgresql+psycopg2://{rest}").port
    except ArgumentError:
        raise RequestError("settings.url-unreadable", url=masked_url(url)) from None
    except ValueError:
        port = 0
    if port is not None and not 0 < port < 65536:
        raise RequestError("settings.url-port", url=masked_url(url))
    return f"postgresql+psycopg2://{rest}"


def masked_url(text: str) -> str:
    """Return `text`, a database URL or a message with one in it, with its password replaced by three stars."""
    # a URL alone may have blanks in its password; in a message they end the URL
    masked = re.sub(r"^([\w+.:'\"-]+:/+[^:/]*:).*@", r"\1***@", text, flags=re.DOTALL)
    masked = re.sub(r"(:/+[^:/\s]*:)\S*@", r"\1***@", masked)
    return re.sub(r"(password=)('[^']*'|[^&\s]*)", r"\1***", masked, flags=re.IGNORECASE)


def _value(env: Mapping[str, str], name: str) -> str | None:
    """Return `NAME_FILE`'s content, or `NAME`; None when neither is set."""
    path = env.get(f"{name}_FILE")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError) as error:
            raise RequestError("settings.file-unreadable", name=name, path=path, error=str(error)) from None
    return env.get(name) or None


def _port(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise RequestError("settings.port", given=text)
    return int(text)
