"""Documents without a tokeniser or Kiwi, as many tokens and mentions as one likes: for measurements."""

import numpy as np

from coref_k8s.coref.encoded import EncodedDocument
from coref_k8s.coref.reading import Reading
from coref_k8s.coref.windows import Window
from coref_k8s.text.alignment import Tokens


def invented_document(tokens, *, vocabulary, mentions_per_token=0.125, sentence=30, entities=40, seed=0):
    """A document of `tokens` words of three characters; mentions of one or two tokens, evenly strewn."""
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


def windows_of(document, size):
    """Windows of exactly `size` tokens, whether sentences are cut or not."""
    found = []
    for start in range(0, len(document) - size + 1, size):
        inside = np.clip(document.sentences, start, start + size)
        found.append(Window(document, start, start + size, inside[inside[:, 0] < inside[:, 1]]))
    return found
