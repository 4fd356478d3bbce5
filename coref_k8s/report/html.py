"""Small pieces of HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from coref_k8s.search.verdict import Difference


@dataclass(frozen=True)
class Raw:
    """HTML that is not escaped again."""

    html: str


Cell = str | Raw


def cell(content: Cell) -> str:
    """Return a cell's content as HTML."""
    return content.html if isinstance(content, Raw) else escape(content)


def table(
    head: Sequence[Cell],
    rows: Iterable[Sequence[Cell]],
    *,
    keys: Sequence[str] = (),
    name: str = "",
    left: int = 1,
    total: bool = False,
) -> str:
    """Return a table that scrolls sideways where it has no room; the first `left` columns are text.

    `keys` name the trial of each row; `name` is a class; `total` says that the last row is a sum. A row that begins
    a group has its name in the first cell, the others of the group leave that cell empty.
    """
    sorts = ' tabindex="0"' if "sortable" in name.split() else ""
    top = "".join(f'<th scope="col"{sorts}>{cell(one)}</th>' for one in head)
    body, rows = [], list(rows)
    for number, row in enumerate(rows):
        style = " sum" if total and number == len(rows) - 1 else ""
        style += " group" if left > 1 and row[0] else ""
        key = f' class="{style.strip()}"' if style else ""
        key += f' data-t="{escape(keys[number])}"' if keys else ""
        cells = "".join(
            f"<td{' class=l' if place < left else ''}>{cell(one)}</td>" for place, one in enumerate(row)
        )
        body.append(f"<tr{key}>{cells}</tr>")
    return (
        f'<div class="wide" tabindex="0"><table class="{name} l{left}"><thead><tr>{top}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def grouped(rows: list[list[Cell]], columns: int = 1) -> list[list[Cell]]:
    """Name a group, by its first cell, only in its first row; so are the other of its first `columns`."""
    names = [row[0] for row in rows]
    blank: list[Cell] = [""] * columns
    return [[*blank, *row[columns:]] if k and names[k - 1] == row[0] else row for k, row in enumerate(rows)]


def whisker(
    value: float,
    low: float | None = None,
    high: float | None = None,
    *,
    guess: float | None = None,
    top: float = 1.0,
) -> Raw:
    """A value between 0 and `top`, drawn small, with its interval and a stroke where no model is needed."""

    def at(score: float) -> float:
        return round(2 + 116 * min(1.0, max(0.0, score / top)), 1)

    line = ""
    if low is not None and high is not None:
        line = f'<line class="i" x1="{at(low)}" x2="{at(high)}" y1="8" y2="8"/>'
    if guess is not None:
        line += f'<line class="g" x1="{at(guess)}" x2="{at(guess)}" y1="2" y2="14"/>'
    return Raw(
        '<svg class="whisker" viewBox="0 0 120 16" aria-hidden="true"><line class="grid" x1="2" x2="118" y1="8" y2="8"/>'
        f'{line}<circle cx="{at(value)}" cy="8" r="3.5"/></svg>'
    )


def forest(one: Difference, reach: float) -> Raw:
    """A difference with its interval, if it has one, beside the stroke of no difference; `reach` is how far both sides go."""
    value = one.difference
    low, high = (value if end is None else end for end in (one.low, one.high))

    def at(difference: float) -> float:
        return round(60 + 57 * max(-1.0, min(1.0, difference / reach)), 1)

    return Raw(
        '<svg class="whisker" viewBox="0 0 120 16" aria-hidden="true"><line class="grid" x1="2" x2="118" y1="8" y2="8"/>'
        f'<line class="i" x1="{at(low)}" x2="{at(high)}" y1="8" y2="8"/><line class="g" x1="60" x2="60" y1="1" y2="15"/>'
        f'<circle cx="{at(value)}" cy="8" r="3.5"/></svg>'
    )


def reach_of(differences: Sequence[Difference]) -> float:
    """Return the farthest end of an interval from 0, so that differences are drawn to one scale."""
    ends = (end for one in differences for end in (one.difference, one.low, one.high) if end is not None)
    return max(map(abs, ends), default=1.0) or 1.0


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round values that cover [low, high] from outside, at most about `most` steps."""
    span = high - low
    raw = span / most
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw - 1e-12)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def labels(values: Sequence[float]) -> list[str]:
    """Return the shortest texts of values of one axis, with as many digits as tell each from the others."""
    apart = sorted(set(values))
    gap = min((b - a for a, b in pairwise(apart)), default=math.inf)
    for digits in range(3, 10):
        texts = [_short(value, digits) for value in values]
        if all(abs(float(text) - value) < gap / 20 for text, value in zip(texts, values, strict=True)):
            break
    return texts


def _short(value: float, digits: int) -> str:
    if float(value).is_integer() and abs(value) < 1e7:
        return str(int(value))
    mantissa, exponent, power = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(power)}" if exponent else mantissa
