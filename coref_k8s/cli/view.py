"""The live view: a `LiveState` on a terminal, or its news as plain lines where there is no terminal.

`submit`, `resume`, `watch` and the dashboard use it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from coref_k8s.cli import words
from coref_k8s.cli.live import LiveLength, LiveState, LiveTrial
from coref_k8s.cli.strings import say
from coref_k8s.cli.tables import PHASE_STYLES, bar
from coref_k8s.controller.progress import Progress
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import CorefError
from coref_k8s.search.records import TrialState

#: Time between two looks at the database and the bus (seconds).
REFRESH_SECONDS = 1.0
#: Longest time between two looks at the database while nothing happens on the bus.
SYNC_TIME = timedelta(seconds=5)
#: How much of an old bus file is read at the start (bytes): enough for the trials under way.
_TAIL_BYTES = 4 * 2**20
_BLOCKS = "▁▂▃▄▅▆▇█"
_NEWS = 6
#: Columns from which words are written out, and from which the speed has room.
_WIDE, _WIDEST = 100, 120


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


def sparkline(values: Sequence[float]) -> str:
    """Return the values as blocks, the lowest at the bottom and the highest at the top."""
    if not values:
        return ""
    low, high = min(values), max(values)
    if high == low:
        return _BLOCKS[3] * len(values)
    return "".join(_BLOCKS[round((v - low) / (high - low) * (len(_BLOCKS) - 1))] for v in values)


def screen(state: LiveState, now: datetime, width: int = 100, height: int = 60) -> RenderableType:
    """Return the whole view of a study at one moment, for a terminal of `width` columns and `height` lines."""
    lang = state.lang
    parts: list[RenderableType] = [_head(state, now)]
    if state.message and state.ended:
        parts.append(Text(state.message))
    if state.problem:
        parts.append(Text(state.problem, style="yellow"))
    if state.stopping:
        parts.append(Text(say(lang, "stopping"), style="yellow"))
    parts.append("")
    grid = Table.grid(padding=(0, 2))
    for _ in range(5):
        grid.add_column(no_wrap=True, overflow="ellipsis")
    # what does not fit would be cut off at the bottom: first the running trials are shortened, then the news
    finals = [(n, said) for n, one in sorted(state.lengths.items()) for said in one.finals]
    told = [f"{say(lang, 'tokens', n=n)}: {said}" for n, said in finals]
    lines = sum(
        -(-cell_len(one) // max(1, width)) for one in told
    )  # an interval is not cut off: it may take two lines
    room = height - 1 - len(parts) - len(state.lengths) - lines - (4 if state.news else 0)
    running = [] if state.ended else [(n, t) for n in sorted(state.lengths) for t in state.lengths[n].running]
    shown = len(running) if len(running) <= room else max(0, room - 1)
    for length in sorted(state.lengths):
        grid.add_row(*_length_cells(state.lengths[length], state, width))
        for seq_len, trial in running[:shown]:
            if seq_len == length:
                grid.add_row(*_trial_cells(trial, state, width))
    parts.append(grid)
    cut = shown < len(running)
    if cut:
        parts.append(Text(f"  {say(lang, 'more', n=len(running) - shown)}", style="dim"))
    parts += [Text(one) for one in told]
    news = list(state.news)[-min(_NEWS, max(2, room - shown - cut + 2)) :]
    if news:
        parts += ["", Text(say(lang, "events"), style="bold")]
    for when, text in news:
        stamp = (f" {when.astimezone():%H:%M:%S}  ", "dim")
        parts.append(Text.assemble(stamp, (text, ""), no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def _head(state: LiveState, now: datetime) -> Text:
    lang = state.lang
    head = Text.assemble(
        (state.study or "", "bold"), "  ", (say(lang, state.phase.value.lower()), PHASE_STYLES[state.phase])
    )
    if state.started_at:
        span = words.about((state.finished_at or now) - state.started_at, lang)
        head.append(f"  {say(lang, 'elapsed', span=span)}")
    if state.remaining is not None and not state.ended:
        head.append(f"  {say(lang, 'left', span=words.about(state.remaining, lang))}")
    if state.gpu_seconds:
        head.append(f"  {say(lang, 'gpu_hours', n=f'{state.gpu_seconds / 3600:.2f}')}")
    if state.stage and not any(one.trials for one in state.lengths.values()):
        head.append(f"  {state.stage} ")
        if state.stage_share is not None:
            head.append_text(bar(round(100 * state.stage_share), 100))
    return head


def _length_cells(one: LiveLength, state: LiveState, width: int) -> list[RenderableType]:
    lang, best = state.lang, one.best
    planned = one.planned if one.planned is not None else len(one.trials)
    failed = sum(t.state is TrialState.FAILED for t in one.trials.values())
    fact = Text(
        say(lang, "best", score=words.score(best.value), trial=best.number) if best else say(lang, "no_best"),
        style="green" if best else "dim",
    )
    if failed:
        fact.append(f", {say(lang, 'failed_of', n=failed)}", style="red")
    return [
        Text(say(lang, "tokens", n=one.seq_len), style="bold"),
        bar(one.done, planned, _bar_width(width)),
        say(lang, "of" if width >= _WIDE else "of_short", done=one.done, all=planned),
        fact,
        Text(sparkline([t.value or 0.0 for t in one.complete][-_bar_width(width) :]), style="green"),
    ]


def _trial_cells(trial: LiveTrial, state: LiveState, width: int) -> list[RenderableType]:
    lang, wide = state.lang, width >= _WIDE
    name = Text(f"  {say(lang, 'finalist' if trial.finalist else 'trial', n=trial.number)}")
    if trial.waits:
        said = Text(trial.waits, style="yellow")
        return [name, Text(say(lang, "waiting"), style="yellow"), "", said, ""]
    done, of = trial.step, trial.steps or 0
    count = f"{done}/{of}"
    if not of and trial.scores and trial.evaluations:
        done, of = max(trial.scores), trial.evaluations
        count = say(lang, "evaluations", done=done, of=of) if wide else f"{done}/{of}"
    if not of:
        return [name, Text(say(lang, "starting"), style="dim"), "", "", ""]
    facts = []
    if (score := trial.score) is not None:
        facts.append(say(lang, "score", score=words.score(score)) if wide else words.score(score))
    if trial.loss is not None:
        facts.append(say(lang, "loss", loss=f"{trial.loss:.2f}"))
    if trial.step_seconds and trial.steps:
        left = words.about((trial.steps - trial.step) * trial.step_seconds, lang)
        facts.append(say(lang, "left" if wide else "left_short", span=left))
    if trial.tokens_per_second and width >= _WIDEST:
        facts.append(say(lang, "speed", n=f"{trial.tokens_per_second:,.0f}"))
    return [
        name,
        bar(done, of, _bar_width(width)),
        count,
        ", ".join(facts),
        Text(sparkline([trial.scores[key] for key in sorted(trial.scores)]), style="cyan"),
    ]


def _bar_width(width: int) -> int:
    return 16 if width >= _WIDE else 8


class Watcher:
    """Keeps a `LiveState` up to date and shows it; a terminal gets the view, anything else plain lines."""

    def __init__(
        self,
        state: LiveState,
        console: Console,
        *,
        load: Callable[[], StudyView] | None,
        events: Callable[[], list[dict[str, Any]]],
    ) -> None:
        self.state = state
        self._console = console
        self._load = load
        self._events = events
        self._printed = 0
        self._synced: datetime | None = None
        self._live: Live | None = None

    def on_progress(self, progress: Progress) -> None:
        """Take over what the loop says of itself; it is shown with the next refresh."""
        self.state.problem = progress.problem

    def on_interrupt(self) -> None:
        """Say that the user has asked to leave."""
        self.state.stop(datetime.now(UTC))

    def refresh(self, *, last: bool = False) -> None:
        """Look at events and database once, and show what is new; `last` when nothing comes after."""
        events = self._events()
        for event in events:
            self.state.apply(event)
        now = datetime.now(UTC)
        # Reading many trials costs the database more than a line of the bus: not for every step of a trial.
        due = self._synced is None or now - self._synced > SYNC_TIME
        if self._load is not None and (last or due or any(e.get("section") != "train_step" for e in events)):
            with contextlib.suppress(CorefError):  # away for a moment: the view shows what it knew
                self.state.sync(self._load(), now)
            self._synced = now
        if self._live is not None:
            self._live.update(screen(self.state, now, *self._console.size), refresh=True)
        else:
            self._print_news()

    def _print_news(self) -> None:
        fresh = min(self.state.told - self._printed, len(self.state.news))
        for when, text in list(self.state.news)[len(self.state.news) - fresh :]:
            self._console.print(
                f"{when.astimezone():%H:%M:%S} {text}", highlight=False, markup=False, soft_wrap=True
            )
        self._printed = self.state.told

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Show the view while the block runs; the last state stays on the terminal."""
        if not self._console.is_terminal:
            yield
            self.refresh(last=True)
            return
        with Live(console=self._console, auto_refresh=False, transient=False) as live:
            self._live = live
            try:
                yield
                self.refresh(last=True)
            finally:
                self._live = None

    @contextmanager
    def in_background(self) -> Iterator[None]:
        """Show the view from a thread while the block does the work."""
        stop = Event()

        def watch() -> None:
            while not stop.wait(REFRESH_SECONDS):
                self.refresh()

        with self.showing():
            thread = Thread(target=watch, name="live view", daemon=True)
            thread.start()
            try:
                yield
            finally:
                stop.set()
                thread.join()
