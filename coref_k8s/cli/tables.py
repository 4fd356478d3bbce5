"""Studies and trials as tables for a person."""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from coref_k8s.cli import words
from coref_k8s.cli.console import titled
from coref_k8s.cli.strings import say
from coref_k8s.client.results import ordered
from coref_k8s.controller.view import StudyView
from coref_k8s.report.budgets import budgets
from coref_k8s.report.messages import told
from coref_k8s.report.verdict import Lang, standing
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.store.records import Phase

PHASE_STYLES = {
    Phase.PENDING: "dim",
    Phase.PREPARING: "cyan",
    Phase.RUNNING: "cyan",
    Phase.SUCCEEDED: "green",
    Phase.FAILED: "red",
    Phase.CANCELLED: "yellow",
}
#: Parameters that the results table has room for; csv and json have all.
_SHOWN = {"learning_rate": "lr"}


def phase_text(phase: Phase, lang: Lang = "en") -> Text:
    """Return a phase in its colour."""
    return Text(phase_word(phase, lang), style=PHASE_STYLES[phase])


def phase_word(phase: Phase, lang: Lang) -> str:
    """Return a phase in words; in English as the resource has it."""
    return phase.value if lang == "en" else say(lang, phase.value.lower())


def place_word(place: str, lang: Lang) -> str:
    """Return where a study is; a cluster has a name of its own."""
    return say(lang, "this_machine") if place == "this machine" else place


def bar(done: int, of: int, width: int = 12) -> Text:
    """Return a progress bar."""
    full = round(width * min(done, of) / of) if of else width
    text = Text("█" * full, style="green")
    text.append("░" * (width - full), style="dim")
    return text


def status(view: StudyView, place: str, now: datetime | None = None, lang: Lang = "en") -> RenderableType:
    """Return a study's state: how far each length is, the best so far, what failed and why."""
    now = now or datetime.now(UTC)
    phase = phase_text(view.phase, lang)
    head = Text.assemble((view.name, "bold"), "  ", phase, say(lang, "on", place=place_word(place, lang)))
    if (elapsed := view.elapsed(now)) is not None:
        head.append(f", {words.lasting(elapsed, lang)}")
    if (left := view.remaining(now)) is not None:
        head.append(f"; {say(lang, 'left', span=words.lasting(left, lang))}")
    parts: list[RenderableType] = [head]
    if limits := budgets(view, now, lang):
        parts.append(Text(limits))
    if view.why:
        parts.append(Text(told(view.why, lang)))
    parts += ["", lengths(view, lang), ""]
    said = [
        Text(f"{say(lang, 'tokens', n=n.seq_len)}: {one}")
        for n in view.lengths
        for one in standing(n, view.ended, lang)
    ]
    if said and (view.runs or view.verdicts or view.spec.purpose.kind != "search"):
        parts += [*said, ""]
    if any(one.reason for one in view.waiting):
        parts += [waiting(view, lang), ""]
    if view.failures:
        parts += [failures(view, lang), ""]
    return Group(*parts)


def after(view: StudyView) -> list[str]:
    """Return what to type after a search has succeeded: its best parameters are there to be trained with."""
    if view.phase is not Phase.SUCCEEDED or view.spec.purpose.kind != "search":
        return []
    lengths = view.spec.seq_lengths
    which = f" --seq-len {lengths[-1]}" if len(lengths) > 1 else ""
    return [f"train {view.name} --from-best{which}"]


def lengths(view: StudyView, lang: Lang = "en") -> Table:
    """Return one row a sequence length."""
    table = titled()
    some_wait = any(one.waiting for one in view.lengths)
    idle = ["s_waiting"] if some_wait else []
    for key in ("h_tokens", "h_progress", "s_running", *idle, "s_pruned", "s_failed", "h_best", "h_trial"):
        table.add_column(say(lang, key), justify="left" if key == "h_progress" else "right", no_wrap=True)
    for one in view.lengths:
        best = one.best
        table.add_row(
            str(one.seq_len),
            Text.assemble(
                bar(one.done, one.planned), f" {say(lang, 'count_of', done=one.done, all=one.planned)}"
            ),
            str(len(one.running)),
            *([str(len(one.waiting))] if some_wait else []),
            str(one.counts[TrialState.PRUNED]),
            Text(str(one.counts[TrialState.FAILED]), style="red" if one.counts[TrialState.FAILED] else ""),
            words.score(one.verdict.dev if one.verdict else best.value) if best else "–",
            str(best.number) if best else "–",
        )
    return table


