"""`watch`: the live view of a study that somebody else runs; and the same on a bus file alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from coref_k8s.cli.backend import Backend, Study, Where, find_study, placed
from coref_k8s.cli.console import out
from coref_k8s.cli.live import LiveState
from coref_k8s.cli.reading import note_if_idle
from coref_k8s.cli.strings import Lang, LangOption, locale_lang
from coref_k8s.cli.view import REFRESH_SECONDS, BusTail, StreamTail, Watcher


@placed
def watch(
    name: Study,
    *,
    lang: LangOption = None,
    where: Where,
) -> int:
    """Show a study live until it ends.

    Trials, progress, best so far, last events. Ctrl-C only ends the view. Piped, it writes one line for every event.
    """
    backend, view = find_study(where, name)
    chosen = lang or locale_lang()
    note_if_idle(backend, view, chosen)
    bus = _bus_of(backend)
    tail = BusTail(bus)
    since = view.started_at or datetime.now(UTC)
    watcher = Watcher(
        LiveState(study=name, lang=chosen, since=since, alone=bus is None),
        out,
        load=lambda: backend.view(name),
        events=tail.read,
    )
    _show(watcher)
    return 0


def watch_bus(path: Path, lang: Lang | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
    """Show whatever study a bus file speaks of, until it ends or Ctrl-C."""
    watcher = Watcher(LiveState(lang=lang or locale_lang()), out, load=None, events=BusTail(path).read)
    _show(watcher, sleep)


def watch_stream(stream: Iterable[bytes], lang: Lang | None = None) -> None:
    """Show whatever study a stream of events speaks of, until it ends, nothing comes any more, or Ctrl-C."""
    tail = StreamTail(stream)
    watcher = Watcher(LiveState(lang=lang or locale_lang()), out, load=None, events=tail.read)
    _show(watcher, over=lambda: tail.over)


def _show(
    watcher: Watcher, sleep: Callable[[float], None] = time.sleep, over: Callable[[], bool] = lambda: False
) -> None:
    try:
        with watcher.showing():
            watcher.refresh()
            while not (watcher.state.ended or over()):
                sleep(REFRESH_SECONDS)
                watcher.refresh()
    except KeyboardInterrupt:
        return


def _bus_of(backend: Backend) -> Path | None:
    """Return the bus file of studies on this machine; trials in a cluster speak through the database."""
    settings = getattr(backend, "settings", None)
    found = getattr(settings, "bus", None)
    return found if isinstance(found, Path) else None
