"""Sequences and documents without a tokeniser or Kiwi, as long and as dense in mentions as one likes: for measurements."""

from __future__ import annotations

import numpy as np

from coref_k8s.coref.encoded import EncodedDocument
from coref_k8s.coref.reading import Reading
from coref_k8s.coref.windows import Window
from coref_k8s.sizing.head import HeadShape
from coref_k8s.text.alignment import Tokens
from coref_k8s.trial.masking import TokenSequence, Vocabulary

#: Of invented documents: mentions of a token, tokens of a sentence, entities.
DENSITY, SENTENCE, ENTITIES = 0.125, 30, 40


def invented_sequences(count: int, seq_len: int, vocabulary: Vocabulary) -> list[TokenSequence]:
    """Return sequences as dense in mentions as running text: one token in five belongs to a noun that comes back."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        ids = rng.integers(5, vocabulary.size, seq_len)
        start = np.arange(5, seq_len - 5, 10)
        entity = rng.integers(0, max(1, len(start) // 4), len(start))
        last: dict[int, int] = {}
        distance = []
        for at, who in zip(start.tolist(), entity.tolist(), strict=True):
            distance.append(at - last[who] if who in last else -1)
            last[who] = at + 2
        segments, words = np.zeros(seq_len, np.int64), rng.random(seq_len) < 0.6
        found.append(
            TokenSequence(ids, segments, words, start, start + 2, entity, np.asarray(distance, np.int64))
        )
    return found


def invented_document(
    tokens: int,
    *,
    vocabulary: int,
    mentions_per_token: float = DENSITY,
    sentence: int = SENTENCE,
    entities: int = ENTITIES,
    seed: int = 0,
) -> EncodedDocument:
    """Return a document of `tokens` words of three characters; mentions of one or two tokens, evenly strewn."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(5, vocabulary, tokens)
    words = [f"{number % 1000:03d}" for number in rng.integers(0, 400, tokens)]
    starts = [4 * place for place in range(tokens)]
    bounds = list(range(0, tokens, sentence))
    sentences = np.asarray([(at, min(at + sentence, tokens)) for at in bounds], np.int32)
    count = round(tokens * mentions_per_token)
    firsts = np.sort(rng.choice(tokens - 2, count, replace=False))
    ends = np.minimum(firsts + rng.integers(1, 3, count), (firsts // sentence + 1) * sentence)
    mentions = np.stack([firsts, ends, rng.integers(0, entities, count)], axis=1).astype(np.int32)
    spans = [(int(4 * first), int(4 * stop - 1)) for first, stop in sentences]
    reading = Reading(" ".join(words), spans, [], [], [])
    offsets = Tokens(ids.tolist(), starts, [start + 3 for start in starts], [True] * tokens)
    return EncodedDocument("invented", reading, offsets, False, sentences, mentions, 0)


def invented_head(tokens: int, mentions_per_token: float = DENSITY) -> HeadShape:
    """Return what an untrained head computes of an invented document of `tokens`: every start that it asks is a gold one."""
    mentions = max(1.0, tokens * mentions_per_token)
    return HeadShape(
        mentions=mentions_per_token / 2,
        spans=mentions_per_token * (SENTENCE + 1) / 2,
        entities=min(1.0, ENTITIES / mentions),
    )


def windows_of(document: EncodedDocument, size: int) -> list[Window]:
    """Return windows of exactly `size` tokens, whether sentences are cut or not."""
    found = []
    for start in range(0, len(document) - size + 1, size):
        inside = np.clip(document.sentences, start, start + size)
        found.append(Window(document, start, start + size, inside[inside[:, 0] < inside[:, 1]]))
    return found
