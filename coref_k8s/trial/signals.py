"""SIGTERM and SIGINT: finish the step, keep what was learned, leave."""

from __future__ import annotations

import signal
import time
from types import FrameType

from coref_k8s.errors import EXIT_TERMINATED


class Interrupted(BaseException):
    """Raised where work must stop because the process was told to; not an error, so no Exception."""


class StopSignal:
    """Whether this process was told to stop. Installing it replaces the handlers of SIGTERM and SIGINT."""

    def __init__(self) -> None:
        self.requested = False
        self._at_once = False

    def install(self) -> StopSignal:
        """Catch the signals from now on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._caught)
        return self

    def leave_at_once(self) -> None:
        """From now on a signal ends the process without waiting for a step: there is nothing to save."""
        self._at_once = True
        self.check()

    def check(self) -> None:
        """Raise Interrupted when the process was told to stop."""
        if self.requested:
            raise Interrupted

    def sleep(self, seconds: float) -> None:
        """Sleep, or raise Interrupted when the process is told to stop before that."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            # a signal handler that raised here could do so in the middle of anything; a look now and then
            time.sleep(min(left, 0.2))
        self.check()

    def _caught(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if self._at_once:
            raise SystemExit(EXIT_TERMINATED)
