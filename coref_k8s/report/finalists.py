"""The section of what was shown on test documents: every difference with its interval, the finalists and their runs."""

from __future__ import annotations

from coref_k8s.report.claims import claim, named
from coref_k8s.report.context import Context, key_of
from coref_k8s.report.html import Cell, forest, reach_of, table
from coref_k8s.report.metrics import interval_of, metric, metrics_of
from coref_k8s.search.finalists import stands_for
from coref_k8s.search.records import SEED_ATTR, TrialState
from coref_k8s.search.tested import tested
from coref_k8s.wording.formats import difference, duration, interval, score


def finalists(page: Context) -> str:
    """Differences, candidates and runs; empty before anything was tested."""
    differences, candidates, runs = _differences(page), _candidates(page), _runs(page)
    if not differences and not candidates and not runs:
        return ""
    body = page.about("report.finalists-about" if candidates or runs else "report.tested-about")
    if differences:
        heads = page.heads(
            "words.tokens", "report.against", "words.metric", "report.winner", "report.rival", "words.difference", "",
            "words.interval", "",
        )  # fmt: skip
        body += table(heads, differences, left=3)
    if candidates:
        heads = page.heads("words.tokens", "words.trial", "report.mean-dev", "report.runs")
        body += f"<h3>{page.say('report.candidates')}</h3>" + table(heads, candidates)
    if runs:
        body += f"<details><summary>{page.say('report.title-runs')} ({len(page.view.runs)})</summary>{runs}</details>"
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


def _runs(page: Context) -> str:
    """Every run, its score on dev, and the way to what is left of it."""
    runs = page.view.runs
    ways = [] if any(page.links("trial", run) for run in runs) else page.ways(runs)
    rows: list[list[Cell]] = []
    for run in runs:
        state = "dropped" if run.state is TrialState.PRUNED else run.state.value
        rows.append(
            [
                str(run.seq_len), page.linked(run, "trial", str(run.number)), page.said(stands_for(run)),
                str(run.attrs[SEED_ATTR]), score(run.shown.get("score")), interval_of(run.shown, "score"),
                duration(run.seconds, page.lang), page.plain(f"words.state-{state}"), *page.arrows(run, ways),
            ]
        )  # fmt: skip
    heads = page.heads(
        "words.tokens", "words.run", "words.run-of", "words.seed", "words.on-dev", "words.interval", "words.time", "words.state",
        *(f"report.title-{way}" for way in ways),
    )  # fmt: skip
    return table(heads, rows, left=3, keys=[key_of(run) for run in runs]) if rows else ""
