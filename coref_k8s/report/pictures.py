"""The sections that are drawn: history, learning curves, score against length, importance, parallel coordinates."""

from __future__ import annotations

from html import escape

from coref_k8s.controller.view import LengthView
from coref_k8s.report.charts import MOST, Chart, Mark, legend
from coref_k8s.report.context import Context, key_of, scored
from coref_k8s.report.importance import LEAST, importances
from coref_k8s.report.parallel import parallel
from coref_k8s.search.records import TrialState
from coref_k8s.wording.formats import percent


def history(page: Context) -> str:
    """Every trial by its number, and the best so far; nothing for a single trial."""
    if sum(len(scored(one.trials)) for one in page.view.lengths) < 2:
        return ""
    chart = Chart(page.plain("words.trial"), page.plain("words.metric-score"))
    for one in page.view.lengths:
        colour = page.colour(one.seq_len)
        best: list[tuple[float, float]] = []
        for trial in sorted(scored(one.trials), key=lambda t: t.number):
            value = trial.value or 0.0
            pruned = trial.state is TrialState.PRUNED
            if not pruned and (not best or value > best[-1][1]):
                best += (
                    [(trial.number, best[-1][1]), (trial.number, value)] if best else [(trial.number, value)]
                )
            style = f"{colour} ring" if pruned else colour
            chart.marks.append(Mark([(trial.number, value)], style, key_of(trial)))
        if best:
            best.append((max(t.number for t in one.trials), best[-1][1]))
            chart.marks.insert(0, Mark(best, f"{colour} step", line=True))
            chart.legend.append((colour, page.length(one.seq_len)))
    if any(t.state is TrialState.PRUNED for t in page.view.trials):
        chart.legend.append(("ring", page.plain("words.state-pruned")))
    chart.legend.append(("step", page.plain("report.best-so-far")))
    drawn = chart.svg()
    return drawn and page.about("report.history-about") + drawn


def by_length(page: Context) -> str:
    """The best of each length with its interval, the others beside it; nothing for a single trial."""
    if sum(len(one.ranked) for one in page.view.lengths) < 2:
        return ""
    chart = Chart(
        page.plain("words.tokens"), page.plain("words.metric-score"), x_ticks=page.view.spec.seq_lengths
    )
    line: list[tuple[float, float]] = []
    for one in page.view.lengths:
        for trial in one.ranked[1:]:
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
    parts = []
    for one in page.view.lengths:
        drawn = _curves_of(page, one)
        if drawn:
            parts.append(f"<div><h3>{page.length(one.seq_len)}</h3>{drawn}</div>")
    return page.about("report.curves-about") + f'<div class="two">{"".join(parts)}</div>' if parts else ""


def _curves_of(page: Context, one: LengthView) -> str:
    chart = Chart(page.plain("report.evaluation"), page.plain("words.metric-score"))
    told = [t for t in one.trials if t.intermediate]
    if all(len(t.intermediate) < 2 for t in told):
        return ""  # one evaluation is no curve
    told.sort(key=lambda t: (t is one.best, t.state is TrialState.COMPLETE, t.value or 0.0))
    for trial in told[-MOST:]:
        style = {TrialState.PRUNED: "faint dash", TrialState.RUNNING: f"{page.colour(one.seq_len)} dash"}.get(
            trial.state, "faint"
        )
        if trial is one.best:
            style = f"{page.colour(one.seq_len)} best"
        points = sorted(trial.intermediate.items())
        chart.marks.append(Mark(points, style, key_of(trial), line=len(points) > 1))
    chart.legend = [(page.colour(one.seq_len), page.plain("words.best"))] if one.best else []
    states = {t.state for t in told if t is not one.best}
    shown = (("faint", TrialState.COMPLETE), ("faint dash", TrialState.PRUNED))
    chart.legend += [
        (style, page.plain(f"words.state-{state.value}")) for style, state in shown if state in states
    ]
    return chart.svg()


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
