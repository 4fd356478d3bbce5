"""The live view: a `LiveState` on a terminal, or its news as plain lines where there is no terminal.

`submit`, `resume`, `watch` and the dashboard use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from coref_k8s.cli.live import LiveLength, LiveState, LiveTrial
from coref_k8s.cli.speech import said, say
from coref_k8s.cli.tables import bar, phase_text
from coref_k8s.client.following import Moment
from coref_k8s.search.records import TrialState
from coref_k8s.wording.formats import score

_BLOCKS = "▁▂▃▄▅▆▇█"
_NEWS = 6
#: Columns from which words are written out, and from which the speed has room.
_WIDE, _WIDEST = 100, 120


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
    parts: list[RenderableType] = [_head(state, now)]
    if state.message and state.ended:
        parts.append(Text(state.message))
    if problem := state.problem or state.held:
        parts.append(Text(problem, style="yellow"))
    if state.stopping:
        parts.append(Text(say("live.stopping"), style="yellow"))
    parts.append("")
    grid = Table.grid(padding=(0, 2))
    for _ in range(5):
        grid.add_column(no_wrap=True, overflow="ellipsis")
    # what does not fit would be cut off at the bottom: first the running trials are shortened, then the news
    finals = [(n, said) for n, one in sorted(state.lengths.items()) for said in one.finals]
    told = [f"{say('words.of-tokens', length=n)}: {said}" for n, said in finals]
    # an interval is not cut off: it may take two lines
    lines = sum(-(-cell_len(one) // max(1, width)) for one in told)
    room = height - 1 - len(parts) - len(state.lengths) - lines - (4 if state.news else 0)
    running = [] if state.ended else [(n, t) for n in sorted(state.lengths) for t in state.lengths[n].running]
    shown = len(running) if len(running) <= room else max(0, room - 1)
    for length in sorted(state.lengths):
        grid.add_row(*_length_cells(state.lengths[length], width))
        for seq_len, trial in running[:shown]:
            if seq_len == length:
                grid.add_row(*_trial_cells(trial, width))
    parts.append(grid)
    cut = shown < len(running)
    if cut:
        parts.append(Text(f"  {say('live.more', n=len(running) - shown)}", style="dim"))
    parts += [Text(one) for one in told]
    news = list(state.news)[-min(_NEWS, max(2, room - shown - cut + 2)) :]
    if news:
        parts += ["", Text(say("live.events"), style="bold")]
    for when, text in news:
        stamp = (f" {when.astimezone():%H:%M:%S}  ", "dim")
        parts.append(Text.assemble(stamp, (text, ""), no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def _head(state: LiveState, now: datetime) -> Text:
    head = Text.assemble((state.study or "", "bold"), "  ", phase_text(state.phase, state.interrupted))
    if state.started_at and not state.interrupted:
        span = (state.finished_at or now) - state.started_at
        head.append(f"  {say('live.elapsed', span=span)}")
    if state.remaining is not None and not state.ended:
        head.append(f"  {say('words.left', span=state.remaining)}")
    if state.gpu_seconds:
        head.append(f"  {say('live.gpu-hours', hours=state.gpu_seconds / 3600)}")
    if state.stage and not any(one.trials for one in state.lengths.values()):
        head.append(f"  {state.stage} ")
        if state.stage_share is not None:
            head.append_text(bar(round(100 * state.stage_share), 100))
    return head


def _length_cells(one: LiveLength, width: int) -> list[RenderableType]:
    best = one.best
    planned = one.planned if one.planned is not None else len(one.trials)
    failed = sum(t.state is TrialState.FAILED for t in one.trials.values())
    fact = Text(
        say("live.best", score=best.value, trial=best.number) if best else say("live.no-best"),
        style="green" if best else "dim",
    )
    if failed:
        fact.append(f", {say('live.failed', n=failed)}", style="red")
    return [
        Text(say("words.of-tokens", length=one.seq_len), style="bold"),
        bar(one.done, planned, _bar_width(width)),
        say("live.of", done=one.done, planned=planned) if width >= _WIDE else f"{one.done}/{planned}",
        fact,
        Text(sparkline([t.value or 0.0 for t in one.complete][-_bar_width(width) :]), style="green"),
    ]


def _trial_cells(trial: LiveTrial, width: int) -> list[RenderableType]:
    wide = width >= _WIDE
    name = Text(f"  {say('words.run-number' if trial.finalist else 'words.trial-number', n=trial.number)}")
    if trial.waits:
        said = Text(trial.waits, style="yellow")
        return [name, Text(say("words.state-waiting"), style="yellow"), "", said, ""]
    done, of = trial.step, trial.steps or 0
    count = f"{done}/{of}"
    if not of and trial.scores and trial.evaluations:
        done, of = max(trial.scores), trial.evaluations
        count = say("live.evaluations", done=done, planned=of) if wide else f"{done}/{of}"
    if not of:
        return [name, Text(say("live.starting"), style="dim"), "", "", ""]
    facts = []
    if trial.score is not None:
        facts.append(say("live.score", score=trial.score) if wide else score(trial.score))
    if trial.loss is not None:
        facts.append(say("live.loss", loss=trial.loss))
    if trial.step_seconds and trial.steps:
        left = (trial.steps - trial.step) * trial.step_seconds
        facts.append(say("words.left" if wide else "live.left-short", span=left))
    if trial.tokens_per_second and width >= _WIDEST:
        facts.append(say("live.speed", n=trial.tokens_per_second))
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
    """Shows a study as its moments come; a terminal that can move its cursor gets the view, anything else plain lines."""

    def __init__(self, state: LiveState, console: Console) -> None:
        self.state = state
        self._console = console
        self._printed = 0

    def show(self, moments: Iterable[Moment]) -> None:
        """Show all moments; on a terminal the last one stays."""
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            for moment in moments:
                self._take(moment)
                self._print_news()
            return
        with Live(console=self._console, auto_refresh=False, transient=False) as live:
            for moment in moments:
                now = self._take(moment)
                live.update(screen(self.state, now, *self._console.size), refresh=True)

    def _take(self, moment: Moment) -> datetime:
        now = datetime.now(UTC)
        for event in moment.events:
            self.state.apply(event)
        self.state.problem = said(moment.problem)
        if moment.stopping and not self.state.stopping:
            self.state.stop(now)
        if moment.view is not None:
            self.state.sync(moment.view, now)
        return now

    def _print_news(self) -> None:
        fresh = min(self.state.told - self._printed, len(self.state.news))
        for when, text in list(self.state.news)[len(self.state.news) - fresh :]:
            self._console.print(
                f"{when.astimezone():%H:%M:%S} {text}", highlight=False, markup=False, soft_wrap=True
            )
        self._printed = self.state.told
