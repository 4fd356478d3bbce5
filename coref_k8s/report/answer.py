"""The top of the report: is it better, and how far is that shown; one line a length."""

from __future__ import annotations

from html import escape

from coref_k8s.controller.view import LengthView
from coref_k8s.report.claims import against, claim, conclusions, headline
from coref_k8s.report.context import Context
from coref_k8s.report.html import forest, reach_of
from coref_k8s.search.tested import tested
from coref_k8s.search.verdict import NO_DIFFERENCE

_STYLES = {"better": "good", "worse": "bad", NO_DIFFERENCE: "open"}


def answer(page: Context) -> str:
    """The box under the head; empty before anything can be said."""
    lines = "".join(_length(page, one) for one in page.view.lengths)
    if not lines:
        return ""
    return f'<section id="answer"><h2>{page.say("report.answer")}</h2>{lines}</section>'


def _length(page: Context, one: LengthView) -> str:
    found, named = tested(one.best, one.verdict), f"<b>{page.length(one.seq_len)}</b>"
    if found is None:
        mark = f'<span class="claim open">{page.say("report.untested")}</span>'
        said = conclusions(one, page.view.ended, page.lang)
        return "".join(f"<p>{mark} {named}: {escape(text)}</p>" for text in said)
    reach = reach_of([one.score for one in found.comparisons if one.score is not None])
    lines = [f'<p class="first">{named}: {escape(headline(one, page.lang))}</p>']
    for each in found.comparisons:
        style, word = "open", page.plain("report.not-compared")
        drawn = ""
        if (score := each.score) is not None:
            style, word = _STYLES.get(score.claim, "open"), claim(score.claim, page.lang)
            drawn = forest(score, reach).html
        lines.append(
            f'<p><span class="claim {style}">{escape(word)}</span> {escape(against(each, page.lang))} {drawn}</p>'
        )
    return "".join(lines)
