"""The sections that are tables: metrics, reference metrics, distances, parameters, every trial, cost."""

from __future__ import annotations

from collections import defaultdict
from html import escape
from typing import Any

from coref_k8s.report.charts import legend
from coref_k8s.report.context import Context, key_of
from coref_k8s.report.figures import reported
from coref_k8s.report.html import Cell, Raw, grouped, table, whisker
from coref_k8s.report.metrics import gain, guess_without, interval_of, metric, metrics_of
from coref_k8s.report.parallel import axis
from coref_k8s.search.records import TrialRecord
from coref_k8s.store.records import Outcome
from coref_k8s.wording.formats import UNKNOWN, difference, duration, number, parameter, percent, score

#: Rows of the table of all trials, for each length.
_ROWS = 500


def metrics(page: Context) -> str:
    """The best of each length, on the documents that the head speaks of: value, interval, gain, and what needs no model."""
    rows: list[list[Cell]] = []
    best = [(one.seq_len, figure) for one in page.view.lengths if (figure := reported(one)) is not None]
    task, shown = page.view.spec.task, ("score", *metrics_of(page.view.spec))
    gains = any(f"{name}_gain" in figure.metrics for _, figure in best for name in shown)
    ends = [f.metrics.get(f"{name}_ci_high", f.metrics.get(name, 0.0)) for _, f in best for name in shown]
    top = min(1.0, max(ends, default=1.0) * 1.1) or 1.0
    for length, figure in best:
        found: dict[str, Any] = {
            **figure.given, "score": figure.score, "score_ci_low": figure.low, "score_ci_high": figure.high
        }  # fmt: skip
        for name in shown:
            if (value := found.get(name)) is None or name in figure.not_given:
                continue
            low, high = found.get(f"{name}_ci_low"), found.get(f"{name}_ci_high")
            guess = guess_without(found, name)
            rows.append(
                [
                    str(length), figure.of.say(page.lang), metric(name, page.lang),
                    score(value), whisker(value, low, high, guess=guess, top=top), interval_of(found, name),
                    *(["" if name == "score" else gain(found, name)] if gains else []),
                    "" if guess is None else score(guess),
                ]
            )  # fmt: skip
    if not rows:
        return page.about("report.too-few" if best else "report.no-trials")
    heads = page.heads(
        "words.tokens", "report.measured", "words.metric", "words.value", "", "words.interval",
        *(["words.gain"] if gains else []), "report.guess",
    )  # fmt: skip
    weights, splits = page.view.spec.objective.weights, {figure.split for _, figure in best}
    formula = " + ".join(
        f"{'' if weight == 1 else f'{weight:g} '}{metric(name, page.lang)}"
        for name, weight in weights.items()
    )
    return (
        table(heads, grouped(rows, 2), left=3)
        + page.about("report.score-about", formula=formula)
        + (page.about("report.proxy-about") if task == "mentions" else "")
        + (page.about("report.chosen-on-dev") if "dev" in splits else "")
        + (page.about("report.chosen-before") if "test" in splits else "")
        + page.about("report.interval-about")
        + (page.about("report.gain-about") if gains else "")
        + page.about(f"report.guess-about-{task}")
    )


def reference(page: Context) -> str:
    """The metrics as the reference report defines them, each beside what a constant list scores."""
    rows: list[list[Cell]] = []
    for one in page.view.lengths:
        if (figure := reported(one)) is None:
            continue
        found = figure.metrics
        for name in metrics_of(page.view.spec):
            value, constant = found.get(f"seed_{name}"), found.get(f"baseline_seed_{name}")
            if value is not None:
                more = None if constant is None else value - constant
                rows.append(
                    [str(one.seq_len), figure.of.say(page.lang), metric(name, page.lang), score(value),
                     whisker(value, guess=constant),
                     score(constant), difference(more)]
                )  # fmt: skip
    if not rows:
        return ""
    heads = page.heads(
        "words.tokens", "report.measured", "words.metric", "words.value", "", "report.guess", "report.reference-more",
    )  # fmt: skip
    return page.about("report.reference-about") + table(heads, grouped(rows, 2), left=3)


def distance(page: Context) -> str:
    """The metrics of the best trials by how far the antecedent is."""
    rows: list[list[Cell]] = []
    for one in page.view.lengths:
        if one.best is None:
            continue
        found, known = one.best.metrics, one.best.attrs.get("evidence", {})
        for bucket in known.get("buckets", ()):
            up_to, n = bucket["up_to"], bucket["n"]
            where = f"{number(bucket['above'] + 1)}–{number(up_to)}"
            top5 = found.get(f"coref_top5_to{up_to}")
            if top5 is None:
                cells: list[Cell] = [
                    Raw(f'<span class="dim">{page.say("words.too-small")}</span>'),
                    "",
                    "",
                    "",
                ]
            else:
                # a result of an older version has no interval
                low, high = (found.get(f"coref_top5_to{up_to}_ci_{end}") for end in ("low", "high"))
                cells = [
                    score(found.get(f"coref_top1_to{up_to}")), score(top5), whisker(top5, low, high),
                    difference(found.get(f"coref_top5_gain_to{up_to}")),
                ]  # fmt: skip
            rows.append([str(one.seq_len), where, str(n), *cells])
    if not rows:
        return ""
    heads = page.heads(
        "words.tokens", "report.distance-range", "words.items",
        "words.metric-coref_top1", "words.metric-coref_top5", "", "words.metric-coref_top5_gain",
    )  # fmt: skip
    return (
        page.about("report.distance-about")
        + page.about("report.on-dev-once")
        + table(heads, grouped(rows), left=2)
    )


