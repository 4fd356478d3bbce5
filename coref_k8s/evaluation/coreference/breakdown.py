"""Where a score comes from: recall of links by the type of the mention and by the distance to its antecedent."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from coref_k8s.text.document import Document
from coref_k8s.text.korean import Analysis
from coref_k8s.text.korean import Span as Found
from coref_k8s.text.words import Span

MentionType = Literal["seen", "new", "pronoun"]
#: A name or noun whose string an earlier mention of the document has; another name or noun; a pronoun.
TYPES: tuple[MentionType, ...] = ("seen", "new", "pronoun")
#: Upper bounds of the distances to the nearest gold antecedent (tokens); beyond the last there is one more.
BOUNDS = (512, 1024, 2048)


@dataclass(frozen=True)
class Anaphor:
    """A gold mention with earlier mentions of its entity."""

    span: Span
    entity: str
    antecedents: frozenset[Span]
    type: MentionType
    distance: int | None
    """Tokens to the nearest antecedent; None when no tokeniser was given."""


@dataclass(frozen=True)
class Recall:
    """Anaphors of one kind, and how many are linked to some right antecedent."""

    n: int
    found: int

    @property
    def recall(self) -> float | None:
        """Share that is found; None when there is nothing to find."""
        return self.found / self.n if self.n else None


def anaphors(document: Document, analysis: Analysis, tokens: Sequence[Span] | None) -> list[Anaphor]:
    """Return the gold mentions of a document that have an antecedent, in text order.

    `tokens` are the characters of each token of the document.
    """
    distances = _Distances(tokens) if tokens is not None else None
    before: dict[str, list[Span]] = {}
    strings: set[str] = set()
    found = []
    for start, end, entity in document.mentions():
        string = normalised(document.text[start:end])
        earlier = before.setdefault(entity, [])
        if earlier and (start, end) not in earlier:
            kind: MentionType = "seen" if string in strings else "new"
            if is_pronoun(document.text, (start, end), analysis):
                kind = "pronoun"
            away = distances.nearest(earlier, start) if distances else None
            found.append(Anaphor((start, end), entity, frozenset(earlier), kind, away))
        earlier.append((start, end))
        strings.add(string)
    return found


def linked(anaphors: Sequence[Anaphor], response: Iterable[Iterable[Hashable]]) -> list[bool]:
    """Tell of each anaphor whether the response has it in one chain with an antecedent of its entity."""
    chain_of: dict[Hashable, frozenset[Hashable]] = {
        mention: chain for chain in map(frozenset, response) for mention in chain
    }
    return [not one.antecedents.isdisjoint(chain_of.get(one.span, ())) for one in anaphors]


def by_type(anaphors: Sequence[Anaphor], hits: Sequence[bool]) -> dict[str, Recall]:
    """Return the recall of each type of mention."""
    return {
        kind: _recall([hit for one, hit in zip(anaphors, hits, strict=True) if one.type == kind])
        for kind in TYPES
    }


def by_distance(anaphors: Sequence[Anaphor], hits: Sequence[bool]) -> dict[str, Recall]:
    """Return the recall of each distance: `0-512`, …, `2048-`; empty when distances are not known."""
    pairs = [(one.distance, hit) for one, hit in zip(anaphors, hits, strict=True) if one.distance is not None]
    if len(pairs) < len(anaphors):
        return {}
    table = {}
    for low, high in zip((0, *BOUNDS), (*BOUNDS, None), strict=True):
        inside = [hit for away, hit in pairs if (away > low or low == 0) and (high is None or away <= high)]
        table[f"{low}-{high or ''}"] = _recall(inside)
    return table


def normalised(string: str) -> str:
    """Return a mention's string as strings are compared: without blanks."""
    return "".join(string.split())


def is_pronoun(text: str, span: Span, analysis: Analysis) -> bool:
    """Tell whether a mention is, but for its particles, a pronoun: 그녀, 우리는, 이것들; not 내 집."""
    inside = [*_within(analysis.pronouns, span), *_within(analysis.interrogatives, span)]
    if not inside:
        return False
    last = max(inside, key=lambda one: one.start)
    noun = any(run.end <= span[1] for run in _within(analysis.noun_runs, (last.end, span[1])))
    return not noun and not any(char.isspace() for char in text[last.end : span[1]].strip())


def _within(found: Sequence[Found], span: Span) -> Sequence[Found]:
    """Return what begins in a span, of pieces in text order."""
    first, last = (bisect_left(found, place, key=lambda one: one.start) for place in span)
    return found[first:last]


class _Distances:
    """Counts the tokens between two places of a text."""

    def __init__(self, tokens: Sequence[Span]) -> None:
        self._starts = [start for start, _ in tokens]

    def nearest(self, antecedents: Sequence[Span], start: int) -> int:
        end = max((end for _, end in antecedents if end <= start), default=start)
        return bisect_left(self._starts, start) - bisect_left(self._starts, end)


def _recall(hits: Sequence[bool]) -> Recall:
    return Recall(len(hits), sum(hits))


def added(tables: Iterable[Mapping[str, Recall]]) -> dict[str, Recall]:
    """Add up the tables of several documents."""
    total: dict[str, Recall] = {}
    for table in tables:
        for name, one in table.items():
            before = total.get(name, Recall(0, 0))
            total[name] = Recall(before.n + one.n, before.found + one.found)
    return total
