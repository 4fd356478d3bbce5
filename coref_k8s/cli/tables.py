"""Studies and trials as tables for a person."""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.text import Text

from coref_k8s.cli.sheet import Sheet, headed
from coref_k8s.cli.speech import lang, said, say
from coref_k8s.controller.view import StudyView
from coref_k8s.report.budgets import budgets
from coref_k8s.report.claims import conclusions
from coref_k8s.report.figures import on_dev
from coref_k8s.report.metrics import interval_of
from coref_k8s.search.finalists import stands_for
from coref_k8s.search.records import SEED_ATTR, TrialRecord, TrialState
from coref_k8s.store.records import Phase, standing
from coref_k8s.study.tasks import SHOWN
from coref_k8s.wording import Message
from coref_k8s.wording.formats import UNKNOWN, difference, duration, interval, parameter, score

PHASE_STYLES = {
    Phase.PENDING: "dim",
    Phase.PREPARING: "cyan",
    Phase.RUNNING: "cyan",
    Phase.SUCCEEDED: "green",
    Phase.FAILED: "red",
    Phase.CANCELLED: "yellow",
    Phase.UNKNOWN: "yellow",
}
#: Parameters that the results table shows beside the metrics.
_SHOWN = ("learning_rate",)
#: Metrics that it has room for, by task.
_METRICS = {
    "mentions": ("coref_f1", "coref_top5", "coref_top5_gain", "lbd_top1", "lbd_top1_gain"),
    "coreference": SHOWN["coreference"],
}


def phase_text(phase: Phase, interrupted: bool) -> Text:
    """Return a phase in its colour, or that nobody works on a study that is in it."""
    words = standing(phase, interrupted)
    return Text(said(words), style="yellow" if interrupted else PHASE_STYLES[phase])


def bar(done: int, of: int, width: int = 12) -> Text:
    """Return a progress bar."""
    full = round(width * min(done, of) / of) if of else width
    text = Text("█" * full, style="green")
    text.append("░" * (width - full), style="dim")
    return text


def status(view: StudyView, place: Message, now: datetime | None = None) -> RenderableType:
    """Return a study's state: how far each length is, the best so far, what failed and why."""
    now = now or datetime.now(UTC)
    head = Text.assemble(
        (view.name, "bold"), "  ", phase_text(view.phase, view.interrupted), say("cli.on", place=place)
    )
    if (elapsed := view.elapsed(now)) is not None:
        head.append(f", {duration(elapsed, lang())}")
    if (left := view.remaining(now)) is not None:
        head.append(f"; {say('words.left', span=left)}")
    parts: list[RenderableType] = [head]
    parts += [Text(one) for one in (budgets(view, now, lang()), said(view.message or view.preparing)) if one]
    parts += ["", lengths(view), ""]
    stand = [
        Text(f"{say('words.of-tokens', length=one.seq_len)}: {sentence}")
        for one in view.lengths
        for sentence in conclusions(one, view.ended, lang())
    ]
    if stand and (view.runs or view.verdicts or view.spec.purpose.kind != "search"):
        parts += [*stand, ""]
    if view.held:
        parts += [waiting(view), ""]
    if view.failures:
        parts += [failures(view), ""]
    return Group(*parts[:-1])


def lengths(view: StudyView) -> Sheet:
    """Return one row a sequence length; the best score is one on dev, of as many runs as it says."""
    some_wait = any(one.waiting for one in view.lengths)
    idle = ["words.state-waiting"] if some_wait else []
    table = headed(
        "words.tokens", "", "cli.progress", "words.state-running", *idle, "words.state-pruned", "words.state-failed",
        "cli.best-on-dev", "words.interval", "cli.runs", "words.trial", left=("cli.progress", ""),
        spare=("words.interval", "", "words.state-pruned", "cli.runs"),
    )  # fmt: skip
    for one in view.lengths:
        best, failed = one.best, one.counts[TrialState.FAILED]
        found = on_dev(one)
        table.row(
            str(one.seq_len),
            bar(one.done, one.planned),
            say("cli.of", done=one.done, planned=one.planned),
            str(len(one.running)),
            *([str(len(one.waiting))] if some_wait else []),
            str(one.counts[TrialState.PRUNED]),
            Text(str(failed), style="red" if failed else ""),
            score(one.shown),
            interval(found.low, found.high) if found else UNKNOWN,
            str(found.runs) if found else UNKNOWN,
            str(best.number) if best else UNKNOWN,
        )
    return table


def waiting(view: StudyView) -> Sheet:
    """Return what was begun and does not run, with what it waits for."""
    table = headed("words.state-waiting", "cli.for", left=("words.state-waiting",), wrapped=("cli.for",))
    for one in view.held:
        parts = [str(part) for part in (one.seq_len, one.kind.value, one.trial) if part is not None]
        table.row(" ".join(parts), said(one.told))
    return table


