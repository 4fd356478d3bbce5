"""One study: how far it is and what it has shown, its charts, its request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape
from typing import Any
from urllib.parse import quote

from coref_k8s.report import numbers, pictures
from coref_k8s.report.again import again
from coref_k8s.report.answer import answer
from coref_k8s.report.chains import chains, sample
from coref_k8s.report.context import Context
from coref_k8s.report.finalists import finalists
from coref_k8s.report.html import Cell, table
from coref_k8s.report.page import head, read_first, sections
from coref_k8s.report.slices import slices
from coref_k8s.report.timeline import timeline
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.ui.reader import Seen
from coref_k8s.ui.visit import LIVE_SECONDS, QUIET_SECONDS, Page, Visit, framed, url
from coref_k8s.wording.formats import duration, score

Section = tuple[str, Callable[[Context], str], bool]


def running(page: Context) -> str:
    """What runs or waits at the moment; nothing of a study that has ended."""
    rows: list[list[Cell]] = []
    evaluations = page.view.spec.training.evaluations
    for one in page.view.lengths:
        for trial in [*one.open, *(run for run in one.runs if run.open)]:
            told = max(trial.intermediate, default=0)
            waits = trial in one.waiting
            state = page.plain("words.state-waiting" if waits else "words.state-running")
            rows.append(
                [
                    page.linked(trial, "trial", page.named(trial)),
                    page.said(page.view.stands) if page.view.interrupted else state,
                    f"{told} / {evaluations}", score(trial.intermediate.get(told)),
                    duration(taken(page, trial), page.lang),
                ]
            )  # fmt: skip
    if not rows or page.view.ended:
        return ""
    heads = page.heads("words.trial", "words.state", "report.evaluation", "words.metric-score", "words.time")
    return table(heads, rows, left=2)


def taken(page: Context, trial: TrialRecord) -> float | None:
    """Return how long a trial took, or takes so far (seconds); None where nobody works on it."""
    if trial.seconds is not None or not trial.open or trial.started_at is None or page.view.interrupted:
        return trial.seconds
    return (page.now - max(trial.started_at, page.view.counted_from)).total_seconds()


def importance(page: Context) -> str:
    """What mattered, computed anew only when a trial has become complete: of many trials it takes a second."""
    told = tuple((t.seq_len, t.number, t.value) for t in page.view.trials if t.state is TrialState.COMPLETE)
    return _importance(_Same((page.view.name, page.lang, told), page))


@dataclass(frozen=True)
class _Same:
    key: tuple[Any, ...]
    page: Context = field(compare=False)


@lru_cache(maxsize=4)
def _importance(same: _Same) -> str:
    return pictures.importance(same.page)


#: The pages of a study: name, and its sections in their order.
TABS: dict[str, tuple[Section, ...]] = {
    "overview": (
        ("running", running, False),
        ("finalists", finalists, False),
        ("metrics", numbers.metrics, False),
        ("history", pictures.history, True),
        ("by_length", pictures.by_length, True),
        ("sample", sample, False),
    ),
    "trials": (),  # trials.py
    "charts": (
        ("curves", pictures.curves, False),
        ("losses", pictures.losses, False),
        ("importance", importance, False),
        ("slices", slices, False),
        ("parallel", pictures.coordinates, False),
        ("timeline", timeline, False),
    ),
    "numbers": (
        ("chains", chains, False),
        ("distance", numbers.distance, False),
        ("reference", numbers.reference, False),
        ("params", numbers.parameters, False),
        ("cost", numbers.cost, False),
    ),
    "request": (("again", again, False),),
}


def study(visit: Visit, name: str, tab: str) -> str:
    """Return one page of a study."""
    seen = visit.reader.study(name)
    page = visit.context(seen)
    made = [(name, body, half) for name, make, half in TABS[tab] if (body := make(page))]
    body = top(visit, seen, page, whole=tab == "overview")
    if any(' data-zoom="' in each for _, each, _ in made):
        body += visit.about("ui.zoom-about")
    if tab == "request":
        body += (
            f'<p><a href="{url("studies", name, "report.html")}" download>{visit.say("ui.report")}</a></p>'
        )
    body += sections(page, made) or visit.about("ui.nothing-yet")
    return framed(visit, in_study(visit, seen, tab, name, body), page)


def top(visit: Visit, seen: Seen, page: Context, *, whole: bool) -> str:
    """Return what stands above every page of a study; `whole` with all that is known at a glance."""
    notes = [seen.view.not_understood.say(visit.lang)] if seen.view.not_understood else []
    if seen.view.message and not seen.view.ended:
        notes.append(seen.view.message.say(visit.lang))
    if seen.view.interrupted:
        notes.append(visit.plain("ui.idle", study=seen.view.name))
    remarks = "".join(f'<p class="note">{escape(note)}</p>' for note in notes)
    if not whole:
        return remarks
    return f"{remarks}{head(page)}{_outside(visit, seen)}{answer(page)}{read_first(page)}"


def _outside(visit: Visit, seen: Seen) -> str:
    found = []
    if visit.outside.optuna:
        found.append((visit.plain("ui.optuna"), visit.outside.optuna))
    if visit.outside.grafana:
        about = f"{visit.outside.grafana.rstrip('/')}/d/coref-studies?var-study={quote(seen.view.name)}"
        found.append((visit.plain("ui.grafana"), about))
    links = " · ".join(
        f'<a href="{escape(href)}" rel="noreferrer">{escape(name)}</a>' for name, href in found
    )
    return f"<p>{links}</p>" if links else ""


def in_study(visit: Visit, seen: Seen, tab: str, title: str, body: str, *trail: tuple[str, str]) -> Page:
    """Return a page of a study with its way and its tabs."""
    name = seen.view.name
    tabs = [
        (
            visit.plain(f"ui.tab-{one}"),
            url("studies", name, *(() if one == "overview" else (one,))),
            one == tab,
        )
        for one in TABS
    ]
    seconds = QUIET_SECONDS if seen.view.ended or seen.view.interrupted else LIVE_SECONDS
    return Page(title, body, [(name, url("studies", name)), *trail], tabs, seconds)
