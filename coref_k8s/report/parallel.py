"""Parallel coordinates: one axis a parameter and one for the score, one line a trial.

Drawn twice: with upright axes for a wide window, and lying, one below the other, for a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from coref_k8s.report.charts import MOST, polyline
from coref_k8s.report.context import scored
from coref_k8s.report.html import labels
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.search.space import Interval, space_for
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording.formats import parameter

_WIDE, _HIGH, _SIDE, _HEAD, _FOOT = 1140, 380, 46, 52, 30
_NARROW, _ROW, _EDGE = 360, 58, 14
#: Colours of lines from the worst score to the best, in steps of the page's CSS (`s0` to `s6`).
_STEPS = 7


@dataclass(frozen=True)
class Axis:
    """One axis: where a value lies between 0 and 1, and the values that are named on it."""

    name: str
    low: float
    high: float
    log: bool = False
    choices: tuple[Any, ...] = ()

    def place(self, value: Any) -> float:
        """Return where a value lies (0 to 1)."""
        if self.choices:
            return (self.choices.index(value) + 0.5) / len(self.choices)
        return Interval(self.low, self.high, self.log).place(float(value))

    @property
    def labels(self) -> list[tuple[float, str]]:
        """Places and texts of the values that are named."""
        if self.choices:
            return [(self.place(one), parameter(one)) for one in self.choices]
        return list(zip((0.0, 1.0), labels((self.low, self.high)), strict=True))


def axis(name: str, spec: StudySpec, seq_len: int, values: Sequence[Any]) -> Axis:
    """Return the axis of a parameter: what was searched, and what was tried outside of it."""
    known = space_for(spec, seq_len).get(name)
    if known is not None and known.choices is None and known.low is not None and known.high is not None:
        low, high = min(known.low, *values), max(known.high, *values)
        return Axis(name, low, high, known.log)
    if all(isinstance(one, int | float) for one in values) and known is None:
        return Axis(name, min(values), max(values))
    choices = tuple(dict.fromkeys([*(known.choices or () if known else ()), *values]))
    return Axis(name, 0, 1, choices=choices)


def axes_of(spec: StudySpec, seq_len: int, trials: Sequence[TrialRecord]) -> list[Axis]:
    """Return the axes of the parameters that all of these trials have and that were searched."""
    names = [name for name in trials[0].params if all(name in one.params for one in trials)] if trials else []
    found = [axis(name, spec, seq_len, [one.params[name] for one in trials]) for name in names]
    return [one for one in found if len(one.choices) != 1 and (one.choices or one.high > one.low)]


def parallel(spec: StudySpec, seq_len: int, trials: Sequence[TrialRecord], score: str) -> str:
    """Return the drawing of one length; empty when fewer than two trials have a score. `score` names its axis."""
    drawn = sorted(scored(trials), key=lambda one: (one.state is TrialState.COMPLETE, one.value or 0.0))[
        -MOST:
    ]
    axes = axes_of(spec, seq_len, drawn)
    if len(drawn) < 2 or not axes:
        return ""
    values = [one.value or 0.0 for one in drawn]
    axes.append(Axis(score, min(values), max(values)))
    lines = []
    complete = sum(one.state is TrialState.COMPLETE for one in drawn)
    for number, one in enumerate(drawn):
        rank = number - (len(drawn) - complete)  # of the complete ones, from the worst
        places = [each.place(one.params[each.name]) for each in axes[:-1]] + [axes[-1].place(one.value)]
        style = f"s{rank * _STEPS // max(1, complete)}"
        if one.state is TrialState.PRUNED:
            style = "faint dash"
        elif rank == complete - 1:
            style = f"s{_STEPS - 1} best"
        lines.append((places, style, f"{seq_len}-{one.number}"))
    return f'<figure class="parallel">{_upright(axes, lines)}{_lying(axes, lines)}</figure>'


_Lines = Sequence[tuple[Sequence[float], str, str]]


def _upright(axes: Sequence[Axis], lines: _Lines) -> str:
    step = (_WIDE - 2 * _SIDE) / (len(axes) - 1)
    span = _HIGH - _HEAD - _FOOT
    parts = [f'<svg class="plot up" viewBox="0 0 {_WIDE} {_HIGH}" role="img">']
    for places, style, key in lines:
        points = [(_SIDE + k * step, _HIGH - _FOOT - place * span) for k, place in enumerate(places)]
        parts.append(polyline(points, style, key))
    for k, one in enumerate(axes):
        x = _SIDE + k * step
        parts.append(
            f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{_HEAD}" y2="{_HEAD + span}"/>'
            f'<text class="name" text-anchor="middle" y="{_HEAD - 36}">{_broken(one.name, x)}</text>'
        )
        for place, text in one.labels:
            if one.choices:
                y, side, anchor = _HIGH - _FOOT - place * span + 4, x + 6, "start"
                if k == len(axes) - 1:
                    side, anchor = x - 6, "end"
            else:
                y, side, anchor = (_HEAD - 5 if place else _HIGH - _FOOT + 16), x, "middle"
            parts.append(
                f'<text class="v" x="{side:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
            )
    return "".join(parts) + "</svg>"


def _broken(name: str, x: float) -> str:
    """A name on at most two lines, the last one right above the axis."""
    first, _, rest = name.partition("_")
    if not rest:
        return f'<tspan x="{x:.1f}" dy="15">{escape(first)}</tspan>'
    return f'<tspan x="{x:.1f}">{escape(first)}</tspan><tspan x="{x:.1f}" dy="15">{escape(rest)}</tspan>'


def _lying(axes: Sequence[Axis], lines: _Lines) -> str:
    height = _ROW * len(axes) + 8
    span = _NARROW - 2 * _EDGE
    parts = [f'<svg class="plot lie" viewBox="0 0 {_NARROW} {height}" role="img">']
    for places, style, key in lines:
        points = [(_EDGE + place * span, k * _ROW + 28) for k, place in enumerate(places)]
        parts.append(polyline(points, style, key))
    for k, one in enumerate(axes):
        y = k * _ROW + 28
        parts.append(
            f'<line class="axis" x1="{_EDGE}" x2="{_NARROW - _EDGE}" y1="{y}" y2="{y}"/>'
            f'<text class="name" x="{_EDGE}" y="{y - 7}">{escape(one.name)}</text>'
        )
        for place, text in one.labels:
            anchor = "middle" if one.choices else ("end" if place else "start")
            x = _EDGE + place * span
            parts.append(
                f'<text class="v" x="{x:.1f}" y="{y + 16}" text-anchor="{anchor}">{escape(text)}</text>'
            )
    return "".join(parts) + "</svg>"
