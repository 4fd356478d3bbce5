"""OntoNotes-style rows: tokenised sentences, chains in token offsets (end inclusive) over the document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coref_k8s.corpus.columns import document_name
from coref_k8s.corpus.tags import without_tag
from coref_k8s.errors import DataError
from coref_k8s.text.document import Document


def ontonotes_row(row: Mapping[str, Any]) -> Document:
    """Turn {"doc_key", "sentences": [[token]], "clusters": [[[first, last]]]} into text and character chains.

    Tokens are joined by a blank, sentences by a newline. Raises DataError on an offset beyond the tokens.
    """
    name = document_name(row)
    spans: list[tuple[int, int]] = []
    lines = []
    offset = tagged = 0
    for sentence in row["sentences"] or ():
        if not isinstance(sentence, list) or not all(isinstance(token, str) for token in sentence):
            raise DataError("coref_data.no-sentences", document=name)
        place = offset
        bare = [without_tag(token) for token in sentence]
        tagged += sum(one != token for one, token in zip(bare, sentence, strict=True))
        for token in bare:
            spans.append((place, place + len(token)))
            place += len(token) + 1
        line = " ".join(bare)
        lines.append(line)
        offset += len(line) + 1
    clusters = {}
    for number, chain in enumerate(row["clusters"] or ()):
        try:
            pairs = [(int(first), int(last)) for first, last in chain]
        except (TypeError, ValueError) as error:
            raise DataError("coref_data.no-pairs", document=name, cluster=number) from error
        if not all(0 <= first <= last < len(spans) for first, last in pairs):
            raise DataError("coref_data.beyond-tokens", document=name, cluster=number, n=len(spans))
        clusters[str(number)] = sorted({(spans[first][0], spans[last][1]) for first, last in pairs})
    return Document(name, "\n".join(lines), clusters, beyond={"tag": tagged} if tagged else {})
