"""Line and dot charts as inline SVG, in the colours of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 560, 260, 48, 34, 10


@dataclass(frozen=True)
class Series:
    """Points of one colour; `line` joins them."""

    name: str
    points: Sequence[tuple[float, float]]
    line: bool = False
    dots: bool = True


def chart(series: Sequence[Series], x_name: str, y_name: str) -> str:
    """Return an SVG with axes and a legend; empty without points."""
    points = [point for one in series for point in one.points]
    if not points:
        return ""
    x_low, x_high = _span([x for x, _ in points])
    y_low, y_high = _span([y for _, y in points])

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - 12),
            HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - BOTTOM - TOP),
        )

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(y_name)}">']
    for step in range(5):
        value = y_low + (y_high - y_low) * step / 4
        _, y = place(x_low, value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 12}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    for value, anchor in ((x_low, "start"), (x_high, "end")):
        x, _ = place(value, y_low)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 14}" text-anchor="{anchor}">{value:g}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_name)}</text>')
    for number, one in enumerate(series):
        placed = [place(*point) for point in one.points]
        if one.line:
            joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
            parts.append(f'<polyline class="c{number % 6}" points="{joined}"/>')
        if one.dots:
            parts += [
                f'<circle class="c{number % 6}" cx="{x:.1f}" cy="{y:.1f}" r="4">'
                f"<title>{escape(one.name)}: {value:.3f}</title></circle>"
                for (x, y), (_, value) in zip(placed, one.points, strict=True)
            ]
    parts.append("</svg>")
    legend = "".join(
        f'<span class="k{n % 6}">{escape(s.name)}</span>' for n, s in enumerate(series) if s.name
    )
    return f"<figure>{''.join(parts)}<figcaption>{legend}</figcaption></figure>"


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low - 0.5, high + 0.5) if low == high else (low, high)
