"""Score against each parameter, one small picture each: the shape that a bar of importance cannot show."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from coref_k8s.controller.view import LengthView
from coref_k8s.report.charts import MOST, named
from coref_k8s.report.context import Context, key_of, scored
from coref_k8s.report.html import labels, ticks
from coref_k8s.report.parallel import Axis, axes_of
from coref_k8s.search.records import TrialRecord, TrialState

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 230, 176, 44, 10, 10, 26


def slices(page: Context) -> str:
    """The pictures of every length."""
    parts = []
    for one in page.view.lengths:
        if drawn := pictures(page, one):
            parts.append(f"<h3>{page.length(one.seq_len)}</h3>{drawn}")
    return page.about("report.slices-about") + "".join(parts) if parts else ""


def pictures(page: Context, one: LengthView, marked: TrialRecord | None = None) -> str:
    """The pictures of one length, with the trial that is `marked` among the others; empty without two scores."""
    trials = sorted(scored(one.trials), key=lambda t: (t.state is TrialState.COMPLETE, t.value or 0.0))[
        -MOST:
    ]
    if marked is not None:
        trials = [t for t in trials if t is not marked] + ([marked] if marked in scored([marked]) else [])
    axes = axes_of(page.view.spec, one.seq_len, trials)
    if len(trials) < 2 or not axes:
        return ""
    drawn = "".join(_picture(axis, trials, page.colour(one.seq_len), marked) for axis in axes)
    return f'<div class="slices">{drawn}</div>'


def _picture(axis: Axis, trials: Sequence[TrialRecord], colour: str, marked: TrialRecord | None) -> str:
    values = [one.value or 0.0 for one in trials]
    low, high = min(values), max(values)
    steps = ticks(low, high, 3) if high > low else [low - 0.05, low + 0.05]
    bottom, top = steps[0], steps[-1]

    def place(at: float, value: float) -> tuple[float, float]:
        return (
            _LEFT + at * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - (value - bottom) / (top - bottom) * (_HEIGHT - _TOP - _BOTTOM),
        )

    parts = [f'<svg class="plot slice" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">']
    for step, text in zip(steps, labels(steps), strict=True):
        x, y = place(0, step)
        parts.append(
            f'<line class="grid" x1="{x}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{x - 5}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
        )
    for at, text in axis.labels:
        anchor = "middle" if axis.choices else ("end" if at else "start")
        parts.append(
            f'<text x="{place(at, bottom)[0]:.1f}" y="{_HEIGHT - 7}" text-anchor="{anchor}">{escape(text)}</text>'
        )
    for one, value in zip(trials, values, strict=True):
        at = axis.place(one.params[axis.name])
        if axis.choices:  # trials of one choice beside each other, each always at its place
            at += ((one.number * 7) % 11 - 5) / 11 * 0.5 / len(axis.choices)
        x, y = place(at, value)
        style = colour if marked is None else "marked" if one is marked else "faint"
        style += " ring" if one.state is TrialState.PRUNED else ""
        parts.append(f'<circle class="{style}"{named(key_of(one))} cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>')
    name = f"{axis.name} (log)" if axis.log else axis.name
    return f"<figure>{''.join(parts)}</svg><figcaption>{escape(name)}</figcaption></figure>"
