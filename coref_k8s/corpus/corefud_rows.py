"""Rows of JSON after CorefUD: sentences of tokens, mentions in tokens of a sentence, or CoNLL-U in a column.

Known are the columns of `coref-data/corefud_raw` (`coref_entities` with `sent_id` and `span`) and of the other data sets
of coref-data (`coref_chains` of [sentence, first, last], end inclusive). Data sets of this kind differ: what is
missing in one that fits neither is said, with the columns that are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from coref_k8s.corpus.columns import document_name
from coref_k8s.corpus.conllu import Mention, TreebankReader, read_conllu
from coref_k8s.errors import DataError
from coref_k8s.text.document import Document

_FORMS, _ORDINALS = ("form", "text", "token"), ("ord", "id")
_CHAINS = ("coref_entities", "coref_chains")
_CONLLU = ("conllu", "corefud", "text", "content")

#: Tokens of a sentence by their ordinal and by their place: numbers of nodes.
_Sentence = tuple[dict[float, int], list[int]]


def is_corefud(row: Mapping[str, Any]) -> bool:
    """Tell whether a row has chains as these data sets have them."""
    return any(row.get(column) is not None for column in _CHAINS) and bool(row.get("sentences"))


def corefud_row(row: Mapping[str, Any]) -> Document:
    """Turn a row into text, tree and chains. Raises DataError that says which column is missing."""
    name = document_name(row)
    for column in _CONLLU:
        value = row.get(column)
        if isinstance(value, str) and "\n1\t" in f"\n{value}":
            documents = list(read_conllu(value.split("\n"), where=name or column))
            if len(documents) == 1:
                return replace(documents[0], doc_id=name or documents[0].doc_id)
            raise DataError("coref_data.many-documents", column=column, n=len(documents))
    if not is_corefud(row):
        missing = [
            *([] if row.get("sentences") else ["sentences"]),
            *([] if any(row.get(column) for column in _CHAINS) else [" / ".join(_CHAINS)]),
        ]
        raise DataError("coref_data.no-corefud", missing=missing, there=[str(column) for column in row])
    reader = TreebankReader(name)
    sentences: dict[Any, _Sentence] = {}
    for number, sentence in enumerate(row["sentences"]):
        read = _sentence(sentence, reader, name)
        # chains name sentences by their number, entities by their id
        sentences[number] = sentences[str(sentence.get("sent_id", number))] = read
    for number, chain in enumerate(row.get("coref_entities") or row.get("coref_chains") or ()):
        for mention in chain:
            try:
                parts = list(_parts(mention, sentences))
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise DataError("coref_data.no-such-token", document=name, mention=str(mention)) from error
            label = mention.get("eid") if isinstance(mention, Mapping) else None
            reader.add(str(label or number), Mention(parts=parts))
    return reader.document(name)


def _sentence(sentence: Any, reader: TreebankReader, name: str) -> _Sentence:
    tokens = sentence.get("tokens") if isinstance(sentence, Mapping) else None
    if not isinstance(tokens, list | tuple):
        raise DataError("coref_data.no-sentences", document=name)
    ordinals: dict[float, int] = {}
    nodes = []
    for place, token in enumerate(tokens, 1):
        form = next((str(token[key]) for key in _FORMS if token.get(key) is not None), "_")
        ordinal = float(next((token[key] for key in _ORDINALS if token.get(key) is not None), place))
        if ordinal % 1:
            reader.empty_node()
        else:
            misc = str(token.get("misc") or "").split("|")
            reader.word(reader.token(form, misc), str(token.get("head") or ""))
        ordinals[ordinal] = len(reader.nodes) - 1
        nodes.append(len(reader.nodes) - 1)
    reader.end_sentence()
    return ordinals, nodes


def _parts(mention: Any, sentences: Mapping[Any, _Sentence]) -> Iterator[tuple[int, int]]:
    """Yield the nodes (first, last) of each part of a mention."""
    if isinstance(mention, Mapping):
        ordinals, _ = sentences[str(mention["sent_id"])]
        for part in str(mention["span"]).split(","):
            first, _, last = part.partition("-")
            yield ordinals[float(first)], ordinals[float(last or first)]
    else:
        sentence, start, end = mention
        _, nodes = sentences[int(sentence)]
        yield nodes[int(start)], nodes[int(end)]
