"""CorefUD: CoNLL-U files whose MISC column holds `Entity=` brackets (https://ufal.mff.cuni.cz/corefud).

Read are words, blanks (SpaceAfter=No), paragraphs, multi-word tokens, the tree, and mentions with their heads, and of a
document's comments `# group = ` (the work that it is a part of). Words of a mention may be empty nodes (dropped arguments): they are passed over, and a mention of nothing else is a zero,
kept by its place. What has no single span of text is counted: see `Document.beyond`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from coref_k8s.corpus.tags import without_tag
from coref_k8s.errors import DataError
from coref_k8s.text.document import Document
from coref_k8s.text.words import Span, Words

_BRACKET = re.compile(r"\((?P<opened>[^()]+)(?P<closed>\))?|(?P<closing>[^()]+)\)")
_PART = re.compile(r"(?P<eid>.*)\[(?P<part>\d+)/(?P<of>\d+)\]$")
#: Attributes of an opening bracket where the file names none (CorefUD 1.0).
_ATTRIBUTES = ("eid", "etype", "head", "other")


class Mention:
    """A mention that is being read: nodes of each part (first, last), the head's ordinal among them."""

    def __init__(self, head: int | None = None, parts: Iterable[tuple[int, int]] = ()) -> None:
        self.parts = list(parts)
        self.head = head


class TreebankReader:
    """A document that is being read. Nodes are words and empty nodes in text order."""

    def __init__(self, doc_id: str) -> None:
        self.doc_id = doc_id
        self.group = ""
        self.attributes: tuple[str, ...] = _ATTRIBUTES
        self.text = ""
        self.gap = ""  # what stands before the next word
        self.nodes: list[int | None] = []  # number of the word; None for an empty node
        self.places: list[int] = []  # characters before the node
        self.spans: list[Span] = []
        self.parents: list[int] = []
        self.sentence = 0  # number of its first word
        self.sentences: list[int] = []  # that of each word
        self.clusters: dict[str, list[Span]] = {}
        self.zeros: dict[str, list[int]] = {}
        self.heads: dict[Span, int] = {}
        self.bounds: list[tuple[int, int]] = []  # first and last word of every mention
        self.beyond: Counter[str] = Counter()
        self.open: dict[str, list[tuple[int, Mention]]] = {}
        self.parted: dict[str, list[Mention]] = {}  # discontinuous ones, until their last part

    def token(self, form: str, misc: list[str]) -> Span:
        """Add a form to the text."""
        self.text += "\n" if "NewPar=Yes" in misc and self.text else self.gap
        start = len(self.text)
        bare = without_tag(form)
        self.beyond["tag"] += bare != form
        self.text += bare
        self.gap = "" if "SpaceAfter=No" in misc else " "
        return start, len(self.text)

    def word(self, span: Span, parent: str) -> None:
        """Add a word whose characters are there already; `parent` counts in its sentence from 1."""
        self.nodes.append(len(self.spans))
        self.places.append(span[0])
        self.spans.append(span)
        self.sentences.append(self.sentence)
        self.parents.append(self.sentence + int(parent) - 1 if parent.isdigit() and int(parent) else -1)

    def empty_node(self) -> None:
        """Add a dropped argument."""
        self.nodes.append(None)
        self.places.append(len(self.text))

    def end_sentence(self) -> None:
        """Let the parents of the next words count anew."""
        self.sentence = len(self.spans)

    def annotations(self, misc: list[str], place: str) -> None:
        """Read the brackets of the last node."""
        for item in misc:
            name, _, value = item.partition("=")
            if name == "Entity":
                for bracket in _BRACKET.finditer(value):
                    self._bracket(bracket, place)
            elif name == "ClusterId":
                self.beyond["old-notation"] += 1
            elif name == "Bridge":
                self.beyond["bridging"] += value.count("<")
            elif name == "SplitAnte":
                targets = {link.partition("<")[2] for link in value.split(",")}
                self.beyond["split-antecedent"] += len(targets)

    def _bracket(self, bracket: re.Match[str], place: str) -> None:
        if bracket["opened"]:
            values = bracket["opened"].split("-")
            named = dict(zip(self.attributes, values, strict=False))
            label = named.get("eid") or named.get("GRP") or values[-1]
            self.open.setdefault(label, []).append((len(self.nodes) - 1, self._opened(label, named)))
        else:
            label = bracket["closing"].split("-")[-1]
        if bracket["opened"] and not bracket["closed"]:
            return
        if not self.open.get(label):
            raise DataError("coref_data.not-opened", place=place, entity=label)
        first, mention = self.open[label].pop()
        mention.parts.append((first, len(self.nodes) - 1))
        part = _PART.match(label)
        if not part:
            self.add(label, mention)
        elif part["part"] == part["of"]:
            self.parted[part["eid"]].remove(mention)
            self.add(part["eid"], mention)

    def _opened(self, label: str, named: dict[str, str]) -> Mention:
        head = named.get("head", "")
        part = _PART.match(label)
        if part and part["part"] != "1" and self.parted.get(part["eid"]):
            return self.parted[part["eid"]][-1]
        mention = Mention(int(head) if head.isdigit() else None)
        if part:
            self.parted.setdefault(part["eid"], []).append(mention)
        return mention

    def add(self, label: str, mention: Mention) -> None:
        """Take a whole mention in."""
        nodes = [node for first, last in sorted(mention.parts) for node in range(first, last + 1)]
        words = [word for node in nodes if (word := self.nodes[node]) is not None]
        if not words:
            self.zeros.setdefault(label, []).append(self.places[nodes[0]])
            self.beyond["zero"] += 1
            return
        if words[-1] - words[0] >= len(words):
            self.beyond["discontinuous"] += 1
            return
        span = self.spans[words[0]][0], self.spans[words[-1]][1]
        self.bounds.append((words[0], words[-1]))
        self.beyond["twice"] += span in self.clusters.get(label, ())
        self.clusters.setdefault(label, []).append(span)
        if mention.head is not None and 0 < mention.head <= len(nodes):
            head = self.nodes[nodes[mention.head - 1]]
            if head is not None:
                self.heads[span] = head

    def _cut(self, first: int, last: int) -> bool:
        """Tell whether a mention begins or ends inside a token of several words: words of one token share a span."""
        return (first > 0 and self.spans[first - 1] == self.spans[first]) or (
            last + 1 < len(self.spans) and self.spans[last + 1] == self.spans[last]
        )

    def document(self, place: str) -> Document:
        """Return what was read. Raises DataError for a mention that was not closed."""
        unclosed = [label for label, mentions in self.open.items() if mentions]
        if unclosed:
            raise DataError("coref_data.never-closed", place=place, entity=unclosed[0], document=self.doc_id)
        self.beyond["discontinuous"] += sum(map(len, self.parted.values()))  # those without their last part
        self.beyond["part-of-token"] = sum(self._cut(*bounds) for bounds in self.bounds)
        tree = self.heads or any(parent >= 0 for parent in self.parents)
        return Document(
            self.doc_id,
            self.text,
            {label: sorted(set(spans)) for label, spans in self.clusters.items()},
            words=Words(self.spans, self.parents, self.heads) if tree else None,
            group=self.group,
            zeros=self.zeros,
            beyond=+self.beyond,
        )


