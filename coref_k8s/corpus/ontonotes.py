"""OntoNotes-style rows: tokenised sentences, chains in token offsets (end inclusive) over the document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coref_k8s.corpus.registry import Extracted
from coref_k8s.errors import DataError


def ontonotes_row(row: Mapping[str, Any]) -> Extracted:
    """Turn {"doc_key", "sentences": [[token]], "clusters": [[[first, last]]]} into text and character chains.

    Tokens are joined by a blank, sentences by a newline. Raises DataError on an offset beyond the tokens.
    """
    spans: list[tuple[int, int]] = []
    lines = []
    offset = 0
    for sentence in row["sentences"]:
        place = offset
        for token in sentence:
            spans.append((place, place + len(token)))
            place += len(token) + 1
        line = " ".join(sentence)
        lines.append(line)
        offset += len(line) + 1
    clusters = {}
    for number, chain in enumerate(row["clusters"]):
        try:
            clusters[str(number)] = sorted({(spans[first][0], spans[last][1]) for first, last in chain})
        except IndexError as error:
            raise DataError(
                f"document {row.get('doc_key')}: cluster {number} points beyond its {len(spans)} tokens"
            ) from error
    return Extracted("\n".join(lines), doc_id=str(row.get("doc_key") or ""), clusters=clusters)
