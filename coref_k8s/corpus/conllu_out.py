"""Chains written into a CoNLL-U file that is there: trees, empty nodes, comments and all other columns stay as they are.

Brackets follow the rules of CorefUD 1.0: closing ones first, longer mentions opened first, single words after all that
open and before all that close where nothing opens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from coref_k8s.corpus.conllu import Line, TreebankReader, walk
from coref_k8s.errors import DataError
from coref_k8s.text.clean import clean_text
from coref_k8s.text.words import Span, Words

#: Attributes of MISC that the chains replace.
_REPLACED = ("Entity=", "Bridge=", "SplitAnte=")
_GLOBAL = Line("# global.Entity = eid-etype-head-other", None)


@dataclass
class Annotated:
    """A file with chains, and the mentions that it cannot hold."""

    text: str
    left_out: int
    """Mentions without a word, beyond a sentence, or crossing one of their own entity."""


def annotate_conllu(
    lines: Iterable[str], chains: Sequence[Iterable[Iterable[Span]]], *, where: str
) -> Annotated:
    """Return a CoNLL-U file with these chains for those that it had, one set a document.

    Spans count characters of the text that `read_conllu` and `clean` give. Raises DataError when the file has more or
    fewer documents.
    """
    documents = _documents(lines, where)
    if len(documents) != len(chains):
        raise DataError("coref_data.other-documents", place=where, n=len(documents), given=len(chains))
    out: list[str] = []
    left_out = 0
    numbers = count(1)  # of entities: a name is that of one entity in the whole file
    for (reader, rows), given in zip(documents, chains, strict=True):
        brackets, lost = _brackets(reader, given, numbers)
        left_out += lost
        out += (
            _with(row.text, "" if row.word is None else brackets[row.word])
            if row.text[:1] not in ("", "#")
            else row.text
            for row in rows
        )
    return Annotated("\n".join(out) + "\n", left_out)


def _documents(lines: Iterable[str], where: str) -> list[tuple[TreebankReader, list[Line]]]:
    """Return each document's lines; the attributes of its brackets are named anew, after the line that opens it."""
    documents: list[tuple[TreebankReader, list[Line]]] = []
    before: list[Line] = []
    for line in walk(lines, where=where):
        if line.text.startswith("# global.Entity"):
            continue
        if line.reader is None:
            before += [line] if line.text else []
            continue
        if not documents or documents[-1][0] is not line.reader:
            # attributes are read from the line after "# newdoc" only
            opens = line.text.startswith("# newdoc")
            head = [line, _GLOBAL] if opens else [Line("# newdoc", line.reader), _GLOBAL]
            documents.append(
                (line.reader, [*(before if opens else ()), *head, *([] if opens else [*before, line])])
            )
            before = []
        else:
            documents[-1][1].append(line)
    return documents


def _brackets(
    reader: TreebankReader, chains: Iterable[Iterable[Span]], numbers: Iterator[int]
) -> tuple[list[str], int]:
    """Return the `Entity` of each word, and how many mentions were left out."""
    clean = clean_text(reader.text)
    words = Words([clean.span(*span) for span in reader.spans], reader.parents)
    marks = [_Marks() for _ in words.spans]
    left_out = 0
    for chain, number in zip(chains, numbers, strict=False):
        taken: list[tuple[int, int]] = []
        for span in sorted(set(chain), key=lambda span: (span[0], -span[1])):
            inside, head = words.inside(span), words.head(span)
            first, last = (inside[0], inside[-1]) if inside else (0, 0)
            if (
                head is None
                or reader.sentences[first] != reader.sentences[last]
                or (first, last) in taken
                # the file would read these as two others
                or any(a < first <= b < last or first < a <= last < b for a, b in taken)
            ):
                left_out += 1
                continue
            taken.append((first, last))
            opened = f"(e{number}--{head - first + 1}"
            if first == last:
                marks[first].single.append(f"{opened})")
            else:
                marks[first].opening.append((-last, opened))
                marks[last].closing.append((-first, f"e{number})"))
    return [str(mark) for mark in marks], left_out


@dataclass
class _Marks:
    """The brackets of a word."""

    opening: list[tuple[int, str]] = field(default_factory=list)
    closing: list[tuple[int, str]] = field(default_factory=list)
    single: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        opens = "".join(bracket for _, bracket in sorted(self.opening))
        closes = "".join(bracket for _, bracket in sorted(self.closing))
        alone = "".join(self.single)
        return closes + opens + alone if opens else alone + closes


def _with(line: str, entity: str) -> str:
    """Return a word's line with its annotation of entities replaced."""
    columns = line.split("\t")
    kept = [item for item in columns[9].split("|") if item != "_" and not item.startswith(_REPLACED)]
    items = [*([f"Entity={entity}"] if entity else []), *kept]
    return "\t".join([*columns[:9], "|".join(items) or "_"])