class Line(NamedTuple):
    """A line of a CoNLL-U file: the document that it belongs to, None before the first; its word's number, if any."""

    text: str
    reader: TreebankReader | None
    word: int | None = None


def walk(lines: Iterable[str], *, where: str) -> Iterator[Line]:
    """Yield the lines of a CoNLL-U file while their documents are read. Raises DataError with the line's number."""
    reader: TreebankReader | None = None
    attributes: tuple[str, ...] = _ATTRIBUTES
    inside, token = range(0), (0, 0)  # words of a multi-word token, and its characters
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip("\r\n").removeprefix("\ufeff")
        place = f"{where}:{number}"
        word = None
        if line.startswith("#"):
            key, _, value = (part.strip() for part in line[1:].partition("="))
            if key == "global.Entity":
                attributes = tuple(value.split("-"))
            elif key in ("newdoc", "newdoc id"):
                reader = TreebankReader(value or place)
            elif key == "group" and reader:
                reader.group = value
            elif key in ("newpar", "newpar id") and reader and reader.text:
                reader.gap = "\n"
        elif not line.strip():
            inside = range(0)
            if reader:
                reader.end_sentence()
        else:
            columns = line.split("\t")
            if len(columns) != 10:
                raise DataError("coref_data.columns", place=place, n=len(columns))
            reader = reader or TreebankReader(where)
            reader.attributes = attributes
            name, form, misc = columns[0], columns[1], columns[9].split("|")
            if "-" in name:
                first, _, last = name.partition("-")
                if not (first.isdigit() and last.isdigit()):
                    raise DataError("coref_data.range", place=place, name=name)
                inside = range(int(first), int(last) + 1)
                token = reader.token(form, misc)
            else:
                if "." in name:
                    reader.empty_node()
                else:
                    word = len(reader.spans)
                    within = name.isdigit() and int(name) in inside
                    reader.word(token if within else reader.token(form, misc), columns[6])
                reader.annotations(misc, place)
        yield Line(line, reader, word)


def read_conllu(lines: Iterable[str], *, where: str) -> Iterator[Document]:
    """Yield the documents of a CoNLL-U file. Raises DataError with the line's number."""
    reader: TreebankReader | None = None
    for line in walk(lines, where=where):
        if line.reader is not reader:
            if reader:
                yield reader.document(where)
            reader = line.reader
    if reader:
        yield reader.document(where)
