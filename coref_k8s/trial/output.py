"""What libraries print, as events: in a pod every line on standard output and standard error is JSON, whoever wrote it.

Warnings, logging, tracebacks, C code and child processes all write to the descriptors 1 and 2, so these are led through a pipe.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from coref_k8s.telemetry.bus import Bus, Section

#: Lines that come within so many seconds are one event, as those of a traceback.
TOGETHER = 0.1
#: Longest text of one event (bytes): whoever prints without end must not fill the memory.
LONGEST = 16_384
#: How long the end of a process waits for what was printed (seconds).
_PATIENCE = 5.0
_END = b"\0end of output\0"

_captured = False


def aloud(text: str) -> None:
    """Say on standard error what is on the bus as well, where that is read by people rather than as events."""
    if not _captured:
        print(text, file=sys.stderr, flush=True)


@contextmanager
def as_events() -> Iterator[Bus]:
    """Yield a bus to standard output; what else goes there or to standard error becomes events of it until the process ends."""
    global _captured
    sys.stdout.flush()
    sys.stderr.flush()
    bus = Bus(descriptor=os.dup(1))
    out, into = os.pipe()
    for descriptor in (1, 2):
        os.dup2(into, descriptor)
    os.close(into)
    reader = threading.Thread(target=_read, args=(out, bus), daemon=True, name="output")
    reader.start()
    _captured = True
    try:
        yield bus
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        with suppress(OSError):
            os.write(2, _END)
        reader.join(_PATIENCE)
        # what the interpreter says while it ends comes too late for an event
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):
            os.dup2(nowhere, descriptor)
        _captured = False


def _read(out: int, bus: Bus) -> None:
    left = b""
    while True:
        ready, _, _ = select.select([out], [], [], TOGETHER if left else None)
        if ready:
            left += os.read(out, LONGEST)
            text, end, _ = left.partition(_END)
            if not end and len(left) < LONGEST:
                continue
            left = text
        else:
            end = b""
        # a line that is not whole yet waits for its end, but not for ever
        whole, newline, rest = left.rpartition(b"\n") if len(left) < LONGEST and not end else (left, b"", b"")
        if not whole and not newline:
            whole, rest = left, b""
        _tell(whole, bus)
        left = rest
        if end:
            return


def _tell(printed: bytes, bus: Bus) -> None:
    """Write one event; of a line that a progress bar has drawn over only what is seen last."""
    lines = [
        line.rstrip("\r").rpartition("\r")[2].rstrip()
        for line in printed.decode(errors="replace").split("\n")
    ]
    if text := "\n".join(lines).strip("\n"):
        bus.emit(Section.OUTPUT, message=text)
