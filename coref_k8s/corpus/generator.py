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
from random import Random

from coref_k8s.corpus.names import INTRODUCTIONS, MENTIONS, ROLES, names_of, write
from coref_k8s.corpus.shipped import shipped_documents
from coref_k8s.document import Document, Split

#: Characters of the carrier prose to a token of the shipped tokeniser (a large one needs fewer tokens).
CHARS_PER_TOKEN = 2.0
#: Shortest and longest distance between two mentions of a person (tokens).
MIN_GAP, MAX_GAP = 50, 1500
#: Share of the length that a generated document fills: it must not be cut by a denser tokeniser.
FILL = 1.0
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
    """Yield `count` documents whose sizes go round `lengths` (tokens), test ones first, then dev, then train.

    The splits share the carrier prose (train sentences of the shipped documents) but no name.
    """
    tests = max(1, round(count * test_share)) if test_share and count >= 3 else 0
    devs = max(1, round(count * dev_share)) if dev_share and count >= 3 else 0
    for index in range(count):
        split: Split = "test" if index < tests else "dev" if index < tests + devs else "train"
        length = lengths[index % len(lengths)]
        yield _document(index, split, length, entities, Random(f"{seed}:{index}:{length}:{entities}"))


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


@lru_cache(maxsize=3)
def _names(split: Split) -> tuple[str, ...]:
    prose = "\n".join(sentence for sentences in _carriers() for sentence in sentences)
    return tuple(name for name in names_of(split) if name not in prose)


def _document(index: int, split: Split, length: int, entities: int, rng: Random) -> Document:
    size = int(length * FILL * CHARS_PER_TOKEN)
    planted = _plant(size, entities, split, rng)
    carrier = _prose(size - sum(len(sentence) for _, _, sentence, _ in planted), rng)
    lines: list[str] = []
    clusters: dict[str, list[tuple[int, int]]] = {}
    offset = 0

    def put(sentence: str) -> None:
        nonlocal offset
        lines.append(sentence)
        offset += len(sentence) + 1

    for sentence in carrier:
        while planted and planted[0][0] <= offset:
            _, name, planted_sentence, at = planted.pop(0)
            clusters.setdefault(name, []).append((offset + at, offset + at + len(name)))
            put(planted_sentence)
        put(sentence)
    for _, name, planted_sentence, at in planted:
        clusters.setdefault(name, []).append((offset + at, offset + at + len(name)))
        put(planted_sentence)
    return Document(
        doc_id=f"gap-{index:06d}",
        text="\n".join(lines),
        clusters={str(number): spans for number, spans in enumerate(clusters.values(), 1)},
        domain="gaps",
        source="gaps",
        split=split,
    )


def _plant(size: int, entities: int, split: Split, rng: Random) -> list[tuple[int, str, str, int]]:
    """Choose (place, name, sentence, name's offset) of every mention, by place (characters)."""
    planted = []
    names: list[str] = []
    for role in rng.sample(ROLES, entities):
        # No syllable twice in a document: the first piece alone must tell the persons apart.
        name = rng.choice(_names(split))
        while set(name) & set("".join(names)):
            name = rng.choice(_names(split))
        names.append(name)
        place = rng.uniform(0, 0.2 * size)
        sentence, at = write(rng.choice(INTRODUCTIONS), role, name)
        planted.append((int(place), name, sentence, at))
        longest = min(MAX_GAP * CHARS_PER_TOKEN, 0.7 * size)
        while True:
            # half the gaps are short: a model meets the task often before it masters it far away
            far = longest if rng.random() < 0.4 else min(longest, 3 * MIN_GAP * CHARS_PER_TOKEN)
            place += rng.uniform(1.2 * MIN_GAP * CHARS_PER_TOKEN, far)
            if place > size and sum(name == n for _, n, _, _ in planted) > 1:
                break
            sentence, at = write(rng.choice(MENTIONS), role, name)
            planted.append((int(min(place, size)), name, sentence, at))
            if place > size:
                break
    return sorted(planted)


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
