"""The folder of one local job, `jobs/<study>/<name>/` below the data root: what is in it and what it says."""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coref_k8s.controller.runner import ObservedJob, Reason, State
from coref_k8s.local.supervise import alive, now, write_json
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order
from coref_k8s.study.paths import JOB_FILE, LOCK_FILE, LOG_FILE, ORDER_FILE, STATUS_FILE, STOPPED_FILE
from coref_k8s.wording import NOTHING, Message

#: How much of a log is read at once, from its end (bytes).
_BLOCK = 64 * 1024


@dataclass(frozen=True)
class JobFolder:
    """A job's files. It exists for the runner while it has a status; its log stays after that."""

    path: Path

    @property
    def log(self) -> Path:
        """Output of all starts of all jobs of this name."""
        return self.path / LOG_FILE

    @property
    def order(self) -> Path:
        """The order that the program reads."""
        return self.path / ORDER_FILE

    @property
    def job(self) -> Path:
        """What the supervisor is to run."""
        return self.path / JOB_FILE

    @property
    def status(self) -> Path:
        """How that went so far."""
        return self.path / STATUS_FILE

    def exists(self) -> bool:
        """Whether the job exists, live or ended."""
        return self.status.exists()

    def write(
        self, order: Order, command: Sequence[str], gpus: Sequence[str], *, pause: float, grace: float
    ) -> None:
        """Write everything the supervisor reads; the job exists afterwards."""
        # 0600: parameters of a request are nobody else's business on a shared machine
        self.order.touch(mode=0o600)
        self.order.write_text(order.model_dump_json(by_alias=True), encoding="utf-8")
        job = {
            "uid": uuid.uuid4().hex,
            "study": order.study,
            "kind": order.kind.value,
            "seq_len": order.seq_len,
            "trial": order.trial,
            "attempt": order.attempt,
            "command": [*command],
            "gpus": [*gpus],
            "retries": order.spec.limits.retries,
            "max_disruptions": order.spec.limits.max_disruptions,
            "pause": pause,
            "grace": grace,
            "created_at": now(),
        }
        status = {
            "state": State.PENDING.value,
            "reason": None,
            "stopped": False,
            "exit_code": None,
            "retries": 0,
            "disruptions": 0,
            "started_at": None,
            "finished_at": None,
            "supervisor": None,
            "supervisor_start": None,
            "pid": None,
            "pid_start": None,
        }
        write_json(self.job, job)
        write_json(self.status, status)

    def read(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Return what is to run and how that went; None when the job does not exist."""
        try:
            status = json.loads(self.status.read_text(encoding="utf-8"))
            return json.loads(self.job.read_text(encoding="utf-8")), status
        except FileNotFoundError:
            return None

    def take_lock(self) -> int | None:
        """Return the open lock file, locked, or None when somebody of the job is alive."""
        file = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        return file

    def nobody_alive(self) -> bool:
        """Whether every process of the job is gone."""
        file = self.take_lock()
        if file is None:
            return False
        os.close(file)
        return True

    def observe(self) -> ObservedJob | None:
        """Return the job as it is now; None when it does not exist.

        A job that says it is live, with nobody alive, is lost: failed, and not by its own fault.
        """
        found = self.read()
        if found is None:
            return None
        job, status = found
        if status["state"] in (State.PENDING, State.RUNNING) and self._lost(status):
            # it may have ended between the two looks
            found = self.read()
            if found is None:
                return None
            job, status = found
            if status["state"] in (State.PENDING, State.RUNNING):
                status |= {
                    "state": State.FAILED.value,
                    "reason": Reason.DISRUPTED.value,
                    "lost": True,
                    "finished_at": self._last_sign(),
                }
        return ObservedJob(
            name=self.path.name,
            uid=job["uid"],
            study=job["study"],
            kind=Kind(job["kind"]),
            seq_len=job["seq_len"],
            trial=job["trial"],
            attempt=job["attempt"],
            state=State(status["state"]),
            reason=Reason(status["reason"]) if status["reason"] else None,
            message=_message(status),
            exit_code=status["exit_code"],
            retries=status["retries"],
            disruptions=status["disruptions"],
            created_at=_time(job["created_at"]),
            started_at=_time(status["started_at"]),
            finished_at=_time(status["finished_at"]),
            stopped=self._why_stopped(job["uid"]),
        )

    def _why_stopped(self, uid: str) -> str:
        try:
            found = json.loads((self.path / STOPPED_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return ""
        # an earlier job of this name may have left it
        return str(found["why"]) if found["uid"] == uid else ""

    def _lost(self, status: dict[str, Any]) -> bool:
        if alive(status["supervisor"], status["supervisor_start"]):
            return False
        if alive(status["pid"], status["pid_start"]):
            return False  # orphaned: works on without its parent
        # the lock also covers the moments in which neither process has written itself down
        return status["pid"] is not None or self.nobody_alive()

    def _last_sign(self) -> str:
        """Return when the log was last written: the best guess at when the job was lost."""
        path = self.log if self.log.exists() else self.status
        return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat()

    def read_log(self, position: int) -> bytes:
        """Return the log from a position (bytes) on; nothing when there is no log."""
        if not self.log.exists():
            return b""
        with self.log.open("rb") as file:
            file.seek(position)
            return file.read()

    def tail_offset(self, lines: int) -> int:
        """Return where the last lines of the log begin (bytes)."""
        if not self.log.exists():
            return 0
        with self.log.open("rb") as file:
            size = start = file.seek(0, os.SEEK_END)
            data = b""
            # one newline more than lines: the one before the first of them
            while start > 0 and data.count(b"\n") <= lines:
                start = max(0, start - _BLOCK)
                file.seek(start)
                data = file.read(size - start)
        kept = b"".join(data.splitlines(keepends=True)[-lines:]) if lines > 0 else b""
        return size - len(kept)


def _message(status: dict[str, Any]) -> Message:
    if status.get("lost"):
        return Message.of("local.processes-gone")
    if status["state"] != State.FAILED or status["exit_code"] is None:
        return NOTHING
    stopped = "controller.stopped-with-code" if status.get("stopped") else "controller.exit-code"
    return Message.of(stopped, exit=status["exit_code"])


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def job_folders(root: Path) -> Iterator[JobFolder]:
    """Yield the folders in `root` whose job exists."""
    if not root.is_dir():
        return
    with os.scandir(root) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        folder = JobFolder(root / name)
        if folder.exists():
            yield folder
