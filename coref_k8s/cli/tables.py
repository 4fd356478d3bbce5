"""Studies and trials as tables for a person."""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from coref_k8s.cli.console import headed, titled
from coref_k8s.cli.speech import lang, said, say
from coref_k8s.controller.view import StudyView
from coref_k8s.report.budgets import budgets
from coref_k8s.report.claims import conclusions
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.store.records import Phase
from coref_k8s.study.tasks import SHOWN
from coref_k8s.wording import Message
from coref_k8s.wording.formats import UNKNOWN, difference, duration, parameter, score

PHASE_STYLES = {
    Phase.PENDING: "dim",
    Phase.PREPARING: "cyan",
    Phase.RUNNING: "cyan",
    Phase.SUCCEEDED: "green",
    Phase.FAILED: "red",
    Phase.CANCELLED: "yellow",
    Phase.UNKNOWN: "yellow",
}
#: Parameters that the results table has room for; csv and json have all.
_SHOWN = ("learning_rate",)
#: Metrics that it has room for, by task.
_METRICS = {
    "mentions": ("coref_f1", "coref_top5", "coref_top5_gain", "lbd_top1", "lbd_top1_gain"),
    "coreference": SHOWN["coreference"],
}


def phase_text(phase: Phase) -> Text:
    """Return a phase in its colour."""
    return Text(said(phase.words), style=PHASE_STYLES[phase])


def bar(done: int, of: int, width: int = 12) -> Text:
    """Return a progress bar."""
    full = round(width * min(done, of) / of) if of else width
    text = Text("█" * full, style="green")
    text.append("░" * (width - full), style="dim")
    return text


def status(view: StudyView, place: Message, now: datetime | None = None) -> RenderableType:
    """Return a study's state: how far each length is, the best so far, what failed and why."""
    now = now or datetime.now(UTC)
    head = Text.assemble((view.name, "bold"), "  ", phase_text(view.phase), say("cli.on", place=place))
    if (elapsed := view.elapsed(now)) is not None:
        head.append(f", {duration(elapsed, lang())}")
    if (left := view.remaining(now)) is not None:
        head.append(f"; {say('words.left', span=left)}")
    parts: list[RenderableType] = [head]
    parts += [Text(one) for one in (budgets(view, now, lang()), said(view.message)) if one]
    parts += ["", lengths(view), ""]
    stand = [
        Text(f"{say('words.of-tokens', length=one.seq_len)}: {sentence}")
        for one in view.lengths
        for sentence in conclusions(one, view.ended, lang())
    ]
    if stand and (view.runs or view.verdicts or view.spec.purpose.kind != "search"):
        parts += [*stand, ""]
    if any(one.reason for one in view.waiting):
        parts += [waiting(view), ""]
    if view.failures:
        parts += [failures(view), ""]
    return Group(*parts)


def after(view: StudyView) -> list[str]:
    """Return what to type after a search has succeeded: its best parameters are there to be trained with."""
    if view.phase is not Phase.SUCCEEDED or view.spec.purpose.kind != "search":
        return []
    lengths = view.spec.seq_lengths
    which = f" --seq-len {lengths[-1]}" if len(lengths) > 1 else ""
    return [f"train {view.name} --from-best{which}"]


def lengths(view: StudyView) -> Table:
    """Return one row a sequence length."""
    some_wait = any(one.waiting for one in view.lengths)
    idle = ["words.state-waiting"] if some_wait else []
    table = headed(
        "words.tokens", "cli.progress", "words.state-running", *idle, "words.state-pruned", "words.state-failed",
        "words.best-score", "words.trial", left=("cli.progress",),
    )  # fmt: skip
    for one in view.lengths:
        best, failed = one.best, one.counts[TrialState.FAILED]
        table.add_row(
            str(one.seq_len),
            Text.assemble(bar(one.done, one.planned), " ", say("cli.of", done=one.done, planned=one.planned)),
            str(len(one.running)),
            *([str(len(one.waiting))] if some_wait else []),
            str(one.counts[TrialState.PRUNED]),
            Text(str(failed), style="red" if failed else ""),
            score(one.score),
            str(best.number) if best else UNKNOWN,
        )
    return table


