"""What a page is given and what it returns, and the frame around all pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from urllib.parse import quote, urlencode

from coref_k8s import __version__
from coref_k8s.report.charts import Window
from coref_k8s.report.context import Context, Speaker
from coref_k8s.report.page import about_trials, document
from coref_k8s.search.records import TrialRecord
from coref_k8s.study.names import Kind
from coref_k8s.ui.reader import Reader, Seen
from coref_k8s.wording import LANGUAGES, Lang, say

#: Time between two looks of an open page (seconds): of what goes on, and of what has ended.
LIVE_SECONDS, QUIET_SECONDS = 2, 15
#: Parameters of an address that hold the part of a chart that is looked at begin so.
_ZOOM = "z."


@dataclass(frozen=True)
class Outside:
    """Where other programs are, as the reader's browser reaches them; empty where that is not known."""

    optuna: str = ""
    grafana: str = ""


@dataclass(frozen=True)
class Visit(Speaker):
    """One look at one page."""

    reader: Reader
    lang: Lang
    path: str
    query: Sequence[tuple[str, str]]
    outside: Outside = Outside()

    def asked(self, name: str, default: str = "") -> str:
        """Return a parameter of the address."""
        return next((value for key, value in self.query if key == name), default)

    def here(self, **changes: object) -> str:
        """Return this page's address with other parameters; an empty one is left out."""
        kept = [(key, value) for key, value in self.query if key not in changes]
        new = [(key, str(value)) for key, value in changes.items() if value not in ("", None)]
        return f"?{urlencode(kept + new)}" if kept or new else self.path

    @cached_property
    def zooms(self) -> Mapping[str, Window]:
        """The parts of charts that are looked at."""
        found = {
            key.removeprefix(_ZOOM): _window(value) for key, value in self.query if key.startswith(_ZOOM)
        }
        return {name: window for name, window in found.items() if window is not None}

    def context(self, seen: Seen) -> Context:
        """Return what the report's sections are given."""
        return Context(seen.view, self.lang, seen.at, self.zooms, _links(seen.view.name))


def url(*parts: object) -> str:
    """Return the address of a page."""
    return "/" + "/".join(quote(str(part), safe="") for part in parts)


#: Where the pages of trials, and of finalists' runs, stand below their study's.
PLACES = {Kind.TRIAL: "trials", Kind.FINALIST: "runs"}


def _links(study: str) -> Callable[[str, TrialRecord], str]:
    ends = {"trial": "", "log": "#log", "files": "#files"}

    def link(what: str, trial: TrialRecord) -> str:
        return url("studies", study, PLACES[trial.kind], trial.seq_len, trial.number) + ends[what]

    return link


def _window(text: str) -> Window | None:
    try:
        x_low, x_high, y_low, y_high = map(float, text.split(","))
    except ValueError:
        return None
    ends = (x_low, x_high, y_low, y_high)
    wide = x_high - x_low > 1e-9 and y_high - y_low > 1e-9
    return ends if wide and all(map(math.isfinite, ends)) else None


@dataclass(frozen=True)
class Page:
    """What stands in the frame."""

    title: str
    body: str
    trail: Sequence[tuple[str, str]] = ()
    """Names and addresses of the pages above it."""
    tabs: Sequence[tuple[str, str, bool]] = ()
    """Names and addresses of the pages beside it, and whether it is this one."""
    seconds: int = QUIET_SECONDS
    """Time to the next look."""


def framed(visit: Visit, page: Page, context: Context | None = None) -> str:
    """Return the whole page."""
    trail = "".join(f'<a href="{escape(href)}">{escape(name)}</a>' for name, href in page.trail)
    languages = "".join(
        f'<a href="{escape(visit.here(lang=lang))}" lang="{lang}">{escape(say("ui.language", lang))}</a>'
        for lang in LANGUAGES
        if lang != visit.lang
    )
    tabs = "".join(
        f'<a href="{escape(href)}"{" aria-current=page" if here else ""}>{escape(name)}</a>'
        for name, href, here in page.tabs
    )
    words = " ".join(f'data-{name}="{visit.say(f"ui.{name}")}"' for name in ("lost", "whole"))
    body = (
        f'<a class="skip" href="#main">{visit.say("ui.skip")}</a>'
        f'<div class="bar"><a href="/"><b>coref-k8s</b></a>{trail}<span class="end">{languages}</span></div>'
        f'{f"<nav>{tabs}</nav>" if tabs else ""}<p id="lost" role="status" hidden></p>'
        f'<main id="main" data-seconds="{page.seconds}" {words}>{page.body}'
        f"{about_trials(context, page.body) if context else ''}</main>"
        f"<footer>coref-k8s {__version__} · {visit.say('ui.read-only')}</footer>"
    )
    head = (
        f'<link rel="stylesheet" href="/static/page.css?{__version__}"><link rel="stylesheet" href="/static/ui.css?{__version__}">'
        f'<script defer src="/static/page.js?{__version__}"></script><script defer src="/static/ui.js?{__version__}"></script>'
    )
    return document(f"{page.title} · coref-k8s", visit.lang, head, body)
