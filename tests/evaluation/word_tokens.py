"""Documents with chains as corpora of Korean word tokens have them: a mention is whole words, particles and all."""

from __future__ import annotations

import json
import os
import re
from bisect import bisect_left, bisect_right
from pathlib import Path
from typing import Any

from coref_k8s.corpus.sources import load_documents
from coref_k8s.study.spec import DatasetConfig, DataSpec
from coref_k8s.text.document import Document

Span = tuple[int, int]


def words(document: Document) -> tuple[list[list[str]], list[list[Span]]]:
    """Return sentences (lines) of words, and each entity's mentions as first and last word."""
    lines = [list(re.finditer(r"\S+", line)) for line in document.text.split("\n")]
    offsets = [0]
    for line in document.text.split("\n"):
        offsets.append(offsets[-1] + len(line) + 1)
    spans = [
        (at + word.start(), at + word.end())
        for at, line in zip(offsets, lines, strict=False)
        for word in line
    ]
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    chains = [
        sorted({(bisect_right(ends, start), bisect_left(starts, end) - 1) for start, end in mentions})
        for mentions in document.clusters.values()
    ]
    return [[word.group() for word in line] for line in lines if line], chains


def jsonlines(document: Document) -> str:
    """Return a row of sentences of words with clusters in words."""
    sentences, chains = words(document)
    return json.dumps({"doc_key": document.doc_id, "sentences": sentences, "clusters": chains}) + "\n"


def conll(document: Document) -> str:
    """Return the document in CoNLL-2012's columns."""
    sentences, chains = words(document)
    columns = _columns(chains, sum(map(len, sentences)), "({}", "{})", "|")
    lines, number = [f"#begin document ({document.doc_id}); part 000"], 0
    for sentence in sentences:
        for place, word in enumerate(sentence):
            lines.append(f"{document.doc_id} 0 {place} {word} - {columns[number] or '-'}")
            number += 1
        lines.append("")
    return "\n".join([*lines, "#end document", ""])


def conllu(document: Document, *, tagged: bool = False) -> str:
    """Return the document as CorefUD CoNLL-U, with a tag glued to every word where that is wanted."""
    sentences, chains = words(document)
    columns = _columns(chains, sum(map(len, sentences)), "(e{}", "e{})", "")
    lines, number = ["# global.Entity = eid", f"# newdoc id = {document.doc_id}"], 0
    for sentence in sentences:
        for place, word in enumerate(sentence, 1):
            misc = f"Entity={columns[number]}" if columns[number] else "_"
            form = f"{word}/{'SN' if word.isdigit() else 'NNP'}" if tagged else word
            lines.append("\t".join([str(place), form, *"______", "_", misc]))
            number += 1
        lines.append("")
    return "\n".join(lines) + "\n"


def _columns(chains: list[list[Span]], count: int, opened: str, closed: str, sep: str) -> list[str]:
    opens: list[list[tuple[int, int, str]]] = [[] for _ in range(count)]
    closes: list[list[tuple[int, int, str]]] = [[] for _ in range(count)]
    for number, chain in enumerate(chains, 1):
        for first, last in chain:
            if first == last:
                opens[first].append((1, 0, opened.format(number) + ")"))
            else:
                opens[first].append((0, -last, opened.format(number)))
                closes[last].append((-first, 0, closed.format(number)))
    # what ends here was opened before: closed first, so that brackets nest
    return [sep.join(part for *_, part in [*sorted(closes[at]), *sorted(opens[at])]) for at in range(count)]


def read(path: Path) -> list[Document]:
    """Return the documents of a file or folder, as every command reads them."""
    spec = DataSpec(sources=(DatasetConfig(source=str(path), min_length=0),))
    return [document for document, _ in load_documents(spec)]


def novels(count: int) -> list[Document]:
    """Return whole novels with gold chains in characters from the folder that COREF_CORPUS_DIR names; none without it."""
    folder = os.environ.get("COREF_CORPUS_DIR")
    path = Path(folder) / "novels.jsonl" if folder else None
    if path is None or not path.exists():
        return []
    rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Document(
            row["doc_id"],
            row["text"],
            {label: sorted(map(tuple, spans)) for label, spans in row["clusters"].items()},
        )
        for row in rows[:count]
    ]
