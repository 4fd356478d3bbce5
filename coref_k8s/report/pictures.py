"""The sections that are drawn: history, learning curves, score against length, importance, parallel coordinates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from coref_k8s.controller.view import LengthView
from coref_k8s.report.charts import MOST, Chart, Mark, legend
from coref_k8s.report.context import Context, key_of, scored
from coref_k8s.report.importance import LEAST, importances
from coref_k8s.report.parallel import parallel
from coref_k8s.search.records import LOSSES_ATTR, TrialRecord, TrialState
from coref_k8s.wording.formats import percent

Points = Sequence[tuple[float, float]]


def history(page: Context) -> str:
    """Every trial by its number, and the best so far; nothing for a single trial."""
    if sum(len(scored(one.trials)) for one in page.view.lengths) < 2:
        return ""
    chart = page.chart("history", page.plain("words.trial"), page.plain("words.metric-score"))
    left_out = 0
    for one in page.view.lengths:
        colour = page.colour(one.seq_len)
        best: list[tuple[float, float]] = []
        told = sorted(scored(one.trials), key=lambda t: t.number)
        if chart.window:
            told = [t for t in told if chart.window[0] <= t.number <= chart.window[1]]
        drawn = _some(told)
        left_out += len(told) - len(drawn)
        for trial in told:
            value = trial.value or 0.0
            pruned = trial.state is TrialState.PRUNED
            if not pruned and (not best or value > best[-1][1]):
                best += (
                    [(trial.number, best[-1][1]), (trial.number, value)] if best else [(trial.number, value)]
                )
            style = f"{colour} ring" if pruned else colour
            if trial.number in drawn:
                chart.marks.append(Mark([(trial.number, value)], style, key_of(trial)))
        if best:
            best.append((max(t.number for t in one.trials), best[-1][1]))
            chart.marks.insert(0, Mark(best, f"{colour} step", line=True))
            chart.legend.append((colour, page.length(one.seq_len)))
    if any(t.state is TrialState.PRUNED for t in page.view.trials):
        chart.legend.append(("ring", page.plain("words.state-pruned")))
    chart.legend.append(("step", page.plain("report.best-so-far")))
    thinned = page.about("report.thinned", n=left_out) if left_out else ""
    return page.about("report.history-about") + thinned + chart.svg()


def _some(trials: Sequence[TrialRecord]) -> set[int]:
    """Return the numbers of the trials that a chart of all draws: the best of each of MOST equal stretches."""
    size = -(-len(trials) // MOST) or 1
    stretches = (trials[at : at + size] for at in range(0, len(trials), size))
    return {max(stretch, key=lambda t: t.value or 0.0).number for stretch in stretches}


def by_length(page: Context) -> str:
    """The best of each length with its interval, the others beside it; nothing for a single trial."""
    if sum(len(one.ranked) for one in page.view.lengths) < 2:
        return ""
    chart = Chart(
        page.plain("words.tokens"), page.plain("words.metric-score"), x_ticks=page.view.spec.seq_lengths
    )
    line: list[tuple[float, float]] = []
    for one in page.view.lengths:
        for trial in one.ranked[1:MOST]:
            chart.marks.append(Mark([(one.seq_len, trial.value or 0.0)], "faint", key_of(trial)))
    for one in page.view.lengths:
        if one.best is None or one.best.value is None:
            continue
        low, high = one.best.metrics.get("score_ci_low"), one.best.metrics.get("score_ci_high")
        spread = (low, high) if low is not None and high is not None else None
        line.append((one.seq_len, one.best.value))
        chart.marks.append(Mark([line[-1]], page.colour(one.seq_len), key_of(one.best), spread=spread))
    if len(line) > 1:
        chart.marks.insert(0, Mark(line, "c5 step", line=True))
    chart.legend = [("c0", page.plain("report.best-of-length")), ("faint", page.plain("report.other-trials"))]
    drawn = chart.svg()
    return drawn and page.about("report.lengths-about") + drawn


def curves(page: Context) -> str:
    """Score at each evaluation, one chart a length."""
    names = ("curve", page.plain("report.evaluation"), page.plain("words.metric-score"))
    drawn = _of_each_length(
        page, names, lambda t: [] if "score" in t.not_given else sorted(t.intermediate.items())
    )
    return drawn and page.about("report.curves-about") + drawn


def losses(page: Context) -> str:
    """Training loss by step, one chart a length."""
    drawn = _of_each_length(page, ("loss", page.plain("report.step"), page.plain("report.loss")), losses_of)
    return drawn and page.about("report.losses-about") + drawn


def losses_of(trial: TrialRecord) -> Points:
    """Return the training loss as a trial has told it: last steps of equal stretches, and their means (nats)."""
    return [(step, loss) for step, loss in trial.attrs.get(LOSSES_ATTR, ()) if loss is not None]


def _of_each_length(page: Context, names: tuple[str, str, str], line: Callable[[TrialRecord], Points]) -> str:
    """Return a chart a length with a line a trial: the best in colour, dashed what was pruned."""
    parts = []
    for one in page.view.lengths:
        told = [(t, line(t)) for t in one.trials]
        if all(len(points) < 2 for _, points in told):
            continue  # one evaluation is no curve
        told.sort(
            key=lambda pair: (pair[0] is one.best, pair[0].state is TrialState.COMPLETE, pair[0].value or 0.0)
        )
        name, x_name, y_name = names
        chart = page.chart(f"{name}-{one.seq_len}", x_name, y_name)
        for trial, points in told[-MOST:]:
            if points:
                style = _style(page, one, trial)
                chart.marks.append(Mark(points, style, key_of(trial), line=len(points) > 1))
        chart.legend = [(page.colour(one.seq_len), page.plain("words.best"))] if one.best else []
        states = {t.state for t, _ in told if t is not one.best}
        shown = (("faint", TrialState.COMPLETE), ("faint dash", TrialState.PRUNED))
        chart.legend += [
            (style, page.plain(f"words.state-{state.value}")) for style, state in shown if state in states
        ]
        parts.append(f"<div><h3>{page.length(one.seq_len)}</h3>{chart.svg()}</div>")
    return f'<div class="two">{"".join(parts)}</div>' if parts else ""


def _style(page: Context, one: LengthView, trial: TrialRecord) -> str:
    if trial is one.best:
        return f"{page.colour(one.seq_len)} best"
    if trial.state is TrialState.RUNNING:
        return f"{page.colour(one.seq_len)} dash"
    return "faint dash" if trial.state is TrialState.PRUNED else "faint"


def importance(page: Context) -> str:
    """Which parameters mattered, one list of bars a length; nothing where none was searched."""
    if page.view.spec.purpose.kind != "search":
        return ""
    parts, explained = [], False
    for one in page.view.lengths:
        if not one.ranked:
            continue
        found = importances(page.view.spec, one.seq_len, one.trials)
        title = f"<h3>{page.length(one.seq_len)}</h3>"
        if found is None:
            few = len(one.ranked) < LEAST
            why = (
                page.about("report.importance-few", n=len(one.ranked), least=LEAST)
                if few
                else page.about("report.importance-flat")
            )
            parts.append(f"<div>{title}{why}</div>")
            continue
        most = max(max(p.share, p.chance) for p in found.parameters)
        bars = "".join(
            f'<span{weak}>{escape(p.name)}</span><i{weak}><b style="width:{100 * p.share / most:.1f}%"></b>'
            f'<u style="left:{100 * p.chance / most:.1f}%"></u></i><span{weak}>{percent(p.share, page.lang)}</span>'
            for p in found.parameters
            for weak in ["" if p.shown else ' class="weak"']
        )
        explained = True
        about = page.about("report.importance-rests", n=found.trials, top=found.top)
        marks = legend([("c0", page.plain("report.share-of")), ("mark", page.plain("report.chance"))])
        parts.append(f'<div>{title}{about}<div class="bars">{bars}</div>{marks}</div>')
    about = page.about("report.importance-about") if explained else ""
    return f'{about}<div class="two">{"".join(parts)}</div>' if parts else ""


def coordinates(page: Context) -> str:
    """Parallel coordinates, one drawing a length."""
    parts = []
    for one in page.view.lengths:
        drawn = parallel(page.view.spec, one.seq_len, one.trials, page.plain("words.metric-score"))
        if not drawn:
            continue
        parts.append(f"<h3>{page.length(one.seq_len)}</h3>{drawn}")
        if (n := len(scored(one.trials))) > MOST:
            parts.append(page.about("report.only-best", shown=MOST, n=n))
    return page.about("report.parallel-about") + "".join(parts) if parts else ""
