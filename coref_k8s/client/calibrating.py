"""`calibrate`: measure this machine's device for a request, in a process of its own, and keep what was found."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any

from coref_k8s.client.checks import check_request, localised, require_trial_packages
from coref_k8s.errors import CorefError, RequestError, StorageError
from coref_k8s.local.hardware import Machine, driver, this_machine
from coref_k8s.settings import Settings
from coref_k8s.sizing.calibration import Calibration, Parity, Point, precision_asked, shape_key
from coref_k8s.sizing.shape import shape_of
from coref_k8s.store.patience import patiently
from coref_k8s.study.spec import StudySpec
from coref_k8s.trial.models import model_path
from coref_k8s.trial.provenance import installed
from coref_k8s.wording import Message

if TYPE_CHECKING:
    from coref_k8s.client.local import LocalBackend
    from coref_k8s.store import Store

#: Time that a child may take beyond its deadline, for the step that it is in, before it is ended (seconds).
_GRACE = 60.0
#: Share of the time that measuring times may take on a CPU; peaks of memory are measured afterwards.
_FOR_TIMES = 0.7
#: Libraries whose version can change what is measured.
_LIBRARIES = ("coref-k8s", "torch", "transformers", "numba", "disentangled-flash")


def calibrate(
    backend: LocalBackend,
    spec: StudySpec,
    deadline: float,
    tell: Callable[[Message], None],
    machine: Machine | None = None,
) -> Calibration:
    """Measure what a request's steps take on this machine, keep it in the database as it comes, and return it.

    The request is one that fits the machine (`LocalBackend.fit`). `tell` is told what is being done. Raises RequestError
    when another one measures on the device until the deadline, ModelError when the model cannot be opened, StorageError when the
    database is not there at the beginning, or not at the end for as long as the deadline, and a CorefError when the process
    fails; what was measured until then is kept, beside what an earlier one measured of what this one did not come to.
    """
    require_trial_packages()
    spec, machine = localised(spec), machine or this_machine()
    check_request(spec)
    visible = machine.usable_gpus[:1] if spec.pod.gpus else ()
    until = time.monotonic() + deadline
    # as a trial opens it: a study's model may lie in the data folder
    model = model_path(spec.model, backend.settings.data_dir)
    as_opened = spec.model_copy(update={"model": model})
    shape = shape_of(model)
    threads = 0 if visible else max(1, machine.cores // min(spec.parallelism, machine.cores))
    found = Calibration(
        device=visible[0].model or "GPU" if visible else machine.processor,
        gpu=bool(visible), memory=(visible[0].memory or 0) if visible else machine.memory, threads=threads,
        driver=driver() if visible else "", versions=installed(_LIBRARIES), model=spec.model, task=spec.task, precision="fp32",
        asked=precision_asked(spec), shape=shape_key(shape), measured_at=datetime.now(UTC),
    )  # fmt: skip
    keeper = _Keeper(backend.session.store, tell)
    with _alone(visible[0].name if visible else "cpu", until, tell):
        until = time.monotonic() + deadline  # waiting does not count
        # on a CPU memory is handed out so that peaks can be seen, which slows steps down: not beside times
        rounds = [(True, True, 1.0)] if visible else [(True, False, _FOR_TIMES), (False, True, 1.0)]
        left_out = 0
        for seconds, memory, share in rounds:
            left = until - time.monotonic() - (1 - share) * deadline
            about: dict[str, Any] = {
                "seconds": seconds,
                "memory": memory,
                "threads": threads or 1,
                "deadline": left,
            }
            gpu = visible[0].name if visible else None
            for line in measured_lines(as_opened, backend.settings.data_dir, gpu=gpu, **about):
                found = replace(_with(found, line), seconds=round(deadline - (until - time.monotonic()), 1))
                if line["kind"] == "end":
                    left_out += line["left_out"]
                    continue
                keeper.keep(found)
                if said := _said(line):
                    tell(said)
        notes = (
            (*found.notes, Message.of("client.calibrate-no-time", n=left_out)) if left_out else found.notes
        )
        found = replace(found, complete=not left_out, notes=notes)
        return keeper.finish(found, deadline)


class _Keeper:
    """Keeps in the database what has been measured; where it goes away meanwhile, measuring goes on without it."""

    def __init__(self, store: Store, tell: Callable[[Message], None]) -> None:
        self._store, self._tell = store, tell
        self._earlier = {one.key: one for one in store.calibrations()}
        self._away = self._begun = False

    def keep(self, found: Calibration) -> None:
        """Keep what there is until now. Raises StorageError when that fails the first time."""
        if not found.found:
            return
        try:
            self._store.keep_calibration(self._whole(found))
            self._away, self._begun = False, True
        except StorageError as error:
            if not self._begun:
                raise
            self._say(error.message)

    def finish(self, found: Calibration, most: float) -> Calibration:
        """Keep all of it, waiting for the database for so long (seconds); return what is kept. Raises StorageError."""
        whole = self._whole(found)
        if not whole.found:
            return whole
        patiently(lambda: self._store.keep_calibration(whole), sleep=time.sleep, on_wait=self._say, most=most)
        return whole

    def _say(self, why: Message) -> None:
        if not self._away:
            self._tell(why)
        self._away = True

    def _whole(self, found: Calibration) -> Calibration:
        earlier = None if found.complete else self._earlier.get(found.key)
        return found if earlier is None else found.beside(earlier)


def measured_lines(
    spec: StudySpec,
    data_dir: Path,
    *,
    seconds: bool = False,
    memory: bool = False,
    more: Sequence[Mapping[str, Any]] = (),
    gpu: str | None = None,
    threads: int = 1,
    deadline: float = 3600.0,
) -> Iterator[dict[str, Any]]:
    """Yield what a process of its own finds of a request's steps on this machine: on so many threads, or on a GPU.

    `more`: further steps to measure (`Step`), on the path of trials alone. `gpu` as CUDA_VISIBLE_DEVICES has it.
    """
    asked = {
        "spec": spec.model_dump_json(by_alias=True), "data_dir": str(data_dir), "deadline": deadline, "threads": threads,
        "seconds": seconds, "memory": memory, "steps": list(more),
    }  # fmt: skip
    yield from _child(asked, gpu, peaks=memory and not seconds)


def _with(found: Calibration, line: Mapping[str, Any]) -> Calibration:
    """Return a calibration with what a line of the child adds to it. Raises the error that it tells of."""
    facts = {key: value for key, value in line.items() if key != "kind"}
    match line["kind"]:
        case "path":
            known = {key: facts[key] for key in ("device", "memory") if key in facts}
            cuda = {"cuda": facts["cuda"]} if "cuda" in facts else {}
            return replace(found, precision=facts["precision"], versions={**found.versions, **cuda}, **known)
        case "start":
            return replace(found, start=found.start or facts["seconds"])
        case "point":
            return found.measured_again(Point(**facts))
        case "parity":
            return replace(found, parities=(*found.parities, Parity(**facts)))
        case "no-room":
            return replace(found, notes=(*found.notes, Message("client.calibrate-no-room", facts)))
        case "error":
            raise CorefError(Message.load(facts["message"]))
    return found


def _said(line: Mapping[str, Any]) -> Message | None:
    """Return what a person who waits is told of a line."""
    facts: dict[str, Any] = dict(line)
    match facts.pop("kind"):
        case "point":
            code = "seconds" if facts.get("seconds") else "peak" if facts.get("peak") else "full"
            return Message(f"client.calibrated-{code}", {**facts, "gib": (facts.get("peak") or 0) / 2**30})
        case "parity":
            return Message("client.calibrated-parity", facts)
        case "no-room":
            return Message("client.calibrate-no-room", facts)
    return None


def _child(asked: Mapping[str, Any], gpu: str | None, peaks: bool) -> Iterator[dict[str, Any]]:
    """Yield the lines of a process that measures; it is gone when this ends, however it does.

    It ends by itself when this process is gone: its input ends then.
    """
    environment = {
        **os.environ, "OMP_NUM_THREADS": str(asked["threads"]), "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    }  # fmt: skip
    if (token := Settings.from_env().hf_token) is not None:
        environment["HF_TOKEN"] = token  # a cluster gives it as a file
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    if peaks:  # what a step has freed goes back at once
        environment["MALLOC_MMAP_THRESHOLD_"] = "65536"
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "coref_k8s.trial.calibrating"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True,
        )  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        lines: Queue[str] = Queue()

        def read(output: Iterable[str]) -> None:
            for line in output:
                lines.put(line)
            lines.put("")

        reader = threading.Thread(target=read, args=(child.stdout,), daemon=True)
        try:
            child.stdin.write(json.dumps(asked) + "\n")
            child.stdin.flush()
            reader.start()
            until = time.monotonic() + max(0.0, asked["deadline"]) + _GRACE
            while True:
                try:
                    line = lines.get(timeout=max(0.1, until - time.monotonic()))
                except Empty:  # in a step that is far longer than those before
                    yield {"kind": "end", "left_out": 1}
                    return
                if not line:
                    break
                yield json.loads(line)
            if child.wait() not in (0, 42):
                errors.seek(0)
                words = errors.read().decode(errors="replace").strip().splitlines() or [
                    f"exit {child.returncode}"
                ]
                raise CorefError("client.calibrate-failed", why=Message.verbatim(words[-1][:300]))
        finally:
            child.kill()
            child.wait()
            child.stdin.close()
            child.stdout.close()


@contextmanager
def _alone(device: str, until: float, tell: Callable[[Message], None]) -> Iterator[None]:
    """Be the only one who measures on a device of this machine, whoever asks; wait for another until then.

    Raises RequestError with the process that measures there when it does not end.
    """
    name = re.sub(r"[^\w.-]", "-", device)
    path = Path(tempfile.gettempdir(), f"coref-k8s-calibrate-{name}.lock")
    try:
        number = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:  # another user's; it can be locked all the same
        number = os.open(path, os.O_RDONLY)
    with os.fdopen(number, "r") as file:
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                file.seek(0)
                process = file.read().strip() or "?"
                if time.monotonic() > until:
                    raise RequestError("client.calibrate-busy", device=device, process=process) from None
                if not told:
                    tell(Message.of("client.calibrate-waits", device=device, process=process))
                    told = True
                time.sleep(0.5)
        try:
            os.ftruncate(number, 0)
            os.pwrite(number, str(os.getpid()).encode(), 0)
        except OSError:
            pass
        yield
