"""A local study that is run by this process: a thread with the controller's loop, which can be left and goes on later."""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING

from coref_k8s.wording import NOTHING

if TYPE_CHECKING:
    from coref_k8s.controller.progress import Progress
    from coref_k8s.local.session import LocalSession


class Running:
    """Runs one study in a thread. Trials are processes, so nothing here is forked."""

    def __init__(self, session: LocalSession, name: str, metrics_port: int | None = None) -> None:
        self.problem = NOTHING
        """What keeps the study from going on right now."""
        self._stop = threading.Event()
        self._begun = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=self._work, args=(session, name, metrics_port), name=f"study {name}", daemon=True
        )

    def start(self) -> None:
        """Begin, and return when the loop works. Raises what keeps it from working."""
        atexit.register(self.leave)
        self._thread.start()
        self._begun.wait()
        if self._error is not None:
            self.close()

    def _work(self, session: LocalSession, name: str, metrics_port: int | None) -> None:
        try:
            session.run(
                name, on_progress=self._on_progress, interrupted=self._stop, metrics_port=metrics_port
            )
        except BaseException as error:  # raised again where the study is followed
            self._error = error
        finally:
            atexit.unregister(self.leave)
            self._begun.set()

    def _on_progress(self, progress: Progress) -> None:
        self.problem = progress.problem
        self._begun.set()

    @property
    def alive(self) -> bool:
        """Whether the thread still works."""
        return self._error is None and self._thread.is_alive()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Let the running trials write their checkpoints and end; does not wait for it."""
        self._stop.set()

    def join(self, seconds: float) -> None:
        """Wait until the study has ended or was left, at most so long."""
        self._thread.join(seconds)

    def close(self) -> None:
        """Wait for the end; raise what has ended the loop, if something did."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def leave(self) -> None:
        """Stop and wait, unless it is stopping already: whoever asks twice does not want to wait."""
        if not self.stopping:
            self.stop()
            self._thread.join()