def waiting(view: StudyView, lang: Lang = "en") -> Table:
    """Return what was begun and does not run, with what it waits for."""
    table = titled()
    table.add_column(say(lang, "s_waiting"), no_wrap=True)
    table.add_column(say(lang, "h_for"))
    for one in view.waiting:
        if one.reason is not None:
            parts = [str(part) for part in (one.seq_len, one.kind.value, one.trial) if part is not None]
            table.add_row(" ".join(parts), told(one.message, lang) or one.reason.value)
    return table


def failures(view: StudyView, lang: Lang = "en") -> Table:
    """Return the failed trials with their reasons."""
    table = titled()
    table.add_column(say(lang, "s_failed"), no_wrap=True)
    table.add_column(say(lang, "h_why"))
    for trial in view.failures:
        who = say(lang, "who", length=trial.seq_len, trial=trial.number)
        table.add_row(who, told(trial.reason or "unknown", lang))
    return table


def results(view: StudyView, *, most: int | None = None, lang: Lang = "en") -> RenderableType:
    """Return the trials of each length, best first, the others behind; at most `most` a length."""
    parts: list[RenderableType] = []
    for one in view.lengths:
        trials = ordered(one)
        shown = trials[:most]
        title = f"{view.name}: {say(lang, 'tokens', n=one.seq_len)}"
        parts.append(_trials(title, shown, {t.number for t in one.waiting}, lang))
        if len(shown) < len(trials):
            parts.append(Text(f" {say(lang, 'more_trials', n=len(trials) - len(shown))}", style="dim"))
        parts.append("")
        if one.runs:
            parts += [_runs(f"{title}, {say(lang, 'h_finalists')}", one.runs, lang), ""]
            parts += [*(Text(said) for said in standing(one, view.ended, lang)), ""]
    return Group(*parts)


def _trials(title: str, trials: Sequence[TrialRecord], waiting: Container[int], lang: Lang) -> Table:
    table = titled(title)
    columns = [name for name in _SHOWN if any(name in t.params for t in trials)]
    trial_word, score, gain, time, state = (
        say(lang, key) for key in ("h_trial", "h_score", "h_gain", "h_time", "h_state")
    )
    headings = [trial_word, score, "F1", "Top5", gain, "LAMBADA", gain, *(_SHOWN[name] for name in columns)]
    for heading in [*headings, time]:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(state, no_wrap=True)
    for trial in trials:
        table.add_row(
            str(trial.number),
            words.score(trial.value),
            words.score(trial.metrics.get("coref_f1")),
            words.score(trial.metrics.get("coref_top5")),
            words.gain(trial.metrics, "coref_top5"),
            words.score(trial.metrics.get("lbd_top1")),
            words.gain(trial.metrics, "lbd_top1"),
            *(words.parameter(trial.params.get(name, "–")) for name in columns),
            words.span(trial.started_at, trial.finished_at, lang),
            say(lang, "s_waiting" if trial.number in waiting else f"s_{trial.state.value}"),
            style="" if trial.state is TrialState.COMPLETE else "dim",
        )
    return table


def _runs(title: str, runs: Sequence[TrialRecord], lang: Lang) -> Table:
    table = titled(title)
    for key in ("h_run", "h_of", "h_seed", "h_dev", "h_time", "h_state"):
        left = key in ("h_of", "h_state")
        table.add_column(say(lang, key), justify="left" if left else "right", no_wrap=True)
    for run in sorted(runs, key=lambda run: (-(run.value or 0.0), run.number)):
        trial = run.attrs.get("of_trial")
        table.add_row(
            str(run.number),
            say(lang, "trial", n=trial) if trial is not None else say(lang, f"r_{run.attrs.get('role')}"),
            str(run.attrs.get("seed")),
            words.score(run.value),
            words.span(run.started_at, run.finished_at, lang),
            say(lang, f"s_{run.state.value}"),
            style="" if run.state is TrialState.COMPLETE else "dim",
        )
    return table
