"""The section that says how sure the best is: the finalists' winner against the untuned model and the defaults."""

from __future__ import annotations

from html import escape

from coref_k8s.report.context import Context
from coref_k8s.report.html import Cell, number, signed, table
from coref_k8s.report.texts import METRICS
from coref_k8s.report.verdict import claim, named, standing


def finalists(page: Context) -> str:
    """Sentences of each length, every difference with its interval, and the candidates; empty without finalists."""
    view = page.view
    told = "".join(
        f"<li>{page.say('length_tokens', length=one.seq_len)}: {escape(said)}</li>"
        for one in view.lengths
        for said in (standing(one, view.ended, page.lang) if one.planned_runs else [])
    )
    if not told:
        return ""
    body = f"<ul>{told}</ul>"
    if differences := _differences(page):
        heads = [*(page.plain(key) for key in ("tokens", "against", "metric", "winner", "rival", "difference", "interval")), ""]  # fmt: skip
        body += table(heads, differences, left=3)
    if candidates := _candidates(page):
        heads = [page.plain(key) for key in ("tokens", "trial", "mean_dev", "runs")]
        body += table(heads, candidates)
    return body + page.about("finalists_about")


def _differences(page: Context) -> list[list[Cell]]:
    return [
        [
            str(verdict.seq_len),
            named(against.against, page.lang),
            page.plain("score") if one.metric == "score" else METRICS.get(one.metric, one.metric),
            number(one.other + one.difference),
            number(one.other),
            signed(one.difference),
            f"{one.low:+.3f} … {one.high:+.3f}",
            claim(one.claim, page.lang),
        ]
        for verdict in page.view.verdicts
        for against in verdict.comparisons
        for one in against.differences
        if one.metric in METRICS
    ]


def _candidates(page: Context) -> list[list[Cell]]:
    return [
        [str(verdict.seq_len), str(one.trial), number(one.mean), ", ".join(number(s) for s in one.scores)]
        for verdict in page.view.verdicts
        for one in verdict.candidates
    ]
