"""Rows that can be read but were probably meant otherwise: what is found is said, not guessed at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from coref_k8s.text.document import Document
from coref_k8s.wording import Message

#: Chains of a column that are looked at.
_CHAINS = 5


def suspicions(row: Mapping[str, Any], document: Document, where: str) -> Iterator[Message]:
    """Say what of a row's chains is probably meant otherwise; `document` is what was read of it, as it came."""
    if not document.clusters:
        length = len(document.text)
        if column := next((str(name) for name, value in row.items() if _are_chains(value, length)), None):
            yield Message.of("coref_data.other-column", place=where, column=column)
    elif _in_utf16(document.text, [span for spans in document.clusters.values() for span in spans]):
        yield Message.of("coref_data.utf16", place=where)


def _are_chains(value: Any, length: int) -> bool:
    """Tell whether a value is made like chains of spans in a text of so many characters."""
    chains = list(value.values()) if isinstance(value, Mapping) else value
    if not isinstance(chains, list | tuple):
        return False
    # parquet rows give every column of a struct, absent ones as None
    shown = [chain for chain in chains if chain is not None][:_CHAINS]
    return bool(shown) and all(
        isinstance(chain, list | tuple) and chain and all(_is_span(one, length) for one in chain)
        for chain in shown
    )


def _is_span(value: Any, length: int) -> bool:
    bounds = (value.get("start"), value.get("end")) if isinstance(value, Mapping) else value
    return (
        isinstance(bounds, list | tuple)
        and len(bounds) == 2
        and all(type(one) is int for one in bounds)
        and 0 <= bounds[0] < bounds[1] <= length
    )


def _in_utf16(text: str, spans: Sequence[tuple[int, int]]) -> bool:
    """Tell whether spans begin and end at words if they count UTF-16 units, and more seldom if they count characters."""
    if not text or max(text) <= "\uffff":
        return False
    begins = accumulate((1 + (char > "\uffff") for char in text), initial=0)
    place = {unit: at for at, unit in enumerate(begins)}
    as_units = [(place.get(start, -1), place.get(end, -1)) for start, end in spans]
    moved = [both for both in zip(spans, as_units, strict=True) if both[0] != both[1]]
    return sum(_odd(text, *span) for span, _ in moved) > sum(_odd(text, *unit) for _, unit in moved)


def _odd(text: str, start: int, end: int) -> bool:
    """Tell whether a span begins inside a word, has a blank at an end, or is none (particles may follow it)."""
    if not 0 <= start < end <= len(text):
        return True
    inside = start > 0 and text[start - 1].isalnum() and text[start].isalnum()
    return inside or text[start].isspace() or text[end - 1].isspace()
