"""What a column of a row holds, as whoever wrote the table may have left it: a number for a name, null, NaN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Columns that name a document of gold chains, whatever its format.
_NAMES = ("doc_id", "doc_key", "id")


def missing(value: Any) -> bool:
    """Tell whether a row has no value there: null, or NaN, as pandas writes it."""
    return value is None or value != value


def column_text(row: Mapping[str, Any], *columns: str) -> str:
    """Return the first of these columns that has a value, as text."""
    found = (row[column] for column in columns if not missing(row.get(column)) and row[column] != "")
    return str(next(found, ""))


def document_name(row: Mapping[str, Any]) -> str:
    """Return the name that a row gives its document; empty where it gives none."""
    return column_text(row, *_NAMES)
