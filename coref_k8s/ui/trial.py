"""One trial: its scores, how training went, its parameters against the others, files and log."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from coref_k8s.client.readable import events_of, readable
from coref_k8s.controller.view import LengthView
from coref_k8s.errors import CorefError, NotFoundError
from coref_k8s.report.chains import marked
from coref_k8s.report.charts import MOST, Mark
from coref_k8s.report.context import Context, key_of
from coref_k8s.report.html import Cell, Raw, table, whisker
from coref_k8s.report.metrics import gain, guess_without, interval_of, metric, metrics_of
from coref_k8s.report.numbers import placed
from coref_k8s.report.page import sections
from coref_k8s.report.pictures import Points, losses_of
from coref_k8s.report.slices import pictures
from coref_k8s.search.finalists import Role, stands_for
from coref_k8s.search.records import ROLE_ATTR, SEED_ATTR, TrialRecord, TrialState
from coref_k8s.study.names import Kind
from coref_k8s.study.paths import TrialFolder, work_folder
from coref_k8s.telemetry.bus import Section
from coref_k8s.ui.reader import Seen
from coref_k8s.ui.study import in_study, taken, top
from coref_k8s.ui.visit import Visit, framed, url
from coref_k8s.wording.formats import UNKNOWN, duration, number, score

#: Lines of the log that the page shows, and the most points of a line that is drawn.
_LINES, _POINTS = 300, 400
_GIB = 2**30


def trial(visit: Visit, name: str, seq_len: int, number: int, kind: Kind) -> str:
    """Return the page. Raises NotFoundError for a trial that is not there."""
    seen, one, found = of_study(visit, name, kind, seq_len, number)
    page = visit.context(seen)
    lines, missing = _log(visit, name, found)
    folder = seen.backend.folder(folder_of(seen, found))
    steps = [event for event in events_of(lines) if event.get("section") == Section.TRAIN_STEP]
    made = [
        ("scores", _scores(page, found), False),
        ("training", _training(page, one, found, steps, folder), False),
        ("own_params", _parameters(page, one, found), False),
        ("attempts", _attempts(page, found), False),
        ("who", _sample(page, found), False),
        ("files", _files(visit, seen, found, folder), False),
        ("log", _lines(visit, found, lines, missing), False),
    ]
    title = page.named(found)
    body = (
        f"{top(visit, seen, page, whole=False)}{_neighbours(page, one, found)}<h1>{escape(title)}</h1>{_head(page, one, found, steps)}"
        f"{sections(page, [each for each in made if each[1]])}"
    )
    trail = (title, page.links("trial", found))
    return framed(visit, in_study(visit, seen, "trials", f"{name}: {title}", body, trail), page)


def of_study(
    visit: Visit, name: str, kind: Kind, seq_len: int, number: int
) -> tuple[Seen, LengthView, TrialRecord]:
    """Return a trial, or a finalist's run, with its study. Raises NotFoundError."""
    seen = visit.reader.study(name)
    for one in seen.view.lengths:
        for found in one.runs if kind is Kind.FINALIST else one.trials:
            if (one.seq_len, found.number) == (seq_len, number):
                return seen, one, found
    raise NotFoundError("ui.no-trial", study=name, length=seq_len, which=kind.numbered(number))


def folder_of(seen: Seen, found: TrialRecord) -> str:
    """Return the folder of a trial, or of a finalist's run, below the data folder."""
    return work_folder(seen.view.spec, seen.view.name, found.kind, found.seq_len, found.number)


def _neighbours(page: Context, one: LengthView, found: TrialRecord) -> str:
    order = one.runs if found.kind is Kind.FINALIST else one.ordered
    at = order.index(found)
    parts = []
    for place, code, mark in ((at - 1, "ui.better", "‹ {}"), (at + 1, "ui.next", "{} ›")):
        if 0 <= place < len(order):
            other = order[place]
            href = escape(page.links("trial", other))
            which = other.kind.numbered(other.number)
            text = page.say(code, which=which) if other.kind is Kind.TRIAL else escape(page.said(which))
            parts.append(f'<a href="{href}" rel="{"prev" if place < at else "next"}">{mark.format(text)}</a>')
    return f'<p class="pager">{" ".join(parts)}</p>' if parts else ""


