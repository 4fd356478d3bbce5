"""One dimension of a search space."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema, model_validator

from coref_k8s.study.base import MAX_LENGTH, Choices, Request, refuse

#: Least `low` of a log range: below, ratios of its ends are no numbers any more.
LEAST_LOG = 1e-12
#: What `Text` takes: no control characters, no lone surrogates.
_TEXT = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]*")


def _choice(value: Any) -> str | int | float:
    if isinstance(value, str) and len(value) <= MAX_LENGTH and _TEXT.fullmatch(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= 2**53:
        return int(value)
    if not (isinstance(value, float) and math.isfinite(value)):
        refuse("choice", given=value)
    return float(value)


Choice = Annotated[
    str | int | float,
    PlainValidator(_choice),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}]}),
]


class Range(Request):
    """One dimension of the search space: `low`/`high` (floats; `log` for a log scale) or `choices`."""

    low: float | None = None
    """Smallest value, inclusive."""
    high: float | None = None
    """Largest value, inclusive."""
    log: bool = False
    """Sample the logarithm of the value uniformly; needs `low` above 0."""
    choices: Choices[Choice] | None = None
    """The values to choose among, instead of `low` and `high`; one value fixes the parameter."""

    @model_validator(mode="after")
    def _not_empty(self) -> Range:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log:
                refuse("range-both")
            if not self.choices:
                refuse("range-no-choices")
        elif self.low is None or self.high is None:
            refuse("range-incomplete")
        elif self.low > self.high:
            refuse("range-empty", low=self.low, high=self.high)
        elif self.log and self.low < LEAST_LOG:
            refuse("range-log", low=self.low)
        return self

    @property
    def fixed(self) -> bool:
        """Whether it holds one value only."""
        return self.low == self.high if self.choices is None else len(set(self.choices)) == 1

    @property
    def interval(self) -> Interval:
        """The range between `low` and `high`."""
        assert self.low is not None
        assert self.high is not None
        return Interval(self.low, self.high, self.log)

    @property
    def numbers(self) -> list[float]:
        """Its two ends, or the numbers to choose among, in order."""
        if self.choices is None:
            return [self.interval.low, self.interval.high]
        return sorted(value for value in self.choices if not isinstance(value, str))

    @property
    def middle(self) -> Any:
        """What one would take without searching: the mean, of a log range the geometric one.

        Of numbers to choose among the middle one; among names the first.
        """
        if self.choices is None:
            return self.interval.value(0.5)
        numbers = self.numbers
        return numbers[(len(numbers) - 1) // 2] if len(numbers) == len(self.choices) else self.choices[0]


def linear(low: float, high: float) -> Range:
    """Return a range."""
    return Range(low=low, high=high)


def log(low: float, high: float) -> Range:
    """Return a range on a log scale."""
    return Range(low=low, high=high, log=True)


def choices(*values: str | float) -> Range:
    """Return values to choose among."""
    return Range(choices=values)


@dataclass(frozen=True)
class Interval:
    """A range of numbers as places between 0 and 1, evenly spread in the logarithm where it is a log range."""

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies; outside of 0 to 1 when it is outside of the range, the middle of a single point."""
        if self.low == self.high:
            return 0.5
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def value(self, place: float) -> float:
        """Return the value at a place, within the range."""
        found = (
            self.low * (self.high / self.low) ** place
            if self.log
            else self.low + place * (self.high - self.low)
        )
        return min(max(found, self.low), self.high)
