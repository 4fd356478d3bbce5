"""`DocumentTable`: one document as evaluation needs it, in tokens; every item points into a table.

All offsets are tokens of the document, end exclusive, unless a name says characters.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from coref_k8s.evaluation.vocabulary import Vocabulary
from coref_k8s.text.alignment import Tokens
from coref_k8s.text.document import Document
from coref_k8s.text.korean import Analysis, Span, analyse


@dataclass(frozen=True)
class DocumentTable:
    """What is stored of a document: its tokens and its noun runs."""

    doc_id: str
    ids: list[int]
    """Token ids of the whole document, without special tokens."""
    strings: list[str]
    """Its distinct noun runs that the tokeniser can write, in order of appearance."""
    pieces: list[list[int]]
    """T(string) of each of `strings`."""
    runs: list[tuple[int, int, int]]
    """Every occurrence as a complete run: (start, end, index into `strings`), by start."""
    entities: list[str]
    """Entity of each of `runs`: the gold cluster's label, or `=` and the string where there is none."""
    group: str = ""
    """The work that the document is a part of; empty for a whole one."""
    digest: str = ""
    """Hash of text and chains; empty in files of before."""

    def asked(self, item_id: str) -> str:
        """Return what a result calls an item: only what was asked of the same text with the same chains is the same."""
        return f"{item_id}@{self.digest}" if self.digest else item_id

    @property
    def unit(self) -> str:
        """What counts once in intervals: the work, or the document."""
        return self.group or self.doc_id

    def window_runs(self, start: int, end: int) -> Iterator[int]:
        """Yield the indices of the runs that lie wholly in [start, end)."""
        for index in range(bisect_left(self.runs, (start, -1, -1)), len(self.runs)):
            if self.runs[index][0] >= end:
                return
            if self.runs[index][1] <= end:
                yield index


@dataclass(frozen=True)
class Mention:
    """A noun run that can be a target."""

    start: int
    end: int
    characters: tuple[int, int]
    string: int
    """Index into the table's strings."""
    entity: str


@dataclass
class Workbench:
    """A document while items are made from it: table, characters, and where each string occurs."""

    document: Document
    tokens: Tokens
    analysis: Analysis
    table: DocumentTable
    mentions: list[Mention] = field(default_factory=list)
    """Usable runs by start: their characters are token boundaries and their tokens are T(run)."""
    runs: int = 0
    """All noun runs, usable or not."""
    gold: int = 0
    """Gold mentions."""
    usable_gold: int = 0
    """Gold mentions that are usable runs."""
    by_string: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    """Token spans of the complete runs of each string, by start."""
    _found: dict[int, list[tuple[int, int, bool]]] = field(default_factory=dict)

    def places(self, string: int) -> list[tuple[int, int, bool]]:
        """Token spans (start, end exclusive, whether it can be read there) wherever a string stands in the text.

        Sorted by start; a span covers every token that holds a part of the string. It can be read where it is a complete
        run or begins a token (나루터지기 for 나루터); inside a longer token (유일복 for 일복) it is only to be removed.
        """
        if string not in self._found:
            text, tokens, needle = self.document.text, self.tokens, self.table.strings[string]
            complete = {start for start, _ in self.by_string[string]}
            spans = []
            at = text.find(needle)
            while at >= 0:
                start, end = tokens.covering(at, at + len(needle))
                if start < end:
                    spans.append((start, end, tokens.starts[start] == at or start in complete))
                at = text.find(needle, at + 1)
            self._found[string] = spans
        return self._found[string]

    def occurrences(self, string: int) -> list[tuple[int, int]]:
        """Token spans where a string can be read, sorted by start."""
        return [(start, end) for start, end, readable in self.places(string) if readable]


def cut_to_nouns(document: Document, runs: Sequence[Span]) -> Document:
    """Return a document whose gold mentions are noun runs (or pronouns) where they hold one, signs and a tail.

    Corpora of word tokens give mentions with what is glued to them: particles (김첨지는), quotes, a tag (김첨지/NNP).
    A mention of several words stays as it is.
    """
    starts = [run.start for run in runs]

    def cut(start: int, end: int) -> tuple[int, int]:
        first = bisect_left(starts, start)
        inside = runs[first : bisect_left(starts, end)]
        if len(inside) != 1 or inside[0].end > end:
            return start, end
        before, after = document.text[start : inside[0].start], document.text[inside[0].end : end]
        if any(map(str.isalnum, before)) or len(after.split()) > 1 or after[:1].isspace():
            return start, end
        return inside[0].start, inside[0].end

    clusters = {
        label: sorted({cut(start, end) for start, end in spans}) for label, spans in document.clusters.items()
    }
    return replace(document, clusters=clusters)


def prepare(document: Document, vocabulary: Vocabulary) -> Workbench:
    """Tokenise and analyse a document, and cut its gold mentions to the noun runs in them."""
    tokens = vocabulary.tokenise(document.text)
    analysis = analyse(document.text)
    document = cut_to_nouns(document, sorted([*analysis.noun_runs, *analysis.pronouns]))
    gold = defaultdict(str, {(start, end): name for start, end, name in document.mentions()})
    numbers: dict[str, int] = {}
    table = DocumentTable(document.doc_id, tokens.ids, [], [], [], [], document.group, document.digest)
    bench = Workbench(document, tokens, analysis, table, runs=len(analysis.noun_runs))
    for run in analysis.noun_runs:
        pieces = vocabulary.word(run.text)
        start, end = tokens.covering(run.start, run.end)
        if not pieces or start >= end:
            continue
        if run.text not in numbers:
            numbers[run.text] = len(numbers)
            table.strings.append(run.text)
            table.pieces.append(pieces)
        entity = gold[run.start, run.end] or f"={run.text}"
        table.runs.append((start, end, numbers[run.text]))
        table.entities.append(entity)
        bench.by_string[numbers[run.text]].append((start, end))
        if tokens.exactly(run.start, run.end) and tokens.ids[start:end] == pieces:
            bench.mentions.append(Mention(start, end, (run.start, run.end), numbers[run.text], entity))
    spans = {mention.characters for mention in bench.mentions}
    mentions = [(start, end) for start, end, _ in document.mentions()]
    bench.gold, bench.usable_gold = len(mentions), sum(span in spans for span in mentions)
    return bench
