"""How a study and a list of studies look in a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from coref_k8s.controller.view import StudyView
from coref_k8s.errors import CorefError
from coref_k8s.report.html import table
from coref_k8s.store.records import StudyRecord
from coref_k8s.wording import Lang, say
from coref_k8s.wording.formats import score


def study_html(view: StudyView, place: str, lang: Lang) -> str:
    """Return a study's phase, and one row a sequence length: how far it is, and the best so far."""
    facts = [view.stands.say(lang), place, view.message.say(lang)]
    rows = [
        (
            str(one.seq_len),
            f"{one.done} / {one.planned}",
            str(len(one.running)),
            score(one.shown),
            str(one.best.number) if one.best else "–",
        )
        for one in view.lengths
    ]
    head = [
        say(f"words.{name}", lang) for name in ("tokens", "trials", "state-running", "best-score", "trial")
    ]
    said = " · ".join(escape(fact) for fact in facts if fact)
    return f"<p><b>{escape(view.name)}</b> · {said}</p>{table(head, rows)}"


def studies_html(studies: Iterable[tuple[StudyRecord, str]], lang: Lang) -> str:
    """Return one row a study: its phase, lengths (tokens), trials and place."""
    rows = [
        (
            record.name,
            record.stands.say(lang),
            " ".join(map(str, record.spec.seq_lengths)),
            f"{len(record.spec.seq_lengths)} × {record.spec.trials}",
            place,
        )
        for record, place in studies
    ]
    head = [
        say(code, lang)
        for code in ("words.study", "words.state", "words.tokens", "words.trials", "client.place")
    ]
    return table(head, rows)


def problem_html(error: CorefError, lang: Lang) -> str:
    """Return what stands in its place when it cannot be read, such as a study that is deleted."""
    return f"<p>{escape(error.message.say(lang))}</p>"
