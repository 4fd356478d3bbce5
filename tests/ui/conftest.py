"""Studies in a data folder, and the server that shows them."""

from __future__ import annotations

import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from coref_k8s.client.moving import import_study
from coref_k8s.client.where import Where
from coref_k8s.controller.portable import to_file
from coref_k8s.controller.view import StudyView
from coref_k8s.settings import Settings
from coref_k8s.study.names import Kind, job_name
from coref_k8s.study.paths import JOBS, LOG_FILE, ORDER_FILE, work_folder
from coref_k8s.ui.app import application
from coref_k8s.ui.reader import Reader, places
from coref_k8s.ui.server import listening, server
from tests.report.sample import study, with_finalists

STEPS = 40


@dataclass(frozen=True)
class Answer:
    code: int
    text: str
    headers: http.client.HTTPMessage


def get(address: str, *, follow: bool = True, **headers: str) -> Answer:
    """Ask for a page; headers are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    opener = urllib.request.build_opener(*([] if follow else [Stay()]))
    try:
        with opener.open(urllib.request.Request(address, headers=named), timeout=60) as found:
            return Answer(found.status, found.read().decode(), found.headers)
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode(), error.headers)


@contextmanager
def served(data_dir: Path, **options: Any) -> Iterator[str]:
    """Serve the studies of a data folder; yield the server's address, without a slash at the end."""
    with serving(Reader(places(Where(data_dir=data_dir))), **options) as address:
        yield address


@contextmanager
def serving(reader: Reader, **options: Any) -> Iterator[str]:
    """Serve what a reader reads."""
    listener = listening("127.0.0.1", 0)
    running = server(application(reader, **{"lang": "en", **options}))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    running.should_exit = True
    thread.join(10)
    listener.close()


def stored(view: StudyView, data_dir: Path, **changes: Any) -> StudyView:
    """Put a study into the database of a data folder."""
    data_dir.mkdir(parents=True, exist_ok=True)
    view = replace(view, **changes)
    file = data_dir / f"{view.name}.study"
    file.write_bytes(to_file(view))
    found = import_study(file, Settings.from_env(data_dir=data_dir).storage_url)
    file.unlink()
    return found


def played(view: StudyView, data_dir: Path, seq_len: int, number: int, kind: Kind = Kind.TRIAL) -> None:
    """Write the log and the files of a trial, or of a finalist's run."""
    folder = data_dir / work_folder(view.spec, view.name, kind, seq_len, number)
    (folder / "model").mkdir(parents=True, exist_ok=True)
    (folder / "losses.json").write_text(json.dumps([9.0 - step / 10 for step in range(STEPS)]))
    (folder / "result.json").write_text(json.dumps({"score": 0.5, "remark": "한국어"}, ensure_ascii=False))
    (folder / "model" / "model.safetensors").write_bytes(b"\0" * 4096)
    job = data_dir / JOBS / view.name / job_name(view.name, kind, seq_len, number, 1)
    job.mkdir(parents=True, exist_ok=True)
    (job / ORDER_FILE).write_text(json.dumps({"kind": kind, "trial": number, "seqLen": seq_len}))
    (job / LOG_FILE).write_text(
        "".join(f"{line}\n" for line in _log(view, seq_len, number, kind)), encoding="utf-8"
    )


def _log(view: StudyView, seq_len: int, number: int, kind: Kind) -> Iterator[str]:
    who = {"study": view.name, "kind": kind, "seq_len": seq_len, "trial": number}
    yield json.dumps({"ts": "2026-03-04T05:00:00Z", "section": "trial_begin", **who, "steps": STEPS})
    yield "a library says <b>something</b>"
    for step in range(10, STEPS + 1, 10):
        told = {
            "step": step,
            "steps": STEPS,
            "loss": 9.0 - step / 10,
            "learning_rate": 1e-4 * step,
            "memory_bytes": 2**30,
        }
        yield json.dumps({"ts": "2026-03-04T05:00:10Z", "section": "train_step", **who, **told})


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`korean-long` with finalists, log and files of one trial; `chains`, a coreference study."""
    folder = tmp_path_factory.mktemp("data")
    view = stored(with_finalists(study()), folder, namespace="")
    played(view, folder, 1024, 4)
    played(view, folder, 1024, 2, Kind.FINALIST)
    stored(study(6, (512,), task="coreference"), folder, name="chains", namespace="")
    return folder


@pytest.fixture(scope="module")
def address(data_dir: Path) -> Iterator[str]:
    """The server of these studies."""
    with served(data_dir) as found:
        yield found


Get = Callable[..., Answer]
