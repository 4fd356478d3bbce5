"""The section of what was shown on test documents: every difference with its interval, and the finalists by seed."""

from __future__ import annotations

from coref_k8s.report.context import Context
from coref_k8s.report.html import Cell, forest, number, signed, table
from coref_k8s.report.texts import METRICS
from coref_k8s.report.verdict import claim, named
from coref_k8s.search.tested import tested


def finalists(page: Context) -> str:
    """Differences and candidates; empty before anything was tested."""
    differences, candidates = _differences(page), _candidates(page)
    if not differences and not candidates:
        return ""
    body = page.about("finalists_about" if candidates else "tested_about")
    if differences:
        heads = [
            *(page.plain(key) for key in ("tokens", "against", "metric", "winner", "rival", "difference")), "",
            page.plain("interval"), "",
        ]  # fmt: skip
        body += table(heads, differences, left=3)
    if candidates:
        heads = [page.plain(key) for key in ("tokens", "trial", "mean_dev", "runs")]
        body += f"<h3>{page.say('candidates')}</h3>" + table(heads, candidates)
    return body


def _differences(page: Context) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for length in page.view.lengths:
        found = tested(length.best, length.verdict)
        compared = found.comparisons if found is not None else ()
        told = [(each.against, one) for each in compared for one in each.differences if one.metric in METRICS]
        reach = max((max(abs(one.low), abs(one.high)) for _, one in told), default=1.0) or 1.0
        for place, (against, one) in enumerate(told):
            again = place > 0 and told[place - 1][0] == against
            rows.append(
                [
                    "" if place else str(length.seq_len),
                    "" if again else named(against, page.lang),
                    page.plain("score") if one.metric == "score" else METRICS[one.metric],
                    number(one.other + one.difference),
                    number(one.other),
                    signed(one.difference),
                    forest(one.difference, one.low, one.high, reach),
                    f"{signed(one.low)} … {signed(one.high)}",
                    claim(one.claim, page.lang),
                ]
            )
    return rows


def _candidates(page: Context) -> list[list[Cell]]:
    return [
        [str(verdict.seq_len), str(one.trial), number(one.mean), ", ".join(number(s) for s in one.scores)]
        for verdict in page.view.verdicts
        for one in verdict.candidates
    ]