def _head(page: Context, one: LengthView, found: TrialRecord, steps: Sequence[Mapping[str, Any]]) -> str:
    state = page.say(f"words.state-{found.state.value}")
    few = page.say("words.too-small") if "score" in found.not_given else ""
    boxes = [
        (page.say("words.metric-score"), score(found.shown.get("score")), few or page.say("words.on-dev"))
    ]
    if found in one.ranked:
        place = page.plain("ui.place", place=one.ranked.index(found) + 1, n=len(one.ranked))
        boxes.append((page.say("ui.rank"), place, ""))
    if found.open and steps:
        last = steps[-1]
        boxes.append((page.say("report.step"), f"{number(last['step'])} / {number(last['steps'])}", ""))
    boxes.append((page.say("words.time"), duration(taken(page, found), page.lang), ""))
    attrs = found.attrs
    peak = (
        attrs.get("gpu_peak_bytes")
        or attrs.get("host_peak_bytes")
        or (steps[-1].get("memory_bytes") if steps else None)
    )
    if peak:
        said = attrs.get("predicted_bytes")
        predicted = page.say("ui.predicted", gb=said / _GIB) if said else ""
        boxes.append((page.say("ui.peak-memory"), f"{peak / _GIB:.2f} GiB", predicted))
    if speed := attrs.get("tokens_per_second") or (steps[-1].get("tokens_per_second") if steps else None):
        boxes.append((page.say("ui.speed"), f"{speed:,.0f}", page.say("ui.tokens-a-second")))
    about = ""
    if found.kind is Kind.FINALIST:
        untuned = found.attrs[ROLE_ATTR] == Role.UNTUNED
        about = page.about("ui.untuned-about" if untuned else "ui.run-about", what=stands_for(found))
        boxes.append((page.say("words.seed"), str(found.attrs[SEED_ATTR]), ""))
    cards = "".join(f"<div>{title}<b>{value}</b>{more}</div>" for title, value, more in boxes)
    why = page.said(found.reason)
    reason = f'<p class="note">{escape(why)}</p>' if why else ""
    return f'<p><span class="state {found.state.value}">{state}</span></p>{about}{reason}<div class="cards">{cards}</div>'


def _scores(page: Context, found: TrialRecord) -> str:
    values = found.shown
    rows: list[list[Cell]] = []
    gains = any(name.endswith("_gain") for name in values)
    for name in ("score", *metrics_of(page.view.spec)):
        if (value := values.get(name)) is None:
            continue
        ends = (values.get(f"{name}_ci_{end}") for end in ("low", "high"))
        guess = guess_without(values, name)
        by_context = ["" if name == "score" else gain(values, name)] if gains else []
        rows.append(
            [
                metric(name, page.lang), score(value), whisker(value, *ends, guess=guess),
                interval_of(values, name), *by_context, "" if guess is None else score(guess),
            ]
        )  # fmt: skip
    middle = ("words.interval", *(["words.gain"] if gains else []))
    heads = page.heads("words.metric", "words.value", "", *middle, "report.guess")
    return table(heads, rows) + page.about("ui.dev-about") if rows else ""


def _training(
    page: Context,
    one: LengthView,
    found: TrialRecord,
    steps: Sequence[Mapping[str, Any]],
    folder: Path | None,
) -> str:
    """Charts of the score, the loss, the learning rate and memory."""
    parts = [_curve(page, one, found), _line(page, "loss", _losses(found, steps, folder))]
    parts.append(
        _line(
            page,
            "learning-rate",
            [(s["step"], s["learning_rate"]) for s in steps if s.get("learning_rate") is not None],
        )
    )
    parts.append(
        _line(page, "memory", [(s["step"], s["memory_bytes"] / _GIB) for s in steps if s.get("memory_bytes")])
    )
    drawn = "".join(f"<div>{part}</div>" for part in parts if part)
    return (
        page.about("ui.training-about") + page.about("ui.zoom-about") + f'<div class="two">{drawn}</div>'
        if drawn
        else ""
    )


def _curve(page: Context, one: LengthView, found: TrialRecord) -> str:
    """The score at each evaluation, among those of the others."""
    if not found.intermediate:
        return ""
    chart = page.chart("score", page.plain("report.evaluation"), page.plain("words.metric-score"))
    others = [t for t in one.ordered[:MOST] if t.intermediate and t is not found]
    for each in [*reversed(others), found]:
        points = sorted(each.intermediate.items())
        style = f"{page.colour(one.seq_len)} best" if each is found else "faint"
        chart.marks.append(Mark(points, style, key_of(each), line=len(points) > 1))
    chart.legend = [(page.colour(one.seq_len), page.plain(f"ui.this-{found.kind}"))]
    chart.legend += [("faint", page.plain("report.other-trials"))] if others else []
    return f"<h3>{page.say('report.title-curves')}</h3>{chart.svg()}"


