"""The event bus: one JSON object a line, in a file that many processes append to, and on standard output.

Sections are those of the project's first report (`eval_stream`, `trial_begin`, ...), so its `jq` and `grep` lines work.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from coref_k8s.wording import Message, has


class Section(StrEnum):
    """What a line is about."""

    STUDY_BEGIN = "study_begin"
    DATASET_PROGRESS = "dataset_progress"
    TRIAL_BEGIN = "trial_begin"
    TRAIN_STEP = "train_step"
    EVAL_STREAM = "eval_stream"
    TRIAL_END = "trial_end"
    VERDICT = "verdict"
    STUDY_END = "study_end"
    WARNING = "warning"
    OUTPUT = "output"
    """What a program or library has printed, in a pod."""


def utc_now() -> datetime:
    """Return the time; the clock of everything that is not told another one."""
    return datetime.now(UTC)


def said(message: Message) -> dict[str, Any]:
    """Return the fields of an event that says a message: English words, and the code and values behind them."""
    dumped = message.dump()
    if isinstance(dumped, str):
        return {"message": dumped}
    return {"message": str(message), "code": dumped.pop("code"), "values": dumped}


def message_of(event: Mapping[str, Any]) -> Message:
    """Return what an event says; of one without a code, or with one that another version has, its words."""
    code = event.get("code")
    if isinstance(code, str) and has(code) and isinstance(event.get("values"), Mapping):
        return Message.load({**event["values"], "code": event["code"]})
    return Message.verbatim(str(event.get("message") or event.get("why") or ""))


def as_printed(line: str) -> str:
    """Return what was printed where a line of a log is an event of that, and else the line."""
    with suppress(ValueError):
        event = json.loads(line) if line.startswith("{") else None
        if isinstance(event, dict) and event.get("section") == Section.OUTPUT:
            return str(event.get("message", ""))
    return line


#: Most of a line that is no sentence of ours (characters).
_LONGEST = 600


def last_words(log: str) -> Message:
    """Return what a program that failed has said last: its error message, mostly.

    That is the last line of its log that is no event, unless it gave its reason as an event after that; where all are events,
    its reason, or what it printed last.
    """
    lines = [line for text in reversed(log.splitlines()) if (line := text.strip())]
    printed = []
    for line in lines:
        if not line.startswith("{"):
            return Message.verbatim(line[:_LONGEST])
        event = None
        with suppress(ValueError):
            event = json.loads(line)
        if isinstance(event, dict) and event.get("event") == "trial_failed":
            return message_of(event)
        if isinstance(event, dict) and event.get("section") == Section.OUTPUT:
            printed.append(str(event.get("message", "")))
    words = printed[0].strip().rpartition("\n")[2].strip() if printed else ""
    return Message.verbatim(words[:_LONGEST])


class Bus:
    """Writes events. Safe to share a file with other processes: each line is one `write` on an O_APPEND file."""

    def __init__(
        self,
        path: Path | None = None,
        *,
        stdout: bool = False,
        descriptor: int | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """`descriptor` is an open file to write to as well, from any thread."""
        self._path = path
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._stdout = stdout
        self._clock = clock
        self._file: int | None = None
        self._complained = False
        self._about: dict[str, Any] = {}

    def about(self, **fields: Any) -> Bus:
        """Return a bus that writes to the same place and puts these fields into every line."""
        named = Bus(self._path, stdout=self._stdout, descriptor=self._descriptor, clock=self._clock)
        named._lock = self._lock
        named._about = {**self._about, **fields}
        return named

    def emit(self, section: str, **fields: Any) -> None:
        """Write one line: `ts` (UTC), `section` and the fields. Numbers that JSON lacks (NaN, inf) become null.

        Never raises for a full or read-only disk: telemetry must not end a trial. It complains once on stderr.
        """
        event = {
            "ts": self._clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "section": str(section),
            **self._about,
            **fields,
        }
        line = json.dumps(_plain(event), ensure_ascii=False, allow_nan=False) + "\n"
        try:
            if self._path is not None:
                os.write(self._open(self._path), line.encode())
            if self._descriptor is not None:
                with self._lock:  # a pipe takes a long line in parts
                    left = line.encode()
                    while left:
                        left = left[os.write(self._descriptor, left) :]
            if self._stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
        except OSError as error:
            if not self._complained:
                self._complained = True
                print(f"events cannot be written to {self._path or 'stdout'}: {error}", file=sys.stderr)

    def close(self) -> None:
        """Close the file; the next `emit` opens it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Bus:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, path: Path) -> int:
        if self._file is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        return self._file


def _plain(value: Any) -> Any:
    """Return `value` as JSON knows it; numpy and torch scalars through `item`, everything unknown as text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        return _plain(value.item())
    return str(value)
