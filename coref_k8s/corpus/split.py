"""Splits by document, before anything is filtered.

Where a document goes depends on its group (or its text) alone, not on the study's seed, the other
documents or the filters: what one study tested on, another of the same shares never trains on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from coref_k8s.text.document import Split


def draw(key: str) -> float:
    """Return a number in [0, 1) that depends on `key` only."""
    return int.from_bytes(hashlib.sha256(f"coref-k8s split:{key}".encode()).digest()[:8], "big") / 2**64


def split_documents(
    keys: Sequence[str], fixed: Sequence[Split | None], *, dev_share: float, test_share: float
) -> list[Split]:
    """Return the split of every document: the one it names, else one drawn by its key.

    Equal keys get equal splits. With so few documents that a wanted split would stay empty, the key with the
    lowest draw (or the next) fills it, as long as one is left to train on.
    """
    places: dict[str, Split] = {}
    for key in dict.fromkeys(key for key, given in zip(keys, fixed, strict=True) if given is None):
        number = draw(key)
        places[key] = "test" if number < test_share else "dev" if number < test_share + dev_share else "train"
    present = {given for given in fixed if given} | set(places.values())
    spare = sorted((key for key, split in places.items() if split == "train"), key=draw)
    wanted: list[tuple[Split, float]] = [("test", test_share), ("dev", dev_share)]
    for split, share in wanted:
        if share and split not in present and (len(spare) > 1 or (spare and "train" in fixed)):
            places[spare.pop(0)] = split
    return [given or places[key] for key, given in zip(keys, fixed, strict=True)]