def _losses(found: TrialRecord, steps: Sequence[Mapping[str, Any]], folder: Path | None) -> Points:
    """The loss of every step where the trial's file can be read, else what its log or the database has."""
    if folder is not None and (file := TrialFolder(folder).losses).is_file():
        try:
            every = [(step, loss) for step, loss in enumerate(json.loads(file.read_text("utf-8")), start=1)]
            return [(step, loss) for step, loss in every if isinstance(loss, int | float)]
        except (OSError, ValueError):
            pass  # being replaced at this moment
    told = [(s["step"], s["loss"]) for s in steps if s.get("loss") is not None]
    return max(told, losses_of(found), key=len)


def _line(page: Context, name: str, points: Points) -> str:
    if len(points) < 2:
        return ""
    chart = page.chart(name, page.plain("report.step"), page.plain(f"ui.{name}"))
    if chart.window:
        points = [point for point in points if chart.window[0] <= point[0] <= chart.window[1]]
    if not points:
        points = [(0.0, 0.0)]
    size = -(-len(points) // _POINTS)
    thinned = [
        (part[-1][0], sum(value for _, value in part) / len(part))
        for part in (points[at : at + size] for at in range(0, len(points), size))
    ]
    chart.marks.append(Mark(thinned, "c0", line=True))
    return f"<h3>{page.say(f'ui.{name}')}</h3>{chart.svg()}"


def _parameters(page: Context, one: LengthView, found: TrialRecord) -> str:
    """Each value with its place in the searched range, beside the best trial's, and where the others lie."""
    if not found.params:
        return ""
    best = one.best
    rows: list[list[Cell]] = []
    for name in found.params:
        cells = [placed(page, found, name)]
        if best is not None and best is not found:
            cells.append(placed(page, best, name))
        rows.append([name, *cells])
    heads: list[Cell] = [page.plain("words.parameter"), page.plain(f"ui.this-{found.kind}")]
    if best is not None and best is not found:
        heads.append(page.linked(best, "trial", page.plain("ui.best-trial", trial=best.number)))
    drawn = pictures(page, one, found)
    about = page.about("ui.params-about") if drawn else ""
    return table(heads, rows) + about + drawn


def _attempts(page: Context, found: TrialRecord) -> str:
    rows: list[list[Cell]] = []
    for one in page.view.attempts:
        if (one.kind, one.seq_len, one.trial) != (found.kind, found.seq_len, found.number):
            continue
        why = page.said(one.message)
        outcome = page.plain(f"words.outcome-{one.outcome.value}")
        rows.append([str(one.attempt), outcome, duration(one.seconds, page.lang), one.node or UNKNOWN, why])
    if not rows:
        return ""
    return table(
        page.heads("ui.attempt", "report.outcome", "words.time", "ui.node", "ui.why"), rows, name="why"
    )


def _sample(page: Context, found: TrialRecord) -> str:
    """A document as this model resolved it, beside its gold chains."""
    told = found.attrs.get("evidence", {}).get("sample")
    return page.about("ui.who-about", document=told["doc_id"]) + marked(page, told) if told else ""


def _files(visit: Visit, seen: Seen, found: TrialRecord, folder: Path | None) -> str:
    where = f"<p><code>{escape(seen.backend.root + folder_of(seen, found))}</code></p>"
    if folder is None:
        return where + (
            visit.about("ui.files-elsewhere") if seen.backend.root == "/data/" else visit.about("ui.no-files")
        )
    here = f"{visit.path}/files"
    rows: list[list[Cell]] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            href = escape(here + url(*name.split("/")))
            rows.append([Raw(f'<a href="{href}">{escape(name)}</a>'), _size(path.stat().st_size)])
    return where + (
        table([visit.plain("ui.file"), visit.plain("ui.size")], rows) if rows else visit.about("ui.no-files")
    )


def _size(n: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.1f} GiB"


def _log(visit: Visit, name: str, found: TrialRecord) -> tuple[list[str], str]:
    """Return the lines of the log, or why there are none."""
    if found.state is TrialState.WAITING:
        return [], visit.plain("ui.not-begun")
    try:
        return visit.reader.log(name, found), ""
    except CorefError as error:
        return [], error.message.say(visit.lang)


def _lines(visit: Visit, found: TrialRecord, lines: Sequence[str], missing: str) -> str:
    if missing or not lines:
        return f'<p class="about">{escape(missing or visit.plain("ui.empty-log"))}</p>'
    shown = lines[-_LINES:]
    whole = f'<a href="{escape(visit.path)}/log">{visit.say("ui.whole-log", n=len(lines))}</a>'
    text = "\n".join(escape(readable(line, visit.lang)) for line in shown)
    return (
        f'<p>{whole}</p><pre class="log" tabindex="0" data-follow="{"1" if found.open else ""}">{text}</pre>'
    )
