"""What every section of the report is given: the study, the language and the moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

from coref_k8s.controller.view import StudyView
from coref_k8s.report.charts import Chart, Window
from coref_k8s.report.html import Cell, Raw
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.study.names import Kind
from coref_k8s.wording import Lang, Message, say


class Speaker:
    """Says texts in the reader's language."""

    lang: Lang

    def plain(self, code: str, **values: object) -> str:
        """Return a text that is not escaped."""
        return say(code, self.lang, **values)

    def say(self, code: str, **values: object) -> str:
        """Return a text, escaped."""
        return escape(self.plain(code, **values))

    def about(self, code: str, **values: object) -> str:
        """Return an explanation as a paragraph."""
        return f'<p class="about">{self.say(code, **values)}</p>'


@dataclass(frozen=True)
class Context(Speaker):
    """A study as it is shown."""

    view: StudyView
    lang: Lang
    now: datetime
    zooms: Mapping[str, Window] | None = None
    """The parts of charts that are looked at, by the charts' names; None where nobody can ask for one."""
    links: Callable[[str, TrialRecord], str] = lambda _kind, _trial: ""
    """Where a trial's `trial` page, `log` and `files` are; empty where there is none."""

    def chart(self, name: str, x_name: str, y_name: str, **more: Any) -> Chart:
        """Return an empty chart, of the part of it that is looked at."""
        if self.zooms is None:
            return Chart(x_name, y_name, **more)
        return Chart(x_name, y_name, zooms=name, window=self.zooms.get(name), **more)

    def linked(self, trial: TrialRecord, kind: str, text: str) -> Cell:
        """Return a text that leads to what there is of a trial, or the text alone."""
        href = self.links(kind, trial)
        return Raw(f'<a href="{escape(href)}">{escape(text)}</a>') if href else text

    def ways(self, trials: Sequence[TrialRecord]) -> list[str]:
        """Return what these lead to beside a page of their own: `log`, `files`."""
        return [what for what in ("log", "files") if any(self.links(what, one) for one in trials)]

    def arrows(self, trial: TrialRecord, ways: Sequence[str]) -> list[Cell]:
        """Return a cell for each of the `ways`, which leads there."""
        return [self.linked(trial, what, "→") if self.links(what, trial) else "" for what in ways]

    def said(self, message: Any) -> str:
        """Return a message, or what the database holds of it, in words; not escaped."""
        return Message.load(message).say(self.lang)

    def named(self, trial: TrialRecord) -> str:
        """Return `1024 tokens, trial 3`, or of a finalist `1024 tokens, run 2`; not escaped."""
        which = trial.kind.numbered(trial.number)
        return self.plain("words.one-of-length", length=trial.seq_len, which=which)

    def heads(self, *codes: str) -> list[str]:
        """Return the headings of columns, not escaped; an empty code is a column without one."""
        return [self.plain(code) if code else "" for code in codes]

    def length(self, seq_len: int) -> str:
        """Return `512 tokens`."""
        return self.plain("words.of-tokens", length=seq_len)

    def colour(self, seq_len: int) -> str:
        """Return the class of a length's colour."""
        return f"c{self.view.spec.seq_lengths.index(seq_len) % 6}"


def key_of(trial: TrialRecord) -> str:
    """Return the name under which the page's script follows a trial, or a run of a finalist."""
    run = "run" if trial.kind is Kind.FINALIST else ""
    return f"{trial.seq_len}-{run}{trial.number}"


def scored(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the trials that have a score to show: complete ones, and pruned ones with their last."""
    shown = (TrialState.COMPLETE, TrialState.PRUNED)
    return [one for one in trials if one.state in shown and "score" in one.shown]
