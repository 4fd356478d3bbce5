"""`watch`: the live view of a study that somebody else runs; and the same on a bus file alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coref_k8s.cli.console import out
from coref_k8s.cli.live import LiveState
from coref_k8s.cli.next_steps import suggest_next
from coref_k8s.cli.reading import note_if_idle
from coref_k8s.cli.view import Watcher
from coref_k8s.cli.where_options import Study, Where, placed
from coref_k8s.client.backend import Backend
from coref_k8s.client.events import BusTail, StreamTail
from coref_k8s.client.following import MOMENT_SECONDS, Moment
from coref_k8s.client.where import find_study
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import CorefError
from coref_k8s.wording import Message


@placed
def watch(name: Study, *, where: Where) -> int:
    """Show a study live until it ends; Ctrl-C only ends the view. Piped, it writes one line for every event."""
    backend, view = find_study(where, name, whole=False)
    state = LiveState(study=name, fixed=True, since=view.started_at or view.created_at)
    with suppress(KeyboardInterrupt):
        Watcher(state, out).show(backend.follow(name, run=False))
    with suppress(CorefError):  # deleted meanwhile
        view = backend.get(name)
        note_if_idle(backend, view)
        if view.ended:
            suggest_next(backend, view, after="watch")
    return 0


def followed(
    backend: Backend, name: str, metrics_port: int | None, known: Iterable[Message] = ()
) -> StudyView:
    """Show a study until it ends or Ctrl-C, running it where nobody else does; return how it stands then.

    Warnings that are `known` are not told again.
    """
    began = datetime.now(UTC)
    told = frozenset(one.to_text() for one in known)
    state = LiveState(study=name, fixed=True, since=began, news_since=began, known=told)
    with suppress(KeyboardInterrupt):
        Watcher(state, out).show(backend.follow(name, metrics_port=metrics_port))
    return backend.get(name)


def watch_bus(path: Path) -> None:
    """Show whatever study a bus file speaks of, until it ends or Ctrl-C."""
    _show(BusTail(path).read, lambda: False)


def watch_stream(stream: Iterable[bytes]) -> None:
    """Show whatever study a stream of events speaks of, until it ends, nothing comes any more, or Ctrl-C."""
    tail = StreamTail(stream)
    _show(tail.read, lambda: tail.over)


def _show(read: Callable[[], Sequence[dict[str, Any]]], over: Callable[[], bool]) -> None:
    state = LiveState()

    def moments() -> Iterator[Moment]:
        yield Moment(read())
        while not (state.ended or over()):
            time.sleep(MOMENT_SECONDS)
            yield Moment(read())

    with suppress(KeyboardInterrupt):
        Watcher(state, out).show(moments())
