"""Near-duplicates: MinHash over word 5-grams, Jaccard similarity 0.8 (Broder 1997; datasketch)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from zlib import crc32

import numpy as np

from coref_k8s.errors import MissingDependencyError

#: Hash functions of a signature, words of a shingle, similarity from which two texts are one.
PERMUTATIONS, SHINGLE, THRESHOLD = 64, 5, 0.8
_SCHEME = "affine32"
_FACTOR = np.uint32(0x9E3779B1)


def minhash(text: str) -> bytes:
    """Return the signature of a text: PERMUTATIONS little-endian uint32."""
    words = np.fromiter(map(crc32, map(str.encode, text.split())), np.uint32)
    shingles = np.zeros(max(1, len(words) - SHINGLE + 1), np.uint32)
    for place in range(min(SHINGLE, len(words))):
        # a polynomial in the words' hashes, modulo 2^32
        shingles = shingles * _FACTOR + words[place : place + len(shingles)]
    sketch = _datasketch().MinHash(
        num_perm=PERMUTATIONS, hashfunc=int, scheme=_SCHEME, permutations=_permutations()
    )
    sketch.update_batch(shingles.tolist())
    values: bytes = np.asarray(sketch.hashvalues, dtype="<u4").tobytes()
    return values


def near_duplicates(signatures: Iterable[tuple[int, bytes]]) -> set[int]:
    """Return the keys of texts that are near-duplicates of one that came earlier in the order given."""
    sketch = _datasketch()
    index = sketch.MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
    kept: dict[int, np.ndarray] = {}
    dropped = set()
    for key, signature in signatures:
        values = np.frombuffer(signature, dtype="<u4")
        candidate = sketch.MinHash(
            num_perm=PERMUTATIONS, hashvalues=values.copy(), scheme=_SCHEME, permutations=_permutations()
        )
        # the index proposes, the signatures decide
        if any(np.mean(kept[other] == values) >= THRESHOLD for other in index.query(candidate)):
            dropped.add(key)
        else:
            index.insert(key, candidate, check_duplication=False)
            kept[key] = values
    return dropped


@lru_cache(maxsize=1)
def _permutations() -> Any:
    # drawing them takes longer than using them
    return _datasketch().MinHash(num_perm=PERMUTATIONS, seed=1, scheme=_SCHEME).permutations


def _datasketch() -> Any:
    try:
        import datasketch
    except ImportError as error:
        raise MissingDependencyError("corpus.needs-package", package="datasketch") from error
    return datasketch
