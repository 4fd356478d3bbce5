"""A search space as a unit cube, for models that need coordinates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from coref_k8s.search.space import Interval

#: Chance that a neighbour differs in a number, and that it differs in a choice.
_MOVED, _REDRAWN = 0.4, 0.1


class _Number(Interval):
    def encode(self, value: Any) -> float:
        return self.place(value)

    def decode(self, place: np.ndarray) -> float:
        return self.value(float(place[0]))

    def decode_all(self, places: np.ndarray) -> np.ndarray:
        return np.array([self.decode(place) for place in places])


@dataclass(frozen=True)
class _Choice:
    choices: tuple[Any, ...]
    codes: np.ndarray
    """(choices, columns)."""

    def encode(self, value: Any) -> np.ndarray:
        if value not in self.choices:  # of a space that was changed since: as far from one as from another
            middle: np.ndarray = self.codes.mean(axis=0)
            return middle
        return self.codes[self.choices.index(value)]

    def decode(self, place: np.ndarray) -> Any:
        return self.choices[int(((self.codes - place) ** 2).sum(axis=1).argmin())]

    def decode_all(self, places: np.ndarray) -> np.ndarray:
        apart = ((places[:, None] - self.codes) ** 2).sum(axis=2)
        return np.array(self.choices, dtype=float)[apart.argmin(axis=1)]


class Cube:
    """Numbers by their place in the range (of the logarithm, in a log range), numeric choices by rank, names one-hot."""

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        self._axes: dict[str, tuple[_Number | _Choice, slice]] = {}
        width = 0
        for name, one in space.items():
            axis = _axis(one)
            columns = axis.codes.shape[1] if isinstance(axis, _Choice) else 1
            self._axes[name] = axis, slice(width, width + columns)
            width += columns
        self.width = width
        """Columns of a place."""
        self.numbers = np.zeros(width, dtype=bool)
        """Which columns are numbers with a range, (width,)."""
        for axis, columns_ in self._axes.values():
            self.numbers[columns_] = isinstance(axis, _Number)

    def place(self, params: Mapping[str, Any]) -> np.ndarray:
        """Return the place (width,) of parameters; one that is missing lies in the middle."""
        found = np.full(self.width, 0.5)
        for name, (axis, columns) in self._axes.items():
            if name in params:
                found[columns] = axis.encode(params[name])
        return found

    def params(self, place: np.ndarray) -> dict[str, Any]:
        """Return the parameters at a place (width,)."""
        return {name: axis.decode(place[columns]) for name, (axis, columns) in self._axes.items()}

    def values(self, name: str, places: np.ndarray) -> np.ndarray | None:
        """Return one numeric parameter at places (m, width), as (m,); None when it is not searched."""
        if name not in self._axes:
            return None
        axis, columns = self._axes[name]
        return axis.decode_all(places[:, columns])

    def random(self, draw: np.random.Generator, count: int) -> np.ndarray:
        """Return places (count, width) drawn evenly."""
        found = draw.random((count, self.width))
        for axis, columns in self._axes.values():
            if isinstance(axis, _Choice):
                found[:, columns] = axis.codes[draw.integers(len(axis.choices), size=count)]
        return found

    def near(self, draw: np.random.Generator, places: np.ndarray, count: int, radius: float) -> np.ndarray:
        """Return places (count, width) around some of `places`, each differing in a few parameters."""
        found = places[draw.integers(len(places), size=count)]
        for axis, columns in self._axes.values():
            if isinstance(axis, _Choice):
                moved = np.flatnonzero(draw.random(count) < _REDRAWN)
                found[moved, columns] = axis.codes[draw.integers(len(axis.choices), size=len(moved))]
            else:
                moved = np.flatnonzero(draw.random(count) < _MOVED)
                step = radius * draw.standard_normal((len(moved), 1))
                found[moved, columns] = np.clip(found[moved, columns] + step, 0.0, 1.0)
        return found


def _axis(one: BaseDistribution) -> _Number | _Choice:
    assert isinstance(one, FloatDistribution | CategoricalDistribution)
    if isinstance(one, FloatDistribution) and one.low < one.high:
        return _Number(one.low, one.high, one.log)
    choices = tuple(one.choices) if isinstance(one, CategoricalDistribution) else (one.low,)
    if all(isinstance(c, int | float) and not isinstance(c, bool) for c in choices):
        ranks = sorted(choices)  # type: ignore[type-var]
        codes = np.array([[ranks.index(c) / max(len(ranks) - 1, 1)] for c in choices])
    else:
        # two different names are as far apart as the two ends of a range
        codes = np.eye(len(choices)) * math.sqrt(0.5)
    return _Choice(choices, codes)
