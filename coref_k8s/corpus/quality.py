"""Quality of a document: how dense its nouns, pronouns and repeated mentions are, and how far apart.

Coreference density is the number of repeated mentions and pronouns per 100 words. A repeated mention is a
noun run that stood earlier in the document or, where there are gold chains, any mention but the first.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from coref_k8s.corpus.duplicates import sketch
from coref_k8s.corpus.generated import is_generated
from coref_k8s.text.document import Document
from coref_k8s.text.korean import Analysis, Span, analyse

#: Upper ends of the distance buckets (characters) of repeated mentions; the last one is open.
DISTANCES = (250, 1000, 2000, 4000)


@dataclass(frozen=True, slots=True)
class Quality:
    """Counts of one document; densities follow from them."""

    characters: int
    words: int
    sentences: int
    nouns: int
    pronouns: int
    repeated: int
    distances: tuple[int, ...]
    """Repeated mentions by distance (characters) to the one before; buckets of DISTANCES."""

    @property
    def coref_density(self) -> float:
        """Repeated mentions and pronouns per 100 words."""
        return 100 * (self.repeated + self.pronouns) / max(1, self.words)


@dataclass(frozen=True, slots=True)
class Analysed:
    """What is kept of the analysis of a document; offsets are flat (start, end, start, end, ...)."""

    quality: Quality
    noun_runs: array[int]
    sentences: array[int]
    sketch: bytes
    """What near-duplicates are told by; empty when they are not looked for."""


def analyse_document(document: Document, *, sketched: bool = False) -> Analysed:
    """Analyse one document with this process's Kiwi."""
    generated = is_generated(document.source)
    analysis = _by_line(document.text) if generated else analyse(document.text)
    return Analysed(
        quality=measure(document, analysis),
        noun_runs=_flat(analysis.noun_runs),
        sentences=_flat(analysis.sentences),
        # generated text repeats its carrier sentences on purpose; what is asked for differs
        sketch=sketch(document.text) if sketched and not generated else b"",
    )


def measure(document: Document, analysis: Analysis) -> Quality:
    """Count what the densities are made of."""
    distances = [0] * (len(DISTANCES) + 1)
    repeated = 0
    for before, after in _links(document, analysis):
        repeated += 1
        distances[sum(after - before > limit for limit in DISTANCES)] += 1
    return Quality(
        characters=len(document.text),
        words=analysis.words,
        sentences=len(analysis.sentences),
        nouns=len(analysis.noun_runs),
        pronouns=len(analysis.pronouns),
        repeated=repeated,
        distances=tuple(distances),
    )


def _links(document: Document, analysis: Analysis) -> Iterable[tuple[int, int]]:
    """Yield (end of the mention before, start) of every repeated mention."""
    if document.clusters:
        for spans in document.clusters.values():
            yield from ((before[1], after[0]) for before, after in pairwise(spans))
        return
    last: dict[str, int] = {}
    for run in analysis.noun_runs:
        if run.text in last:
            yield last[run.text], run.start
        last[run.text] = run.end


def _by_line(text: str) -> Analysis:
    """Analyse generated text line by line: it repeats its carrier sentences, each is analysed once."""
    total = Analysis([], [], [], [], 0)
    words = offset = 0
    for line in text.split("\n"):
        part = _line(line)
        for into, spans in (
            (total.noun_runs, part.noun_runs),
            (total.pronouns, part.pronouns),
            (total.interrogatives, part.interrogatives),
        ):
            into.extend(Span(span.start + offset, span.end + offset, span.text) for span in spans)
        total.sentences.extend((start + offset, end + offset) for start, end in part.sentences)
        words += part.words
        offset += len(line) + 1
    return Analysis(total.noun_runs, total.pronouns, total.interrogatives, total.sentences, words)


@lru_cache(maxsize=8192)
def _line(line: str) -> Analysis:
    return analyse(line)


def _flat(spans: Iterable[tuple[int, int] | Span]) -> array[int]:
    flat = array("i")
    for span in spans:
        flat.extend(span[:2])
    return flat
