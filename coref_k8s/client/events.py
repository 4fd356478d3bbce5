"""The events of studies, read as they come: from a bus file, or from a stream such as the logs of a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

#: How much of an old bus file is read at the start (bytes): enough for the trials under way.
_TAIL_BYTES = 4 * 2**20


def of_others(event: Mapping[str, Any], study: str, uid: str, since: datetime) -> bool:
    """Whether an event is of a study that had this name before; events of 0.1 carry no identity, but the time."""
    if event.get("study") != study:
        return False
    if isinstance(event.get("study_uid"), str):
        return bool(event["study_uid"] != uid)
    try:
        return datetime.fromisoformat(str(event["ts"])) < since.replace(microsecond=0)
    except (KeyError, ValueError, TypeError):
        return True


class BusTail:
    """Reads the events that are appended to a bus file; a file that is not there yet has none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._offset: int | None = None

    def read(self) -> list[dict[str, Any]]:
        """Return the events since the last call; damaged lines are left out."""
        if self._path is None or not self._path.is_file():
            return []
        with self._path.open("rb") as file:
            size = file.seek(0, 2)
            if self._offset is None or self._offset > size:
                self._offset = max(0, size - _TAIL_BYTES)
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return _events(whole.splitlines())


class StreamTail:
    """Reads events from a stream as they come, such as what `coref-k8s logs -f` prints."""

    def __init__(self, stream: Iterable[bytes]) -> None:
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        self._reader = Thread(target=self._read, args=(stream,), name="event stream", daemon=True)
        self._reader.start()

    @property
    def over(self) -> bool:
        """Whether nothing comes any more and everything was read."""
        return not self._reader.is_alive() and self._lines.empty()

    def read(self) -> list[dict[str, Any]]:
        """Return the events since the last call, without waiting; damaged lines are left out."""
        return _events([self._lines.get() for _ in range(self._lines.qsize())])

    def _read(self, stream: Iterable[bytes]) -> None:
        for line in stream:
            self._lines.put(line)


def _events(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    events = []
    for line in lines:
        try:
            # `coref-k8s logs` puts the job's name before each line of a study
            event = json.loads(line[line.find(b"{") :])
        except ValueError:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events
