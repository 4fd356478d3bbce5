"""CoNLL-2012 (OntoNotes): `#begin document (name); part 000`, a word a line, chains in the last column.

https://conll.cemantix.org/2012/data.html. Words are joined by a blank, sentences by a newline. Chains do not go beyond a
part, so each part is a document; the parts of one document are one work.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from coref_k8s.corpus.tags import without_tag
from coref_k8s.errors import DataError
from coref_k8s.text.document import Document

_BEGIN = re.compile(r"#begin document \(?(?P<name>.*?)\)?(?:; part (?P<part>\d+))?\s*$")
#: Column of the word, in OntoNotes and in all that follows it.
_WORD = 3


class _Part:
    def __init__(self, name: str, part: str | None) -> None:
        self.name, self.part = name, part
        self.lines: list[str] = [""]
        self.length = 0
        self.clusters: dict[str, list[tuple[int, int]]] = {}
        self.open: dict[str, list[int]] = {}
        self.tagged = 0

    def word(self, form: str, column: str, place: str) -> None:
        if self.lines[-1]:
            self.lines[-1] += " "
            self.length += 1
        start = self.length
        bare = without_tag(form)
        self.tagged += bare != form
        form = bare
        self.lines[-1] += form
        self.length += len(form)
        for bracket in column.split("|"):
            label = bracket.strip("()")
            if bracket.startswith("("):
                self.open.setdefault(label, []).append(start)
            if bracket.endswith(")"):
                if not self.open.get(label):
                    raise DataError("coref_data.not-opened", place=place, entity=label)
                self.clusters.setdefault(label, []).append((self.open[label].pop(), self.length))

    def end_sentence(self) -> None:
        if self.lines[-1]:
            self.lines.append("")
            self.length += 1

    def document(self, place: str) -> Document:
        for label, starts in self.open.items():
            if starts:
                raise DataError("coref_data.never-closed", place=place, entity=label, document=self.name)
        twice = sum(len(spans) - len(set(spans)) for spans in self.clusters.values())
        return Document(
            f"{self.name}_{int(self.part)}" if self.part else self.name,
            "\n".join(self.lines).rstrip("\n"),
            {label: sorted(set(spans)) for label, spans in self.clusters.items()},
            group=self.name if self.part else "",
            beyond={kind: n for kind, n in (("twice", twice), ("tag", self.tagged)) if n},
        )


def read_conll2012(lines: Iterable[str], *, where: str) -> Iterator[Document]:
    """Yield the parts of a CoNLL-2012 file. Raises DataError with the line's number."""
    part: _Part | None = None
    for number, raw in enumerate(lines, 1):
        line = raw.strip().removeprefix("\ufeff")
        place = f"{where}:{number}"
        if line.startswith("#begin document"):
            if part:
                yield part.document(place)
            begin = _BEGIN.match(line)
            part = _Part(begin["name"] if begin else line, begin["part"] if begin else None)
        elif line.startswith("#end document"):
            if part:
                yield part.document(place)
            part = None
        elif not line:
            if part:
                part.end_sentence()
        elif part is None:
            if not line.startswith("#"):
                raise DataError("coref_data.no-begin", place=place)
        else:
            columns = line.split()
            if len(columns) <= _WORD + 1:
                raise DataError("coref_data.few-columns", place=place, n=len(columns), word=_WORD + 1)
            part.word(columns[_WORD], columns[-1] if columns[-1] not in ("-", "*", "_") else "", place)
    if part:
        yield part.document(where)
