"""Extractors: the functions that turn one row of a source into text.

    from coref_k8s.corpus.registry import register_extractor

    @register_extractor("minutes")
    def minutes(row):
        return row["speech"] or None

A package makes its extractors known without being imported by naming them in the entry point group
`coref_k8s.extractors`. A request names one in `extractor:`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any

from coref_k8s.errors import DataError

ENTRY_POINTS = "coref_k8s.extractors"


@dataclass(frozen=True)
class Extracted:
    """What an extractor found in a row.

    `group` names what must stay in one split: paragraphs of one article share it. `clusters` are gold
    chains in characters of `text`, end exclusive; empty without gold.
    """

    text: str
    title: str = ""
    doc_id: str = ""
    group: str = ""
    clusters: Mapping[str, list[tuple[int, int]]] = field(default_factory=dict)


#: Takes a row, returns its text (or Extracted for more), or None for a row to leave out.
Extractor = Callable[[Mapping[str, Any]], "str | Extracted | None"]
_EXTRACTORS: dict[str, Extractor] = {}


def register_extractor(name: str) -> Callable[[Extractor], Extractor]:
    """Register the decorated function under `name`; a later registration replaces an earlier one."""

    def register(function: Extractor) -> Extractor:
        _EXTRACTORS[name] = function
        return function

    return register


def get_extractor(name: str) -> Extractor:
    """Return the extractor called `name`. Raises DataError, which lists the known ones."""
    import coref_k8s.corpus.extractors  # noqa: F401  # registers those that are built in

    if name in _EXTRACTORS:
        return _EXTRACTORS[name]
    installed = _installed()
    if name in installed:
        function: Extractor = installed[name].load()
        return function
    known = ", ".join(sorted({*_EXTRACTORS, *installed}))
    raise DataError(f"extractor {name!r} is not registered; known are {known}")


@lru_cache(maxsize=1)
def _installed() -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}
