"""Checks documents with gold chains; `python -m coref_k8s.corpus.validate FILE...` checks marked-text files."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from coref_k8s.corpus.marked import parse_marked
from coref_k8s.errors import DataError
from coref_k8s.text.document import Document


def problems(document: Document) -> list[str]:
    """Return what is wrong with a document's chains, one sentence each; an empty list when they are sound.

    Sound: every span lies in the text, is not empty and does not start or end with a blank; no span is
    marked twice; no two mentions cross; each entity has at least two mentions.
    """
    found = []
    text = document.text
    for label, spans in document.clusters.items():
        if len(spans) < 2:
            found.append(f"entity {label} has {len(spans)} mention; a chain needs two")
        for start, end in spans:
            if not 0 <= start < end <= len(text):
                found.append(f"entity {label}: span {start}-{end} lies outside the text or is empty")
            elif text[start:end] != text[start:end].strip():
                found.append(f"entity {label}: mention {text[start:end]!r} starts or ends with a blank")
    mentions = list(document.mentions())
    for (start, end), count in Counter((start, end) for start, end, _ in mentions).items():
        if count > 1:
            found.append(f"span {start}-{end} {text[start:end]!r} is marked {count} times")
    open_spans: list[tuple[int, int, str]] = []
    for start, end, label in mentions:
        while open_spans and open_spans[-1][1] <= start:
            open_spans.pop()
        if open_spans and open_spans[-1][1] < end:
            found.append(f"mention {text[start:end]!r} of {label} crosses one of {open_spans[-1][2]}")
        open_spans.append((start, end, label))
    return found


def main(paths: list[str]) -> int:
    """Check files, print a line for each fault, return the exit code."""
    faults = 0
    seen: dict[str, str] = {}
    for path in paths:
        try:
            document = parse_marked(Path(path).read_text(encoding="utf-8"), where=path)
            wrong = problems(document)
            if document.doc_id in seen:
                wrong.append(f"id {document.doc_id} is also that of {seen[document.doc_id]}")
            seen[document.doc_id] = path
        except DataError as error:
            print(error)
            faults += 1
            continue
        for line in wrong:
            print(f"{path}: {line}")
        faults += bool(wrong)
    print(f"{len(paths)} files, {faults} with faults")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
