"""The live view: a `LiveState` on a terminal, or its news as plain lines where there is no terminal.

`submit`, `resume`, `watch` and the dashboard use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from coref_k8s.cli.live import LiveLength, LiveState, LiveTrial
from coref_k8s.cli.sheet import FirstThatFits, Sheet
from coref_k8s.cli.speech import said, say
from coref_k8s.cli.tables import bar, phase_text
from coref_k8s.client.following import Moment
from coref_k8s.search.records import TrialState
from coref_k8s.wording.formats import score

_BLOCKS = "▁▂▃▄▅▆▇█"
_NEWS = 6
#: Tells how long a text is.
_MEASURE = Console()


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
    lengths = sorted(state.lengths.items())
    above = [_head(state, now)]
    if state.message and state.ended:
        above.append(Text(state.message))
    if problem := state.problem or state.held:
        above.append(Text(problem, style="yellow"))
    if state.stopping:
        above.append(Text(say("live.stopping"), style="yellow"))
    below = [Text(f"{say('words.of-tokens', length=n)}: {told}") for n, one in lengths for told in one.finals]
    # what does not fit would be cut off at the bottom: first the running trials are shortened, then the news
    room = height - 2 - len(lengths) - _lines([*above, *below], width)
    running = [] if state.ended else [trial for _, one in lengths for trial in one.running]
    rows = room - (4 if state.news else 0)
    shown = running if len(running) <= rows else running[: max(0, rows - 1)]
    parts: list[RenderableType] = [*above, "", _rows(lengths, shown)]
    if cut := len(running) - len(shown):
        parts.append(Text(f"  {say('live.more', n=cut)}", style="dim"))
    parts += below
    if state.news:
        parts += ["", Text(say("live.events"), style="bold")]
        parts += _news(state, max(2, room - len(shown) - bool(cut) - 2), width)
    return Group(*parts)


def _news(state: LiveState, room: int, width: int) -> list[Text]:
    """Return the last news that have room, oldest first."""
    found: list[Text] = []
    for when, text in reversed(list(state.news)[-_NEWS:]):
        told = Text.assemble((f" {when.astimezone():%H:%M:%S}  ", "dim"), text)
        room -= _lines([told], width)
        if room < 0 and found:
            break
        found.insert(0, told)
    return found


def _lines(texts: Iterable[Text], width: int) -> int:
    """Return how many lines texts take: nothing of them is cut off."""
    return sum(len(one.wrap(_MEASURE, max(1, width))) for one in texts)


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


@dataclass(frozen=True)
class _Form:
    """How much is said of a trial in its line."""

    words: bool = False
    """Whether words are written out."""
    speed: bool = False
    loss: bool = True
    left: bool = True

    @property
    def bars(self) -> int:
        """Cells of a bar, and of a curve."""
        return 16 if self.words else 8


#: The first that has room is taken.
_FORMS = (
    _Form(words=True, speed=True),
    _Form(words=True),
    _Form(),
    _Form(loss=False),
    _Form(loss=False, left=False),
)


def _rows(lengths: Sequence[tuple[int, LiveLength]], shown: Sequence[LiveTrial]) -> RenderableType:
    """Return a line for each length, and below it one for each of its trials that is shown."""
    return FirstThatFits(*(_sheet(lengths, shown, form) for form in _FORMS))


def _sheet(lengths: Sequence[tuple[int, LiveLength]], shown: Sequence[LiveTrial], form: _Form) -> Sheet:
    sheet = Sheet()
    for spare in (None, 1, None, None, 0):
        sheet.column("", left=True, spare=spare)
    for _, one in lengths:
        sheet.row(*_length_cells(one, form))
        for trial in one.running:
            if any(trial is each for each in shown):
                sheet.row(*_trial_cells(trial, form))
    return sheet


def _length_cells(one: LiveLength, form: _Form) -> list[str | Text]:
    best = one.best
    planned = one.planned if one.planned is not None else len(one.trials)
    failed = sum(t.state is TrialState.FAILED for t in one.trials.values())
    given = best is not None and not best.few
    told = "live.no-score" if best else "live.no-best"
    fact = Text(
        say("live.best", score=best.value, trial=best.number) if best and given else say(told),
        style="green" if given else "dim",
    )
    if failed:
        fact.append(f", {say('live.failed', n=failed)}", style="red")
    return [
        Text(say("words.of-tokens", length=one.seq_len), style="bold"),
        bar(one.done, planned, form.bars),
        say("live.of", done=one.done, planned=planned) if form.words else f"{one.done}/{planned}",
        fact,
        Text(sparkline([t.value or 0.0 for t in one.complete if not t.few][-form.bars :]), style="green"),
    ]


def _trial_cells(trial: LiveTrial, form: _Form) -> list[str | Text]:
    name = f"  {say('words.run-number' if trial.finalist else 'words.trial-number', n=trial.number)}"
    if trial.waits:  # the last events say for what
        return [name, Text(say("words.state-waiting"), style="yellow"), "", "", ""]
    done, of = trial.step, trial.steps or 0
    count = f"{done}/{of}"
    if not of and trial.scores and trial.evaluations:
        done, of = max(trial.scores), trial.evaluations
        count = say("live.evaluations", done=done, planned=of) if form.words else f"{done}/{of}"
    if not of:
        return [name, Text(say("live.starting"), style="dim"), "", "", ""]
    facts = []
    if trial.score is not None and not trial.few:
        facts.append(say("live.score", score=trial.score) if form.words else score(trial.score))
    if trial.loss is not None and form.loss:
        facts.append(say("live.loss", loss=trial.loss))
    if trial.step_seconds and trial.steps and form.left:
        left = (trial.steps - trial.step) * trial.step_seconds
        facts.append(say("words.left" if form.words else "live.left-short", span=left))
    if trial.tokens_per_second and form.speed:
        facts.append(say("live.speed", n=trial.tokens_per_second))
    return [
        name,
        bar(done, of, form.bars),
        count,
        ", ".join(facts),
        Text(sparkline([trial.scores[key] for key in sorted(trial.scores)]), style="cyan"),
    ]


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
                known = self.state.problem
                now = self._take(moment)
                if self.state.problem not in ("", known):
                    self.state.tell_problem(now)
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
