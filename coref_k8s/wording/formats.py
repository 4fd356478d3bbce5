"""Numbers, times, plurals and particles as people read them: the one place where values become text."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from shlex import quote
from typing import Any

from coref_k8s.wording.commands import typed
from coref_k8s.wording.language import Lang

#: Shown where a value is unknown.
UNKNOWN = "–"

_UNITS: Mapping[Lang, tuple[str, ...]] = {"en": (" d", " h", " min", " s"), "ko": ("일", "시간", "분", "초")}
_PERCENT: Mapping[Lang, str] = {"en": "\u00a0%", "ko": "%"}
_AND: Mapping[Lang, str] = {"en": " and ", "ko": ", "}
_TO: Mapping[Lang, str] = {"en": " to ", "ko": "~"}


def duration(span: timedelta | float | None, lang: Lang = "en", *, estimate: bool = False) -> str:
    """Return a time (seconds, or a timedelta) in its two largest units: `3 min 20 s`, `2시간 5분`; `–` when unknown.

    An estimate has no seconds from ten minutes on. A clock that was set back makes no time below 0.
    """
    if span is None:
        return UNKNOWN
    left = max(0, round(span.total_seconds() if isinstance(span, timedelta) else span))
    if estimate and left >= 600:
        left = round(left / 60) * 60
    parts: list[str] = []
    for unit, size in zip(_UNITS[lang], (86_400, 3600, 60, 1), strict=True):
        count, left = divmod(left, size)
        if count or (size == 1 and not parts):
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def score(value: float | None) -> str:
    """Return a score with three digits; `–` when there is none."""
    return UNKNOWN if value is None else f"{value:.3f}"


def difference(value: float | None) -> str:
    """Return a difference of scores with its sign: `+0.310`, `−0.020`; `–` when there is none."""
    return UNKNOWN if value is None else f"{value:+.3f}".replace("-", "−")


def interval(low: float | None, high: float | None, form: Callable[[float | None], str] = score) -> str:
    """Return an interval, its ends as scores or as differences; `–` when there is none."""
    return UNKNOWN if low is None or high is None else f"{form(low)} … {form(high)}"


def between(low: str, high: str, joint: str = " – ") -> str:
    """Return what lies between two values as they are said; one value where both are said alike."""
    return low if low == high else f"{low}{joint}{high}"


def percent(share: float | None, lang: Lang = "en", digits: int = 0) -> str:
    """Return a share as `12 %`, in Korean `12%`; `–` when there is none."""
    return UNKNOWN if share is None else f"{100 * share:.{digits}f}{_PERCENT[lang]}"


def parameter(value: Any) -> str:
    """Return a parameter's value as short as it is exact enough to compare: `2.34e-5`, `0.1`, `512`."""
    if not isinstance(value, float):
        return UNKNOWN if value is None else str(value)
    mantissa, exponent, power = f"{value:.3g}".partition("e")
    return f"{mantissa}e{int(power)}" if exponent else mantissa


def number(value: float) -> str:
    """Return a number with thousands separators, without needless digits: `50,000`, `0.25`."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,g}"


def listed(values: Sequence[Any], lang: Lang = "en") -> str:
    """Return `a, b and c`, in Korean `a, b, c`."""
    *most, last = [str(value) for value in values] or [""]
    return f"{', '.join(most)}{_AND[lang]}{last}" if most else last


def with_particle(text: str, pair: str) -> str:
    """Return a text with the particle that its last sound asks for: `스터디를`, `모델을` for the pair `을/를`.

    After digits and letters the sound is that of their Korean reading; `으로/로` also takes 로 after ㄹ.
    """
    closed, open_ = pair.split("/")
    final = _final(text)
    return text + (open_ if final == 0 or (final == 8 and closed == "으로") else closed)


#: Final consonants (places in the Korean order; 8 is ㄹ) of digits and of Latin letters, as they are read in Korean.
_READ = {"0": 21, "1": 8, "3": 16, "6": 1, "7": 8, "8": 8, "l": 8, "m": 16, "n": 4}
#: Ends of English words that are read otherwise than their last letter: a silent e, and -ng.
_ENDS = {"le": 8, "me": 16, "ne": 4, "ng": 21}


def _final(text: str) -> int:
    """Return the index of the final consonant of the last sound, 0 for none."""
    read = "".join(c for c in text.lower() if c.isalnum() or c == "%")
    if "가" <= read[-1:] <= "힣":
        return (ord(read[-1]) - ord("가")) % 28
    return _ENDS.get(read[-2:], _READ.get(read[-1:], 0))


class Words(string.Formatter):
    """Fills a text of the catalogue in: `{name:format}` with the formats of this module, or Python's own."""

    def __init__(self, lang: Lang, say: Callable[..., str]) -> None:
        self._lang = lang
        self._say = say

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return a value; messages among them are said first, in the same language. `typed` is known without."""
        if key == "typed" and key not in kwargs:
            return typed()
        return self._said(kwargs[str(key)])

    def _said(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [self._said(one) for one in value]
        return value.say(self._lang) if hasattr(value, "code") and hasattr(value, "say") else value

    def format_field(self, value: Any, format_spec: str) -> str:
        """Return a value in its format."""
        lang = self._lang
        named: dict[str, Callable[[], str]] = {
            "duration": lambda: duration(value, lang),
            "about": lambda: duration(value, lang, estimate=True),
            "score": lambda: score(value),
            "difference": lambda: difference(value),
            "percent": lambda: percent(value, lang),
            "parameter": lambda: parameter(value),
            "count": lambda: number(value),
            "list": lambda: listed(value, lang),
            "argument": lambda: quote(str(value)),
        }
        if format_spec in named:
            return named[format_spec]()
        if "|" in format_spec:
            one, many = format_spec.split("|")
            return f"{number(value)} {one if value == 1 else many}"
        if format_spec.startswith("from-to "):
            low, high = (self.format_field(one, format_spec.removeprefix("from-to ")) for one in value)
            return between(low, high, _TO[lang])
        if "/" in format_spec:
            name, _, pair = format_spec.rpartition(" ")
            return with_particle(self.format_field(value, name), pair)
        if isinstance(value, list | tuple):
            return listed([self.format_field(one, format_spec) for one in value], lang)
        return str(super().format_field(value, format_spec))
