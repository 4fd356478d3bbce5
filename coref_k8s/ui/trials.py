"""The table of a study's trials: filtered, sorted and cut into pages by the server, so that thousands stay quick."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from coref_k8s.controller.view import LengthView
from coref_k8s.errors import RequestError
from coref_k8s.report.context import Context, key_of
from coref_k8s.report.html import Cell, Raw, table
from coref_k8s.report.metrics import metric, metrics_of
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.ui.study import in_study, top
from coref_k8s.ui.visit import Visit, framed
from coref_k8s.wording.formats import UNKNOWN, duration, parameter, score

#: Rows of a page.
ROWS = 50
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le, ">=": operator.ge, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "=": operator.eq,
}  # fmt: skip
_SIGN = "|".join(_SIGNS)
_CONDITION = re.compile(rf"(\w+)({_SIGN})(.*)")


def trials(visit: Visit, name: str) -> str:
    """Return the page."""
    seen = visit.reader.study(name)
    page = visit.context(seen)
    lengths = seen.view.lengths
    one = next((each for each in lengths if str(each.seq_len) == visit.asked("length")), lengths[0])
    state = visit.asked("state")
    problem, found = "", [trial for trial in one.ordered if state in ("", trial.state.value)]
    try:
        conditions = [_condition(visit, one, word) for word in _words(visit.asked("q"))]
        found = [trial for trial in found if all(holds(trial) for holds in conditions)]
    except RequestError as error:
        problem = f'<p class="note" id="problem">{escape(error.message.say(visit.lang))}</p>'
    found = _sorted(visit, found)
    pages = max(1, -(-len(found) // ROWS))
    asked = visit.asked("page")
    at = min(pages, max(1, int(asked))) if asked.isdecimal() else 1
    shown = found[(at - 1) * ROWS : at * ROWS]
    counted = visit.about("ui.trials-shown", n=len(found), all=len(one.trials))
    body = (
        f"{top(visit, seen, page, whole=False)}<h1>{visit.say('words.trials')}</h1>{_form(visit, page, one)}{problem}"
        f'<section id="trials">{counted}{_table(visit, page, one, shown)}{_pager(visit, at, pages)}</section>'
    )
    return framed(
        visit, in_study(visit, seen, "trials", f"{name}: {visit.plain('words.trials')}", body), page
    )


def _form(visit: Visit, page: Context, one: LengthView) -> str:
    lengths = [(str(each), page.length(each)) for each in page.view.spec.seq_lengths]
    states = [("", page.plain("ui.every-state"))]
    states += [
        (state.value, page.plain(f"words.state-{state.value}")) for state in TrialState if one.counts[state]
    ]
    names = ", ".join(_names(one))
    return (
        '<form class="filter" data-soft>'
        + _select(page.plain("words.tokens"), "length", lengths, str(one.seq_len))
        + _select(page.plain("words.state"), "state", states, visit.asked("state"))
        + f'<label class="long">{page.say("ui.filter")}<input type="search" name="q" value="{escape(visit.asked("q"))}"'
        f' placeholder="score&gt;0.3 learning_rate&lt;1e-4" title="{escape(names)}" autocomplete="off" spellcheck="false"></label>'
        + "".join(
            f'<input type="hidden" name="{key}" value="{escape(visit.asked(key))}">'
            for key in ("sort", "way")
            if visit.asked(key)
        )
        + f"<button>{page.say('ui.apply')}</button></form>"
    )


def _select(label: str, name: str, options: Sequence[tuple[str, str]], chosen: str) -> str:
    shown = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(text)}</option>'
        for value, text in options
    )
    return f'<label>{escape(label)}<select name="{name}">{shown}</select></label>'


def _names(one: LengthView) -> list[str]:
    """What a condition can be about."""
    found = dict.fromkeys(name for trial in one.trials for name in (*trial.metrics, *trial.params))
    return list(dict.fromkeys(("trial", "score", "seconds", *found)))


def value_of(trial: TrialRecord, name: str) -> Any:
    """Return a parameter, a metric, `trial`, `score`, `seconds` or `state` of a trial; None when it has none."""
    facts = {
        "trial": trial.number,
        "score": trial.value,
        "seconds": trial.seconds,
        "state": trial.state.value,
    }
    return facts.get(name, trial.params.get(name, trial.metrics.get(name)))


def _words(filtered: str) -> list[str]:
    """Return the words of a filter; blanks around a sign part none."""
    return re.sub(rf"\s*({_SIGN})\s*", r"\1", filtered).split()


def _condition(visit: Visit, one: LengthView, word: str) -> Callable[[TrialRecord], bool]:
    """Return what a word of the filter asks: `name<value`, or that it stands in a trial. Raises RequestError."""
    found = _CONDITION.fullmatch(word)
    if found is None:
        return lambda trial: word.lower() in _text(visit, trial)
    name, sign, given = found.groups()
    if name not in (names := _names(one)) and name != "state":
        raise RequestError("ui.no-such-name", name=name, known=names)
    if not given:
        raise RequestError("ui.no-value", name=name, sign=sign)
    numeric = any(isinstance(value_of(trial, name), int | float) for trial in one.trials)
    try:
        wanted: Any = float(given) if numeric else given
    except ValueError:
        raise RequestError("ui.not-a-number", name=name, given=given) from None

    def holds(trial: TrialRecord) -> bool:
        value = value_of(trial, name)
        return value is not None and _SIGNS[sign](value if numeric else str(value), wanted)

    return holds


def _text(visit: Visit, trial: TrialRecord) -> str:
    state = visit.plain(f"words.state-{trial.state.value}")
    words = [str(trial.number), state, trial.reason.say(visit.lang), *map(parameter, trial.params.values())]
    return " ".join(words).lower()


def _sorted(visit: Visit, found: list[TrialRecord]) -> list[TrialRecord]:
    name = visit.asked("sort")
    if not name:
        return found
    known = [(value, trial) for trial in found if (value := value_of(trial, name)) is not None]
    without = [trial for trial in found if value_of(trial, name) is None]
    numbers = all(isinstance(value, int | float) for value, _ in known)
    known.sort(key=lambda pair: pair[0] if numbers else str(pair[0]), reverse=visit.asked("way") == "down")
    return [trial for _, trial in known] + without


def _table(visit: Visit, page: Context, one: LengthView, shown: Sequence[TrialRecord]) -> str:
    if not shown:
        return visit.about("ui.no-trial-fits" if one.trials else "report.no-trials")
    params = list(dict.fromkeys(name for trial in one.trials for name in trial.params))
    columns = [name for name in metrics_of(page.view.spec) if any(name in t.metrics for t in one.trials)]
    heads = [
        _head(visit, "trial", page.plain("words.trial")),
        _head(visit, "state", page.plain("words.state")),
        _head(visit, "score", page.plain("words.metric-score")),
        *(_head(visit, name, metric(name, page.lang)) for name in columns),
        _head(visit, "seconds", page.plain("words.time")),
        *(_head(visit, name, name) for name in params),
    ]
    rows: list[list[Cell]] = []
    for t in shown:
        why = page.said(t.reason).splitlines()[:1]
        state = page.say(f"words.state-{t.state.value}")
        rows.append(
            [
                page.linked(t, "trial", str(t.number)),
                Raw(f'<span class="state {t.state.value}" title="{escape("".join(why))}">{state}</span>'),
                score(t.shown.get("score")), *(score(t.shown.get(name)) for name in columns),
                UNKNOWN if t.seconds is None else duration(t.seconds, page.lang),
                *(parameter(t.params.get(name)) for name in params),
            ]
        )  # fmt: skip
    return table(heads, rows, keys=[key_of(t) for t in shown], name="every")


def _head(visit: Visit, name: str, text: str) -> Cell:
    """A heading that sorts: by the best first, then by the worst, then not at all."""
    now = visit.asked("way") if visit.asked("sort") == name else ""
    following = {"": "down", "down": "up", "up": ""}[now if now in ("up", "down") else ""]
    href = visit.here(sort=name if following else "", way=following, page="")
    mark = {"down": "↓", "up": "↑"}.get(now, "")
    return Raw(f'<a data-soft href="{escape(href)}">{escape(text)}{mark}</a>')


def _pager(visit: Visit, at: int, pages: int) -> str:
    if pages == 1:
        return ""
    near = sorted({1, pages, *range(max(1, at - 2), min(pages, at + 2) + 1)})
    parts, before = [], 0
    for number in near:
        if number - before > 1 and before:
            parts.append("…")
        href = escape(visit.here(page=number if number > 1 else ""))
        here = ' aria-current="page"' if number == at else ""
        parts.append(f'<a data-soft href="{href}"{here}>{number}</a>')
        before = number
    return f'<p class="pager" role="navigation">{" ".join(parts)}</p>'
