"""CorefUD: CoNLL-U files whose MISC column holds `Entity=` brackets.

https://github.com/UniversalDependencies/docs and https://ufal.mff.cuni.cz/corefud. Read are words, blanks
(SpaceAfter=No), multi-word tokens and contiguous mentions; mentions of empty nodes (dropped arguments) and
discontinuous ones (`e1[1/2]`) have no single span of text and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from coref_k8s.errors import DataError
from coref_k8s.text.document import Document

_BRACKET = re.compile(r"\((?P<opened>[^()]+)(?P<closed>\))?|(?P<closing>[^()]+)\)")
_PART = re.compile(r"\[\d+/\d+\]$")


class _Reader:
    """The document being read."""

    def __init__(self, doc_id: str) -> None:
        self.doc_id = doc_id
        self.text = ""
        self.gap = ""  # what stands before the next word
        self.clusters: dict[str, list[tuple[int, int]]] = {}
        self.open: dict[str, list[int]] = {}

    def word(self, form: str, misc: str) -> tuple[int, int]:
        self.text += self.gap
        start = len(self.text)
        self.text += form
        self.gap = "" if "SpaceAfter=No" in misc.split("|") else " "
        return start, len(self.text)

    def entities(self, misc: str, span: tuple[int, int], eid: int, where: str) -> None:
        value = next((item[7:] for item in misc.split("|") if item.startswith("Entity=")), "")
        for bracket in _BRACKET.finditer(value):
            if bracket["opened"]:
                label = _label(bracket["opened"], eid)
                if bracket["closed"]:
                    self._add(label, span)
                else:
                    self.open.setdefault(label, []).append(span[0])
            else:
                label = _label(bracket["closing"], 0)
                if not self.open.get(label):
                    raise DataError(f"{where}: entity {label} is closed but was not opened")
                self._add(label, (self.open[label].pop(), span[1]))

    def _add(self, label: str, span: tuple[int, int]) -> None:
        if not _PART.search(label):
            self.clusters.setdefault(label, []).append(span)

    def document(self, where: str) -> Document:
        still = [label for label, starts in self.open.items() if starts]
        if still:
            raise DataError(f"{where}: entity {still[0]} of document {self.doc_id} is never closed")
        clusters = {label: sorted(set(spans)) for label, spans in self.clusters.items()}
        return Document(self.doc_id, self.text, clusters)


def read_conllu(lines: Iterable[str], *, where: str) -> Iterator[Document]:
    """Yield the documents of a CoNLL-U file. Raises DataError with the line's number."""
    reader: _Reader | None = None
    eid = 0
    skip: set[str] = set()  # words inside a multi-word token
    token = (0, 0)
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip("\r\n")
        place = f"{where}:{number}"
        if line.startswith("#"):
            key, _, value = line[1:].partition("=")
            key, value = key.strip(), value.strip()
            if key == "global.Entity":
                eid = value.split("-").index("eid") if "eid" in value.split("-") else 0
            elif key == "newdoc id" or line[1:].strip() == "newdoc":
                if reader:
                    yield reader.document(place)
                reader = _Reader(value or f"{where}:{number}")
            elif key.startswith("newpar") and reader and reader.text:
                reader.gap = "\n"
            continue
        if not line:
            skip = set()
            continue
        columns = line.split("\t")
        if len(columns) != 10:
            raise DataError(f"{place}: {len(columns)} columns where CoNLL-U has 10")
        reader = reader or _Reader(where)
        name, form, misc = columns[0], columns[1], columns[9]
        if "." in name:
            continue
        if "-" in name:
            try:
                first, last = map(int, name.split("-"))
            except ValueError as error:
                raise DataError(f"{place}: {name!r} is no range of words such as 3-4") from error
            skip = {str(word) for word in range(first, last + 1)}
            token = reader.word(form, misc)
            continue
        span = token if name in skip else reader.word(form, misc)
        reader.entities(misc, span, eid, place)
    if reader:
        yield reader.document(where)


def _label(value: str, eid: int) -> str:
    parts = value.split("-")
    return parts[min(eid, len(parts) - 1)]
