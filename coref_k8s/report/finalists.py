"""The section of what was shown on test documents: every difference with its interval, and the finalists by seed."""

from __future__ import annotations

from coref_k8s.report.claims import claim, named
from coref_k8s.report.context import Context
from coref_k8s.report.html import Cell, forest, reach_of, table
from coref_k8s.report.metrics import metric, metrics_of
from coref_k8s.search.tested import tested
from coref_k8s.wording.formats import difference, interval, score


def finalists(page: Context) -> str:
    """Differences and candidates; empty before anything was tested."""
    differences, candidates = _differences(page), _candidates(page)
    if not differences and not candidates:
        return ""
    body = page.about("report.finalists-about" if candidates else "report.tested-about")
    if differences:
        heads = page.heads(
            "words.tokens", "report.against", "words.metric", "report.winner", "report.rival", "words.difference", "",
            "words.interval", "",
        )  # fmt: skip
        body += table(heads, differences, left=3)
    if candidates:
        heads = page.heads("words.tokens", "words.trial", "report.mean-dev", "report.runs")
        body += f"<h3>{page.say('report.candidates')}</h3>" + table(heads, candidates)
    return body


def _differences(page: Context) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    shown = ("score", *metrics_of(page.view.spec))
    for length in page.view.lengths:
        found = tested(length.best, length.verdict)
        compared = found.comparisons if found is not None else ()
        told = [(each.against, one) for each in compared for one in each.differences if one.metric in shown]
        reach = reach_of([one for _, one in told])
        for place, (against, one) in enumerate(told):
            again = place > 0 and told[place - 1][0] == against
            rows.append(
                [
                    "" if place else str(length.seq_len),
                    "" if again else named(against, page.lang),
                    metric(one.metric, page.lang),
                    score(one.other + one.difference),
                    score(one.other),
                    difference(one.difference),
                    forest(one, reach),
                    interval(one.low, one.high, difference),
                    claim(one.claim, page.lang),
                ]
            )
    return rows


def _candidates(page: Context) -> list[list[Cell]]:
    known = {(trial.seq_len, trial.number): trial for trial in page.view.trials}
    return [
        [
            str(verdict.seq_len),
            page.linked(trial, "trial", str(one.trial))
            if (trial := known.get((verdict.seq_len, one.trial)))
            else str(one.trial),
            score(one.mean),
            ", ".join(score(s) for s in one.scores),
        ]
        for verdict in page.view.verdicts
        for one in verdict.candidates
    ]
