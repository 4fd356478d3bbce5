"""Long-gap documents: the project's own prose with invented persons planted in it.

Two persons (by default) are introduced once and mentioned again 50-1,500 tokens later. The carrier text is
natural, the names are not (see names.py), so a tiny model can learn within a few hundred steps to copy a
name over a long distance, and cannot succeed in any other way. Chains come with the text.
Everything depends on the arguments only: the same call gives the same documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from random import Random
from typing import NamedTuple

from coref_k8s.corpus.names import INTRODUCTIONS, MENTIONS, NAMES, ROLES, write
from coref_k8s.corpus.shipped import shipped_documents
from coref_k8s.text.document import Document, Split

#: Characters of the carrier prose to a token of the shipped tokeniser (a large one needs fewer tokens).
CHARS_PER_TOKEN = 2.0
#: Shortest and longest distance between two mentions of a person (tokens).
MIN_GAP, MAX_GAP = 50, 1500
#: Every other training document has about this many tokens. Over a short text attention starts out less thin, so a
#: model from nothing finds out early that names are copied; packing puts several into a sequence.
SHORT_DOCUMENT = 160
#: Share of gaps drawn up to the longest; the others go up to SHORT_GAP (tokens): a model has to meet the task
#: often, some five times in 512 tokens, before it masters it far away.
LONG_SHARE, SHORT_GAP = 0.3, 110
#: Share of the length that a generated document fills: it must not be cut by a denser tokeniser.
FILL = 1.0
#: Prose that holds any shortest gap, whatever the document's length (characters).
_PAGE = 4000
_SENTENCE_END = re.compile(r"(?<=[.?!])(?:\s+|$)(?![\"'”’)])")


def generate(
    count: int,
    *,
    lengths: Sequence[int],
    dev_share: float = 0.1,
    test_share: float = 0.1,
    entities: int = 2,
    seed: int = 0,
) -> Iterator[Document]:
    """Yield `count` documents, test ones first, then dev, then train; the same arguments give the same ones.

    Their sizes go round `lengths` (tokens), but every other training document is short. The splits share the
    carrier prose (train sentences of the shipped documents) and the list of names, but no document.
    """
    for index, split in enumerate(splits(count, dev_share, test_share)):
        length = lengths[index // 2 % len(lengths)]
        if split == "train" and index % 2:
            length = SHORT_DOCUMENT
        yield _document(index, split, length, entities, Random(f"{seed}:{index}:{length}:{entities}"))


def splits(count: int, dev_share: float, test_share: float) -> Iterator[Split]:
    """Yield the split of each of `count` documents: test, then dev, then train; each has one when there are three."""
    tests = max(1, round(count * test_share)) if test_share and count >= 3 else 0
    devs = max(1, round(count * dev_share)) if dev_share and count >= 3 else 0
    for index in range(count):
        yield "test" if index < tests else "dev" if index < tests + devs else "train"


@lru_cache(maxsize=1)
def _carriers() -> tuple[tuple[str, ...], ...]:
    """The train documents as sentences. Split by a rule, not by Kiwi: generating needs no analysis."""
    documents = (document for document in shipped_documents() if document.split == "train")
    return tuple(
        tuple(
            sentence.strip()
            for line in document.text.splitlines()
            for sentence in _SENTENCE_END.split(line)
            if sentence.strip()
        )
        for document in documents
    )


@lru_cache(maxsize=1)
def _names() -> tuple[str, ...]:
    prose = "\n".join(sentence for sentences in _carriers() for sentence in sentences)
    return tuple(name for name in NAMES if name not in prose)


class _Mention(NamedTuple):
    """A sentence to plant: where at the earliest (characters), whom it names, and where the name is in it."""

    place: int
    name: str
    sentence: str
    at: int


class _Text:
    """The document being put together."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.clusters: dict[str, list[tuple[int, int]]] = {}
        self._offset = 0

    def add(self, sentence: str) -> None:
        self.lines.append(sentence)
        self._offset += len(sentence) + 1

    def due(self, mention: _Mention) -> bool:
        """Tell whether a mention's place is reached, and its person was not named just before."""
        before = self.clusters.get(mention.name)
        near = before and self._offset + mention.at - before[-1][1] < 1.2 * MIN_GAP * CHARS_PER_TOKEN
        return mention.place <= self._offset and not near

    def mention(self, mention: _Mention) -> None:
        start = self._offset + mention.at
        self.clusters.setdefault(mention.name, []).append((start, start + len(mention.name)))
        self.add(mention.sentence)


def _document(index: int, split: Split, length: int, entities: int, rng: Random) -> Document:
    size = int(length * FILL * CHARS_PER_TOKEN)
    waiting = _plant(size, entities, rng)
    text = _Text()
    for sentence in _prose(size - sum(len(mention.sentence) for mention in waiting), rng):
        for mention in [mention for mention in waiting if text.due(mention)]:
            if text.due(mention):
                text.mention(mention)
                waiting.remove(mention)
        text.add(sentence)
    for mention in waiting:
        # what did not find its place is dropped, unless its person would be named only once
        if len(text.clusters.get(mention.name, ())) < 2:
            # in a very short document no sentence may fit: whole pages, then
            more = chain(_prose(size, rng), _prose(_PAGE, rng))
            while not text.due(mention):
                text.add(next(more))
        if text.due(mention):
            text.mention(mention)
    return Document(
        doc_id=f"gap-{index:06d}",
        text="\n".join(text.lines),
        clusters={str(number): spans for number, spans in enumerate(text.clusters.values(), 1)},
        domain="gaps",
        source="gaps",
        split=split,
    )


def _plant(size: int, entities: int, rng: Random) -> list[_Mention]:
    """Choose the mentions of a document, by place."""
    planted: list[_Mention] = []
    for role, name in zip(rng.sample(ROLES, entities), rng.sample(_names(), entities), strict=True):
        first = rng.uniform(0, 0.15 * size)
        sentence, at = write(rng.choice(INTRODUCTIONS), role, name)
        planted.append(_Mention(int(first), name, sentence, at))
        for place in _places(first, size, rng):
            sentence, at = write(rng.choice(MENTIONS), role, name)
            planted.append(_Mention(place, name, sentence, at))
    return sorted(planted)


def _places(first: float, size: int, rng: Random) -> list[int]:
    """Choose where a person is mentioned again (characters): at least once, up to the end of the text."""
    shortest = 1.2 * MIN_GAP * CHARS_PER_TOKEN
    places: list[int] = []
    place = first
    while True:
        gap = rng.uniform(shortest, min(SHORT_GAP * CHARS_PER_TOKEN, size / 2))
        if rng.random() < LONG_SHARE:
            far = rng.uniform(shortest, min(MAX_GAP * CHARS_PER_TOKEN, 0.7 * size))
            gap = far if place + far <= size else gap
        place += gap
        if place > size and places:
            return places
        places.append(min(int(place), size))


def _prose(size: int, rng: Random) -> list[str]:
    """Running sentences of about `size` characters, from a random place on, over several documents if need be."""
    sentences: list[str] = []
    length = 0
    while True:
        source = rng.choice(_carriers())
        for sentence in source[rng.randrange(max(1, len(source) // 2)) :]:
            if length + len(sentence) > size:
                return sentences
            length += len(sentence) + 1
            sentences.append(sentence)
