"""The report: what was tried, what is best, what it cost, and how to do it again, in one file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from html import escape
from importlib.resources import files

from coref_k8s import __version__
from coref_k8s.controller.view import StudyView
from coref_k8s.report import numbers, pictures
from coref_k8s.report.again import again, warnings
from coref_k8s.report.answer import answer
from coref_k8s.report.budgets import budgets
from coref_k8s.report.chains import antecedents, chains, sample
from coref_k8s.report.context import Context, key_of
from coref_k8s.report.figures import reported
from coref_k8s.report.finalists import finalists
from coref_k8s.report.metrics import metric, metrics_of
from coref_k8s.report.slices import slices
from coref_k8s.report.timeline import timeline
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.store.records import Outcome
from coref_k8s.wording import Lang
from coref_k8s.wording.formats import UNKNOWN, duration, parameter, score

#: Sections in their order: name (of its anchor, and of its title in the catalogue), what makes it, whether two fit
#: beside each other. One that returns nothing is left out.
SECTIONS: tuple[tuple[str, Callable[[Context], str], bool], ...] = (
    ("finalists", finalists, False),
    ("metrics", numbers.metrics, False),
    ("history", pictures.history, True),
    ("by_length", pictures.by_length, True),
    ("chains", chains, False),
    ("sample", sample, False),
    ("distance", numbers.distance, False),
    ("antecedents", antecedents, False),
    ("reference", numbers.reference, False),
    ("params", numbers.parameters, False),
    ("importance", pictures.importance, False),
    ("slices", slices, False),
    ("parallel", pictures.coordinates, False),
    ("curves", pictures.curves, False),
    ("losses", pictures.losses, False),
    ("trials", numbers.trials, False),
    ("timeline", timeline, False),
    ("cost", numbers.cost, False),
    ("again", again, False),
)


def report(
    view: StudyView,
    lang: Lang = "en",
    now: datetime | None = None,
    links: Callable[[str, TrialRecord], str] = lambda _kind, _trial: "",
) -> str:
    """Return one HTML file with everything in it: nothing is fetched from elsewhere.

    `links` leads to a trial's `log` and `files`, as seen from the file.
    """
    page = Context(view, lang, now or datetime.now(UTC), links=links)
    made = [(name, body, half) for name, make, half in SECTIONS if (body := make(page))]
    anchors = "".join(f'<a href="#{name}">{page.say(f"report.link-{name}")}</a>' for name, _, _ in made)
    body = f"{head(page)}{answer(page)}<nav>{anchors}</nav>{read_first(page)}{sections(page, made)}"
    style, script = (asset(name) for name in ("page.css", "page.js"))
    # whatever a study's texts hold, the browser loads nothing for it
    policy = (
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
    )
    return document(
        f"{view.name} · coref-k8s",
        lang,
        f"{policy}<style>{style}</style>",
        f"{body}<footer>coref-k8s {__version__} · {page.say('report.made', when=f'{page.now:%Y-%m-%d %H:%M}')}</footer>"
        f"{about_trials(page, body)}<script>{script}</script>",
    )


def document(title: str, lang: Lang, more: str, body: str) -> str:
    """Return a whole page; `more` goes into its head."""
    return (
        f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="data:,">{more}</head><body>{body}</body></html>\n'
    )


def asset(name: str) -> str:
    """Return a style sheet or script of this package."""
    return (files("coref_k8s.report") / name).read_text(encoding="utf-8")


def about_trials(page: Context, body: str) -> str:
    """Return what the script shows of the trials that are drawn in a page."""
    drawn = set(re.findall(r' data-t="([^"]+)"', body))
    found = {key_of(t): _about(page, t) for t in (*page.view.trials, *page.view.runs) if key_of(t) in drawn}
    text = json.dumps(found, ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="about-trials">{text}</script>'


def sections(page: Context, made: list[tuple[str, str, bool]]) -> str:
    """Return sections (name, body, whether two fit beside each other), halves side by side where the window is wide."""
    parts, side = [], []
    for name, body, half in made:
        section = f'<section id="{name}"><h2>{page.say(f"report.title-{name}")}</h2>{body}</section>'
        if half:
            side.append(section)
            continue
        if side:
            parts.append(f'<div class="two">{"".join(side)}</div>')
            side = []
        parts.append(section)
    return "".join(parts) + (f'<div class="two">{"".join(side)}</div>' if side else "")


def head(page: Context) -> str:
    """Return name, phase and the cards of the most important numbers."""
    view = page.view
    facts = [escape(view.spec.model)]
    if view.namespace:
        facts.append(escape(view.namespace))
    if (elapsed := view.elapsed(page.now)) is not None:
        facts.append(page.say("report.took", span=elapsed))
    top = max((one for one in view.lengths if one.best), key=lambda one: one.score or 0.0, default=None)
    best, figure = (top.best, reported(top)) if top else (None, None)
    counts = {state.value: sum(one.counts[state] for one in view.lengths) for state in TrialState}
    cards = [
        (
            page.say("words.best-score"), score(figure.score if figure and not figure.few else None),
            escape(page.named(best))
            + f", {escape(page.said(figure.of))}" if best and figure else "",
        ),
        (page.say("report.trials-done"), f"{view.done} / {sum(one.planned for one in view.lengths)}", page.say("report.by-state", **counts)),
        _spent(page),
    ]  # fmt: skip
    if (left := view.remaining(page.now)) is not None:
        cards.append((page.say("report.left"), duration(left, page.lang), ""))
    boxes = "".join(f"<div>{title}<b>{value}</b>{more}</div>" for title, value, more in cards)
    phase = view.phase.value
    in_words = escape(page.said(view.stands))
    limits = budgets(view, page.now, page.lang)
    limited = f'<p class="dim">{escape(limits)}</p>' if limits else ""
    return (
        f'<header><h1>{escape(view.name)}</h1><p class="dim"><span class="phase {phase}">{in_words}</span> '
        f'{" · ".join(facts)}</p>{limited}</header><div class="cards">{boxes}</div>'
    )


def _spent(page: Context) -> tuple[str, str, str]:
    """The card of what was spent: GPU time, or the time of attempts where there was no GPU."""
    view = page.view
    if view.gpu_seconds:
        lost = page.say("report.no-result", share=view.wasted_gpu_seconds / view.gpu_seconds)
        return page.say("report.gpu-time"), duration(view.gpu_seconds, page.lang), lost
    spent = sum(one.seconds for one in view.attempts)
    if not spent:
        return page.say("report.wall-time"), UNKNOWN, ""
    wasted = sum(one.seconds for one in view.attempts if one.outcome is not Outcome.SUCCEEDED)
    lost = page.say("report.no-result", share=wasted / spent)
    return page.say("report.wall-time"), duration(spent, page.lang), lost


def read_first(page: Context) -> str:
    """Return the box of warnings; empty without any."""
    found = warnings(page)
    if not found:
        return ""
    items = "".join(f"<li>{escape(one)}</li>" for one in found)
    return f'<section class="warnings" id="warnings"><h2>{page.say("report.title-warnings")}</h2><ul>{items}</ul></section>'


def _about(page: Context, trial: TrialRecord) -> str:
    """What the page shows of a trial that is pointed at."""
    lines = [f"{page.named(trial)} · {page.plain(f'words.state-{trial.state.value}')}"]
    scores = {name: trial.shown.get(name) for name in ("score", *metrics_of(page.view.spec))}
    values = [
        f"{metric(name, page.lang)} {score(value)}" for name, value in scores.items() if value is not None
    ]
    if values:
        lines.append(", ".join(values))
    lines += [f"{name} = {parameter(value)}" for name, value in trial.params.items()]
    if trial.state is TrialState.FAILED:
        lines.append(page.said(trial.reason)[:200])
    return "\n".join(lines)
