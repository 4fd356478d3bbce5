"""Charts as inline SVG in the colours of the page: points and lines over round axes.

Every mark of a trial carries its key (`data-t`), so that the page's script can follow a trial from chart to chart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from coref_k8s.report.html import ticks
from coref_k8s.wording.formats import parameter

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 560, 290, 56, 14, 46, 12
#: Trials beyond which a chart shows only the best: more are a grey wall that no one can read.
MOST = 300


@dataclass(frozen=True)
class Mark:
    """A point, or a line through several. `key` names the trial."""

    points: Sequence[tuple[float, float]]
    style: str = ""
    """CSS classes: a colour `c0` to `c5`, `faint`, `dash`, `ring`, `best`."""
    key: str = ""
    line: bool = False
    spread: tuple[float, float] | None = None
    """Interval of a single point."""


@dataclass
class Chart:
    """What is drawn, and how its axes are called."""

    x_name: str
    y_name: str
    marks: list[Mark] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)
    """Pairs of style and text."""
    x_ticks: Sequence[float] = ()
    """Values to name on the x axis; round ones by default."""

    def svg(self) -> str:
        """Return a figure; empty without marks."""
        points = [point for one in self.marks for point in one.points]
        if not points:
            return ""
        ends = [end for one in self.marks for end in one.spread or ()]
        xs, ys = [x for x, _ in points], [y for _, y in points] + ends
        y_ticks = ticks(*_span(ys))
        y_low, y_high = y_ticks[0], y_ticks[-1]
        x_low, x_high = _span(xs)
        margin = (x_high - x_low) * 0.03
        x_low, x_high = x_low - margin, x_high + margin
        named = self.x_ticks or [tick for tick in ticks(*_span(xs)) if x_low <= tick <= x_high]
        if all(float(x).is_integer() for x in xs):
            named = [tick for tick in named if float(tick).is_integer()]

        def place(x: float, y: float) -> tuple[float, float]:
            return (
                LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT),
                HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - BOTTOM - TOP),
            )

        label = f"{self.y_name} – {self.x_name}"
        parts = [f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">']
        for tick in y_ticks:
            _, y = place(x_low, tick)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{parameter(tick)}</text>')
        for tick in named:
            x, _ = place(tick, y_low)
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 26}" text-anchor="middle">{short_x(tick)}</text>')
        parts.append(
            f'<text class="axis" x="{(WIDTH + LEFT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(self.x_name)}</text>'
        )
        for mark in self.marks:
            parts.append(_draw(mark, [place(*point) for point in mark.points], place))
        parts.append("</svg>")
        return f"<figure>{''.join(parts)}{legend(self.legend)}</figure>"


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Return what the colours mean."""
    if not entries:
        return ""
    shown = "".join(f'<span class="key {style}">{escape(text)}</span>' for style, text in entries)
    return f"<figcaption>{shown}</figcaption>"


def polyline(points: Sequence[tuple[float, float]], style: str, key: str = "") -> str:
    """Return a line through points of the drawing."""
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="{style}"{named(key)} points="{joined}"/>'


def named(key: str) -> str:
    """Return the attribute that names a trial."""
    return f' data-t="{escape(key)}"' if key else ""


def short_x(value: float) -> str:
    """Return a value of the x axis."""
    return f"{value:g}"


def _draw(mark: Mark, placed: Sequence[tuple[float, float]], place: object) -> str:
    if mark.line:
        return polyline(placed, mark.style, mark.key)
    spread = ""
    if mark.spread is not None and callable(place):
        (x, _), (value, _) = placed[0], mark.points[0]
        low, high = (place(value, end)[1] for end in mark.spread)
        spread = (
            f'<path class="spread {mark.style}" d="M{x:.1f} {low:.1f}V{high:.1f}'
            f'M{x - 6:.1f} {low:.1f}h12M{x - 6:.1f} {high:.1f}h12"/>'
        )
    dots = (
        f'<circle class="{mark.style}"{named(mark.key)} cx="{x:.1f}" cy="{y:.1f}" r="5"/>' for x, y in placed
    )
    return spread + "".join(dots)


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low - 0.5, high + 0.5) if low == high else (low, high)
