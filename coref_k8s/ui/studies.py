"""The list of studies, and several of them side by side."""

from __future__ import annotations

from html import escape

from coref_k8s.client.comparing import of_different_kinds, settings, shown, side_by_side, told
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import CorefError
from coref_k8s.report.charts import Chart, Mark
from coref_k8s.report.claims import claim
from coref_k8s.report.context import scored
from coref_k8s.report.html import Cell, Raw, table
from coref_k8s.search.records import TrialState
from coref_k8s.store.records import StudyRecord
from coref_k8s.ui.visit import LIVE_SECONDS, QUIET_SECONDS, Page, Visit, framed, url
from coref_k8s.wording.formats import UNKNOWN, duration, interval, score

#: Lines that a comparison tells apart by colour.
_COLOURS = 6


def studies(visit: Visit) -> str:
    """Every study, newest first; two or more can be chosen to be compared."""
    found, problems = visit.reader.studies()
    rows: list[list[Cell]] = []
    for one in found:
        record, name = one.record, escape(one.record.name)
        link: Cell = Raw(f'<a href="{url("studies", record.name)}">{name}</a>')
        box: Cell = Raw(
            f'<input type="checkbox" name="study" value="{name}" aria-label="{visit.say("ui.choose", study=record.name)}">'
        )
        if one.hidden:
            link, box = Raw(f'{name} <span class="dim">{visit.say("ui.hidden")}</span>'), ""
        phase = record.phase.value
        rows.append(
            [
                box, link,
                Raw(f'<span class="phase {phase}">{escape(record.stands.say(visit.lang))}</span>'),
                *_asked(record), one.place.say(visit.lang), f"{record.created_at:%Y-%m-%d %H:%M}",
            ]
        )  # fmt: skip
    heads = [
        "",
        *map(
            visit.plain,
            (
                "words.study",
                "words.state",
                "words.tokens",
                "words.trials",
                "words.model",
                "client.place",
                "ui.created",
            ),
        ),
    ]
    notes = [*problems, *(one.record.not_understood for one in found if one.record.not_understood)]
    remarks = "".join(f'<p class="note">{escape(note.say(visit.lang))}</p>' for note in notes)
    listed = table(heads, rows, left=9, name="studies")
    body = f"<h1>{visit.say('ui.studies')}</h1>{remarks}"
    if not found:
        return framed(visit, Page(visit.plain("ui.studies"), body + visit.about("ui.no-studies")))
    compare = f"<button>{visit.say('ui.compare')}</button>" if len(found) > 1 else ""
    going_on = any(not one.record.ended for one in found)
    body += f'<form action="/compare">{listed}{compare}</form>'
    return framed(visit, Page(visit.plain("ui.studies"), body, seconds=_seconds(going_on)))


def _asked(record: StudyRecord) -> list[Cell]:
    if record.problem:
        return [UNKNOWN] * 3
    spec = record.spec
    lengths = " ".join(map(str, spec.seq_lengths))
    return [lengths, f"{len(spec.seq_lengths)} × {spec.trials}", spec.model]


def compare(visit: Visit) -> str:
    """What the chosen studies have reached, what it cost, in what their requests differ, and how fast they got there."""
    views: list[StudyView] = []
    body = f"<h1>{visit.say('ui.compared')}</h1>"
    for name in dict.fromkeys(value for key, value in visit.query if key == "study"):
        try:
            views.append(visit.reader.study(name).view)
        except CorefError as error:
            body += f'<p class="note">{escape(error.message.say(visit.lang))}</p>'
    trail = [(visit.plain("ui.compared"), visit.here())]
    if len(views) < 2:
        return framed(visit, Page(visit.plain("ui.compared"), body + visit.about("ui.choose-two"), trail))
    if of_different_kinds(views):
        body += visit.about("cli.different-scores")
    body += _reached(visit, views) + _progress(visit, views) + _differing(visit, views)
    going_on = any(not view.ended for view in views)
    return framed(visit, Page(visit.plain("ui.compared"), body, trail, seconds=_seconds(going_on)))


def _seconds(going_on: bool) -> int:
    return LIVE_SECONDS if going_on else QUIET_SECONDS


def _reached(visit: Visit, views: list[StudyView]) -> str:
    rows: list[list[Cell]] = []
    for row in side_by_side(views):
        against, (dev, test) = row["against_untuned"], shown(row)
        rows.append(
            [
                Raw(f'<a href="{url("studies", row["study"])}">{escape(row["study"])}</a>'),
                str(row["seq_len"]),
                f"{row['trials']}" + (f" + {row['runs']}" if row["runs"] else ""),
                score(dev), score(test),
                interval(row["test_ci_low"], row["test_ci_high"]), claim(against, visit.lang) if against else UNKNOWN,
                duration(row["hours"] * 3600, visit.lang), f"{row['gpu_hours']:.2f}", row["model"],
            ]
        )  # fmt: skip
    heads = (
        "words.study", "words.tokens", "words.trials", "ui.best-dev", "cli.on-test", "words.interval",
        "cli.untuned", "words.time", "cli.gpu-hours", "words.model",
    )  # fmt: skip
    return table([visit.plain(code) for code in heads], rows, left=1)


def _progress(visit: Visit, views: list[StudyView]) -> str:
    chart = Chart(visit.plain("ui.trials-done"), visit.plain("ui.best-so-far"))
    for view in views:
        for one in view.lengths:
            line: list[tuple[float, float]] = []
            told = [t for t in scored(one.trials) if t.state is TrialState.COMPLETE]
            for count, trial in enumerate(sorted(told, key=lambda t: t.number), start=1):
                best = max(trial.value or 0.0, line[-1][1] if line else float("-inf"))
                line.append((count, best))
            if line:
                drawn = len(chart.marks)
                style = f"c{drawn % _COLOURS}{' dash' if drawn >= _COLOURS else ''}"
                chart.marks.append(Mark(line, style, line=len(line) > 1))
                label = f"{view.name}, {visit.plain('words.of-tokens', length=one.seq_len)}"
                chart.legend.append((style, label))
    figure = chart.svg()
    return (
        figure
        and f"<section><h2>{visit.say('ui.best-so-far')}</h2>{visit.about('ui.best-so-far-about')}{figure}</section>"
    )


def _differing(visit: Visit, views: list[StudyView]) -> str:
    rows: list[list[Cell]] = [[path, *map(told, values)] for path, values in settings(views).items()]
    if not rows:
        return visit.about("ui.same-request")
    heads = [visit.plain("cli.setting"), *(view.name for view in views)]
    return f"<section><h2>{visit.say('ui.differing')}</h2>{table(heads, rows, name='wraps')}</section>"