def parameters(page: Context) -> str:
    """Parameters of the best trials, and where in the searched range they lie."""
    best = [one.best for one in page.view.lengths if one.best is not None]
    names = dict.fromkeys(name for trial in best for name in trial.params)
    if not names:
        return ""
    heads: list[Cell] = [page.plain("words.parameter")]
    heads += [page.named(t) for t in best]
    rows = [[name, *(placed(page, trial, name) for trial in best)] for name in names]
    return page.about("report.params-about") + table(heads, rows)


def placed(page: Context, trial: TrialRecord, name: str) -> Cell:
    """Return a parameter's value and where in the searched range it lies."""
    if name not in trial.params:
        return UNKNOWN
    value = trial.params[name]
    one = axis(name, page.view.spec, trial.seq_len, [value])
    slot = ""
    if not one.choices and one.high > one.low:
        title = f"{parameter(one.low)} – {parameter(one.high)}{' log' if one.log else ''}"
        slot = f'<span class="slot" title="{escape(title)}"><i style="left:{100 * one.place(value):.0f}%"></i></span>'
    return Raw(escape(parameter(value)) + slot)


def trials(page: Context) -> str:
    """Every trial with scores, parameters and time, to be sorted."""
    parts = []
    for one in page.view.lengths:
        if not one.trials:
            continue
        shown = one.ordered[:_ROWS]
        names = list(dict.fromkeys(name for t in shown for name in t.params))
        columns = [name for name in metrics_of(page.view.spec) if any(name in t.metrics for t in shown)]
        heads = [
            *page.heads("words.trial", "words.state", "words.metric-score"),
            *(metric(name, page.lang) for name in columns),
        ]
        ways = page.ways(shown)
        rows: list[list[Cell]] = []
        for t in shown:
            rows.append(
                [
                    str(t.number), page.plain(f"words.state-{t.state.value}"), score(t.shown.get("score")),
                    *(score(t.shown.get(name)) for name in columns),
                    UNKNOWN if t.seconds is None else f"{t.seconds:,.0f} s",
                    *(parameter(t.params.get(name)) for name in names),
                    *page.arrows(t, ways),
                ]
            )  # fmt: skip
        opened = " open" if len(page.view.lengths) == 1 and len(shown) <= 30 else ""
        body = table(
            [
                *heads,
                page.plain("words.time"),
                *names,
                *(page.plain(f"report.title-{kind}") for kind in ways),
            ],
            rows,
            keys=[key_of(t) for t in shown],
            name="sortable",
        )
        title = f"{page.length(one.seq_len)} ({len(one.trials)}): {page.plain('report.on-dev-once')}"
        parts.append(f"<details{opened}><summary>{escape(title)}</summary>{body}</details>")
        if len(shown) < len(one.trials):
            parts.append(page.about("report.only-best", shown=len(shown), n=len(one.trials)))
    return "".join(parts)


def cost(page: Context) -> str:
    """GPU time and time of the ended attempts by outcome."""
    if not page.view.attempts:
        return page.about("report.cost-none")
    sums: dict[Outcome, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for one in page.view.attempts:
        for place, value in enumerate((1.0, one.gpu_seconds, one.seconds)):
            sums[one.outcome][place] += value
    total = [sum(column) for column in zip(*sums.values(), strict=True)]
    basis = 1 if total[1] else 2  # without GPUs the time of the attempts is what was spent
    colours = dict(zip(Outcome, ("c2", "c5", "c3", "c1", "c4", "faint"), strict=True))
    known = [outcome for outcome in Outcome if outcome in sums]

    def row(name: str, values: list[float]) -> list[Cell]:
        share = values[basis] / total[basis] if total[basis] else 0.0
        gpu, spent = (duration(seconds, page.lang) for seconds in values[1:])
        return [
            name,
            f"{values[0]:.0f}",
            *([f"{values[1]:,.0f}", gpu] if total[1] else []),
            spent,
            percent(share, page.lang),
        ]

    rows = [row(page.plain(f"words.outcome-{outcome.value}"), sums[outcome]) for outcome in known]
    rows.append(row(page.plain("report.total"), total))
    stack = "".join(
        f'<i class="{colours[outcome]}" style="flex:{sums[outcome][basis]:.3f}"></i>'
        for outcome in known
        if sums[outcome][basis]
    )
    on_gpu = ("report.gpu-seconds", "report.gpu-time") if total[1] else ()
    heads = page.heads("report.outcome", "report.attempts", *on_gpu, "report.wall-time", "report.share")
    return (
        page.about("report.cost-about" if total[1] else "report.cost-time")
        + f'<div class="stack">{stack}</div>'
        + legend([(colours[outcome], page.plain(f"words.outcome-{outcome.value}")) for outcome in known])
        + table(heads, rows, total=True)
    )
