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
    for sentence in row["sentences"] or ():
        if not isinstance(sentence, list) or not all(isinstance(token, str) for token in sentence):
            raise DataError(f"document {row.get('doc_key')}: sentences must be lists of tokens")
        place = offset
        for token in sentence:
            spans.append((place, place + len(token)))
            place += len(token) + 1
        line = " ".join(sentence)
        lines.append(line)
        offset += len(line) + 1
    clusters = {}
    for number, chain in enumerate(row["clusters"] or ()):
        try:
            pairs = [(int(first), int(last)) for first, last in chain]
        except (TypeError, ValueError) as error:
            raise DataError(
                f"document {row.get('doc_key')}: cluster {number} is no list of [first, last] token numbers"
            ) from error
        if not all(0 <= first <= last < len(spans) for first, last in pairs):
            raise DataError(
                f"document {row.get('doc_key')}: cluster {number} points beyond its {len(spans)} tokens"
            )
        clusters[str(number)] = sorted({(spans[first][0], spans[last][1]) for first, last in pairs})
    return Extracted("\n".join(lines), doc_id=str(row.get("doc_key") or ""), clusters=clusters)
