"""Rows of word pieces with `subtoken_map`, as coreference systems after e2e-coref, s2e and fast-coref keep them.

`sentences` are lists of pieces (or one list), `subtoken_map` names the word of each, `sentence_map` its sentence,
`clusters` count pieces, end inclusive. Words are joined by a blank, sentences by a newline; pieces may be WordPiece
(`##`), SentencePiece (`▁`) or byte-level (`Ġ`). A mention begins and ends where its pieces do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Any

from coref_k8s.corpus.columns import document_name
from coref_k8s.errors import DataError
from coref_k8s.text.document import Document

_SPECIAL = frozenset({"[CLS]", "[SEP]", "[PAD]", "<s>", "</s>", "<pad>"})
_UNKNOWN = frozenset({"[UNK]", "<unk>"})


def is_pieces(row: Mapping[str, Any]) -> bool:
    """Tell whether a row counts in word pieces."""
    return row.get("subtoken_map") is not None


def pieces_row(row: Mapping[str, Any]) -> Document:
    """Turn a row into text and character chains. Raises DataError when its lists do not fit together."""
    name = document_name(row)
    pieces = _flat(row.get("sentences") or row.get("tokens") or ())
    words = _flat(row["subtoken_map"])
    sentences = _flat(row.get("sentence_map") or [0] * len(pieces))
    if not len(pieces) == len(words) == len(sentences):
        raise DataError(
            "coref_data.pieces", document=name, n=len(pieces), words=len(words), sentences=len(sentences)
        )
    spans: list[tuple[int, int] | None] = [None] * len(pieces)
    text = ""
    sentence = None
    byte_level = any("Ġ" in piece for piece in pieces)
    kept = (number for number, piece in enumerate(pieces) if piece not in _SPECIAL)
    for _, group in groupby(kept, key=lambda number: words[number]):
        numbers = list(group)
        if text:
            text += " " if sentences[numbers[0]] == sentence else "\n"
        sentence = sentences[numbers[0]]
        word, bounds = _word([_bytes(pieces[number], byte_level) for number in numbers])
        for number, (start, end) in zip(numbers, bounds, strict=True):
            spans[number] = len(text) + start, len(text) + end
        text += word
    unknown = sum(piece in _UNKNOWN for piece in pieces)
    return Document(
        name,
        text,
        _clusters(row.get("clusters") or (), spans, name),
        beyond={"unknown-piece": unknown} if unknown else {},
    )


def _clusters(
    chains: Any, spans: Sequence[tuple[int, int] | None], name: str
) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for number, chain in enumerate(chains):
        for first, last in chain:
            inside = [span for span in spans[int(first) : int(last) + 1] if span]
            if not 0 <= int(first) <= int(last) < len(spans) or not inside:
                raise DataError("coref_data.beyond-tokens", document=name, cluster=number, n=len(spans))
            found.setdefault(str(number), []).append((inside[0][0], inside[-1][1]))
    return {label: sorted(set(mentions)) for label, mentions in found.items()}


def _flat(values: Sequence[Any]) -> list[Any]:
    """Return the pieces of all sentences in one list, and a list of pieces as it is."""
    return [one for part in values for one in (part if isinstance(part, list | tuple) else (part,))]


def _word(parts: Sequence[bytes]) -> tuple[str, list[tuple[int, int]]]:
    """Return the word that its pieces make, and the characters of it that each piece has a part of."""
    whole = b"".join(parts)
    ends, at = [0], 0
    for part in parts:
        at += len(part)
        ends.append(at)
    # a byte-level piece may end inside a syllable: the syllable belongs to both
    word = whole.decode("utf-8", "replace")
    bounds = [
        (len(whole[:start].decode("utf-8", "ignore")), len(whole[:end].decode("utf-8", "replace")))
        for start, end in pairwise(ends)
    ]
    return word, bounds


def _bytes(piece: str, byte_level: bool) -> bytes:
    if piece in _UNKNOWN:
        return "\ufffd".encode()
    if byte_level:
        return bytes(_byte_letters()[letter] for letter in piece if letter in _byte_letters()).removeprefix(
            b" "
        )
    if piece.startswith("##") and len(piece) > 2:
        return piece[2:].encode()
    return piece.removeprefix("▁").encode()


@lru_cache(maxsize=1)
def _byte_letters() -> dict[str, int]:
    """The letters by which byte-level tokenisers write bytes (GPT-2): those that can be seen are themselves."""
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in seen]
    return {chr(byte): byte for byte in seen} | {
        chr(256 + number): byte for number, byte in enumerate(hidden)
    }