def failures(view: StudyView) -> Sheet:
    """Return the failed trials with their reasons."""
    table = headed("words.state-failed", "cli.why", left=("words.state-failed",), wrapped=("cli.why",))
    for trial in view.failures:
        who = say("live.who", length=trial.seq_len, trial=trial.number)
        table.row(who, said(trial.reason or Message.of("words.unknown")))
    return table


def results(view: StudyView, *, most: int | None = None, params: bool = False) -> RenderableType:
    """Return the trials of each length, best first, the others behind, at most `most` a length.

    With their metrics, or with their parameters.
    """
    parts: list[RenderableType] = []
    for one in view.lengths:
        trials = one.ordered
        shown = trials[:most]
        title = f"{view.name}: {say('words.of-tokens', length=one.seq_len)}"
        heading = f"{title}, {say('cli.on-dev-once')}"
        idle = {t.number for t in one.waiting}
        if params:
            parts += _parameters(heading, shown, idle)
        else:
            parts.append(_trials(heading, view.spec.task, shown, idle))
        if len(shown) < len(trials):
            parts.append(Text(f" {say('cli.more-trials', n=len(trials) - len(shown))}", style="dim"))
        parts.append("")
        if one.runs:
            parts += [_runs(f"{title}, {say('cli.finalists-on-dev')}", one.runs), ""]
        stands = conclusions(one, view.ended, lang())
        parts += [*(Text(sentence) for sentence in stands), ""] if stands else []
    return Group(*parts[:-1])


def _trials(title: str, task: str, trials: Sequence[TrialRecord], idle: Container[int]) -> Sheet:
    metrics, columns = _METRICS[task], [name for name in _SHOWN if any(name in t.params for t in trials)]
    codes = [f"cli.column-{name}" for name in (*metrics, *columns)]
    gains = [code for code in codes if code.endswith("_gain")]
    others = [code for code in reversed(codes) if code not in gains]
    table = headed(
        "words.trial", "words.metric-score", "words.interval", *codes, "words.time", "words.state",
        left=("words.state",), title=title, spare=(*gains, *others[1:], "words.interval", "words.time", *others[:1]),
    )  # fmt: skip
    for trial in trials:
        table.row(
            str(trial.number),
            score(trial.shown.get("score")),
            interval_of(trial.shown, "score"),
            *(_metric(trial, name) for name in metrics),
            *(parameter(trial.params.get(name)) for name in columns),
            _span(trial),
            _state(trial, idle),
            style="" if trial.state is TrialState.COMPLETE else "dim",
        )
    return table


def _parameters(title: str, trials: Sequence[TrialRecord], idle: Container[int]) -> list[RenderableType]:
    """Return the trials with what was tuned; what all have in common stands below."""
    names = list(dict.fromkeys(name for t in trials for name in t.params))
    values = {name: [parameter(t.params.get(name)) for t in trials] for name in names}
    same = [name for name in names if len(trials) > 1 and len(set(values[name])) == 1]
    table = Sheet(title)
    table.column(say("words.trial"))
    table.column(say("words.metric-score"))
    for place, name in enumerate(tuned := [name for name in names if name not in same]):
        # the name as it is, in two lines where it has two words
        table.column(name.replace("_", "_\n", 1), spare=len(tuned) - place)
    table.column(say("words.state"), left=True)
    for n, trial in enumerate(trials):
        table.row(
            str(trial.number),
            score(trial.shown.get("score")),
            *(values[name][n] for name in tuned),
            _state(trial, idle),
            style="" if trial.state is TrialState.COMPLETE else "dim",
        )
    pairs = ", ".join(f"{name} {values[name][0]}" for name in same)
    return [table, Text(say("cli.same-in-all", values=pairs), style="dim")] if same else [table]


def _state(trial: TrialRecord, idle: Container[int]) -> str:
    return say(f"words.state-{(TrialState.WAITING if trial.number in idle else trial.state).value}")


def _metric(trial: TrialRecord, name: str) -> str:
    value = trial.shown.get(name)
    return difference(value) if name.endswith("_gain") else score(value)


def _runs(title: str, runs: Sequence[TrialRecord]) -> Sheet:
    table = headed(
        "words.run", "words.run-of", "words.seed", "words.metric-score", "words.interval", "words.time", "words.state",
        left=("words.run-of", "words.state"), spare=("words.time", "words.seed", "words.interval"), title=title,
    )  # fmt: skip
    for run in sorted(runs, key=lambda run: (-(run.value or 0.0), run.number)):
        table.row(
            str(run.number),
            said(stands_for(run)),
            str(run.attrs[SEED_ATTR]),
            score(run.shown.get("score")),
            interval_of(run.shown, "score"),
            _span(run),
            say(
                "words.state-dropped" if run.state is TrialState.PRUNED else f"words.state-{run.state.value}"
            ),
            style="" if run.state is TrialState.COMPLETE else "dim",
        )
    return table


def _span(trial: TrialRecord) -> str:
    return duration(trial.seconds, lang())
