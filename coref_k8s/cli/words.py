"""Numbers, times and names as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

#: Metrics in the order of tables, with their headings.
METRICS = {
    "coref_f1": "Coref F1",
    "coref_top1": "Coref Top1",
    "coref_top5": "Coref Top5",
    "lbd_top1": "LAMBADA Top1",
}


def duration(span: timedelta | float | None) -> str:
    """Return `3 min 20 s`, `2 h 5 min`, `12 s`; `–` when unknown."""
    if span is None:
        return "–"
    seconds = round(span.total_seconds() if isinstance(span, timedelta) else span)
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


_UNITS = {"en": (" d", " h", " min", " s"), "ko": ("일", "시간", "분", "초")}


def about(span: timedelta | float, lang: str = "en") -> str:
    """Return an estimate in its two largest units, without seconds from ten minutes on."""
    left = round(span.total_seconds() if isinstance(span, timedelta) else span)
    if left >= 600:
        left = round(left / 60) * 60
    parts: list[str] = []
    for unit, size in zip(_UNITS[lang], (86_400, 3600, 60, 1), strict=True):
        count, left = divmod(left, size)
        if count or (size == 1 and not parts):
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def lasting(span: timedelta | float, lang: str = "en") -> str:
    """Return a time with its seconds in a language."""
    return about(span, lang) if lang == "ko" else duration(span)


def span(start: datetime | None, end: datetime | None, lang: str = "en") -> str:
    """Return the time between two moments; `–` when one is unknown."""
    return lasting(end - start, lang) if start and end else "–"


def score(value: float | None) -> str:
    """Return a score with three digits; `–` when there is none."""
    return "–" if value is None else f"{value:.3f}"


def gain(metrics: dict[str, Any], name: str) -> str:
    """Return `+0.310`: how much of a metric the context brought; `–` when that was not measured."""
    value = metrics.get(f"{name}_gain")
    return "–" if value is None else f"{value:+.3f}"


def interval(metrics: dict[str, Any], name: str) -> str:
    """Return the 95 % interval of a metric, empty when it has none."""
    low, high = metrics.get(f"{name}_ci_low"), metrics.get(f"{name}_ci_high")
    return f"{low:.3f} … {high:.3f}" if low is not None and high is not None else ""


def parameter(value: Any) -> str:
    """Return a parameter's value as short as it is exact enough to compare."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.2e}" if 0 < abs(value) < 0.001 else f"{value:.3g}"
