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

from coref_k8s.text.document import Document

ENTRY_POINTS = "coref_k8s.extractors"


@dataclass(frozen=True)
class Extracted:
    """What an extractor found in a row.

    `group` names what must stay in one split: paragraphs of one article share it. `clusters` are gold
    chains in characters of `text`, end exclusive; empty without gold. `answer` is the word to be guessed of a
    published LAMBADA passage.
    """

    text: str
    title: str = ""
    doc_id: str = ""
    group: str = ""
    clusters: Mapping[str, list[tuple[int, int]]] = field(default_factory=dict)
    answer: tuple[int, int] | None = None


#: Takes a row, returns its text (or Extracted, or a Document, for more), or None for a row to leave out.
Extractor = Callable[[Mapping[str, Any]], "str | Extracted | Document | None"]
#: Extractors by name, as they were registered in this process.
registered: dict[str, Extractor] = {}


def register_extractor(name: str) -> Callable[[Extractor], Extractor]:
    """Register the decorated function under `name`; a later registration replaces an earlier one."""

    def register(function: Extractor) -> Extractor:
        registered[name] = function
        return function

    return register


@lru_cache(maxsize=1)
def installed() -> dict[str, Any]:
    """Return the entry points of installed packages, by name."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}
