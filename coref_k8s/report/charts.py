"""Charts as inline SVG in the colours of the page: points and lines over round axes.

Every mark of a trial carries its key (`data-t`), so that the page's script can follow a trial from chart to chart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from coref_k8s.report.html import labels, ticks

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 560, 290, 56, 14, 52, 12
#: Width of a character of the large letters of a phone.
_CHARACTER = 11
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


Window = tuple[float, float, float, float]
"""The part of a chart that is looked at: first and last x, lowest and highest y."""


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
    zooms: str = ""
    """Name under which a server draws a part of it; empty where the whole is all there is."""
    window: Window | None = None
    """The part that is drawn; None for the whole."""

    def svg(self) -> str:
        """Return a figure; empty without marks."""
        points = [point for one in self.marks for point in one.points]
        if not points:
            return ""
        x_low, x_high, y_low, y_high, y_ticks = self._ranges(points)
        x_ticks = [tick for tick in self.x_ticks or ticks(x_low, x_high) if x_low <= tick <= x_high]
        if all(float(x).is_integer() for x, _ in points):
            x_ticks = [tick for tick in x_ticks if float(tick).is_integer()]

        y_texts = labels(y_ticks)
        left = max(LEFT, *(_CHARACTER * len(text) + 9 for text in y_texts))

        def place(x: float, y: float) -> tuple[float, float]:
            return (
                left + (x - x_low) / (x_high - x_low) * (WIDTH - left - RIGHT),
                HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - BOTTOM - TOP),
            )

        parts = [self._open((x_low, x_high, y_low, y_high), left)]
        for tick, text in zip(y_ticks, y_texts, strict=True):
            _, y = place(x_low, tick)
            parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{left - 7}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
        for tick, text in zip(x_ticks, labels(x_ticks) if x_ticks else (), strict=True):
            x, _ = place(tick, y_low)
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 26}" text-anchor="middle">{text}</text>')
        parts.append(
            f'<text class="axis" x="{(WIDTH + left) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(self.x_name)}</text>'
        )
        drawn = "".join(
            _draw(mark, [place(*point) for point in mark.points], place) for mark in self._shown()
        )
        if self.window:
            area = f'x="{left}" y="{TOP}" width="{WIDTH - left - RIGHT}" height="{HEIGHT - BOTTOM - TOP}"'
            drawn = (
                f'<clipPath id="part-{self.zooms}"><rect {area}/></clipPath>'
                f'<g clip-path="url(#part-{self.zooms})">{drawn}</g>'
            )
        return f"<figure>{''.join(parts)}{drawn}</svg>{legend(self.legend)}</figure>"

    def _ranges(
        self, points: Sequence[tuple[float, float]]
    ) -> tuple[float, float, float, float, list[float]]:
        """Return the ends of both axes and the values to name on the upright one."""
        if self.window:
            x_low, x_high, y_low, y_high = self.window
            inside = [tick for tick in ticks(y_low, y_high) if y_low <= tick <= y_high]
            return x_low, x_high, y_low, y_high, inside
        ends = [end for one in self.marks for end in one.spread or ()]
        y_ticks = ticks(*_span([y for _, y in points] + ends))
        x_low, x_high = _span([x for x, _ in points])
        margin = (x_high - x_low) * 0.03
        return x_low - margin, x_high + margin, y_ticks[0], y_ticks[-1], y_ticks

    def _shown(self) -> Sequence[Mark]:
        """Return the marks without the points that lie outside of the window."""
        if not self.window:
            return self.marks
        x_low, x_high, y_low, y_high = self.window
        return [
            mark
            for mark in self.marks
            if mark.line or all(x_low <= x <= x_high and y_low <= y <= y_high for x, y in mark.points)
        ]

    def _open(self, ends: Window, left: float) -> str:
        zoom = ""
        if self.zooms:
            area = f"{left},{WIDTH - RIGHT},{HEIGHT - BOTTOM},{TOP}"
            shown = ",".join(f"{end:.7g}" for end in ends)
            part = " data-part" if self.window else ""
            zoom = f' tabindex="0" data-zoom="{self.zooms}" data-ends="{shown}" data-area="{area}"{part}'
        label = escape(f"{self.y_name} – {self.x_name}")
        return f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}"{zoom}>'


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