def waiting(view: StudyView) -> Table:
    """Return what was begun and does not run, with what it waits for."""
    table = titled()
    table.add_column(say("words.state-waiting"), no_wrap=True)
    table.add_column(say("cli.for"))
    for one in view.waiting:
        if one.reason is not None:
            parts = [str(part) for part in (one.seq_len, one.kind.value, one.trial) if part is not None]
            table.add_row(" ".join(parts), said(one.message) or one.reason.value)
    return table


def failures(view: StudyView) -> Table:
    """Return the failed trials with their reasons."""
    table = titled()
    table.add_column(say("words.state-failed"), no_wrap=True)
    table.add_column(say("cli.why"))
    for trial in view.failures:
        who = say("live.who", length=trial.seq_len, trial=trial.number)
        table.add_row(who, said(trial.reason or Message.of("words.unknown")))
    return table


def results(view: StudyView, *, most: int | None = None) -> RenderableType:
    """Return the trials of each length, best first, the others behind; at most `most` a length."""
    parts: list[RenderableType] = []
    for one in view.lengths:
        trials = one.ordered
        shown = trials[:most]
        title = f"{view.name}: {say('words.of-tokens', length=one.seq_len)}"
        parts.append(_trials(title, view.spec.task, shown, {t.number for t in one.waiting}))
        if len(shown) < len(trials):
            parts.append(Text(f" {say('cli.more-trials', n=len(trials) - len(shown))}", style="dim"))
        parts.append("")
        if one.runs:
            parts += [_runs(f"{title}, {say('words.finalists')}", one.runs), ""]
            parts += [*(Text(sentence) for sentence in conclusions(one, view.ended, lang())), ""]
    return Group(*parts)


def _trials(title: str, task: str, trials: Sequence[TrialRecord], waiting: Container[int]) -> Table:
    table = titled(title)
    columns = [name for name in _SHOWN if any(name in t.params for t in trials)]
    metrics = [say(f"cli.column-{name}") for name in _METRICS[task]]
    params = [say(f"cli.column-{name}") for name in columns]
    for heading in [say("words.trial"), say("words.metric-score"), *metrics, *params, say("words.time")]:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(say("words.state"), no_wrap=True)
    for trial in trials:
        state = TrialState.WAITING if trial.number in waiting else trial.state
        table.add_row(
            str(trial.number),
            score(trial.value),
            *(_metric(trial, name) for name in _METRICS[task]),
            *(parameter(trial.params.get(name)) for name in columns),
            _span(trial),
            say(f"words.state-{state.value}"),
            style="" if trial.state is TrialState.COMPLETE else "dim",
        )
    return table


def _metric(trial: TrialRecord, name: str) -> str:
    value = trial.metrics.get(name)
    return difference(value) if name.endswith("_gain") else score(value)


def _runs(title: str, runs: Sequence[TrialRecord]) -> Table:
    table = headed(
        "words.run", "cli.run-of", "cli.seed", "cli.dev-score", "words.time", "words.state",
        left=("cli.run-of", "words.state"), title=title,
    )  # fmt: skip
    for run in sorted(runs, key=lambda run: (-(run.value or 0.0), run.number)):
        trial, role = run.attrs.get("of_trial"), run.attrs.get("role")
        table.add_row(
            str(run.number),
            say("words.trial-number", n=trial) if trial is not None else say(f"words.role-{role}"),
            str(run.attrs.get("seed")),
            score(run.value),
            _span(run),
            say(f"words.state-{run.state.value}"),
            style="" if run.state is TrialState.COMPLETE else "dim",
        )
    return table


def _span(trial: TrialRecord) -> str:
    return duration(trial.seconds, lang())
