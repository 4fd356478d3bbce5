"""The exact k best joint strings over independent positions.

The positions of a masked target are independent given the context, so the joint probability of a token
vector is the product of its parts, and the vectors can be listed best first with a heap over rank
vectors: pop the best, push its successors (one rank lower at one position).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence

#: Tokens looked at per position. The first n vectors use ranks below n, so listing up to this many is exact.
DEPTH = 50


def best_vectors(scores: Sequence[Sequence[float]]) -> Iterator[tuple[float, tuple[int, ...]]]:
    """Yield (total, ranks), best first; `scores[j]` holds the log-probabilities at position j, descending.

    Equal totals come in the order of their rank vectors, so the listing is deterministic.
    """
    if not scores or any(not row for row in scores):
        return
    first = (0,) * len(scores)
    heap = [(-sum(row[0] for row in scores), first)]
    seen = {first}
    while heap:
        negative, ranks = heapq.heappop(heap)
        yield -negative, ranks
        for j, rank in enumerate(ranks):
            if rank + 1 < len(scores[j]):
                following = (*ranks[:j], rank + 1, *ranks[j + 1 :])
                if following not in seen:
                    seen.add(following)
                    total = sum(row[r] for row, r in zip(scores, following, strict=True))
                    heapq.heappush(heap, (-total, following))


def best_strings(
    scores: Sequence[Sequence[float]],
    ids: Sequence[Sequence[int]],
    join: Callable[[list[int]], str],
    count: int,
) -> list[str]:
    """The `count` most probable distinct strings, best first.

    `scores[j]`, `ids[j]`: log-probabilities and token ids at position j, best first. Two token vectors that
    read the same (나루+터, 나+루터) are one string, with the probability of the better one. Exact while the
    listing stays within the depth given, which DEPTH makes sure of but for vocabularies full of doubles.
    """
    found: dict[str, None] = {}
    for popped, (_, ranks) in enumerate(best_vectors(scores)):
        found.setdefault(join([ids[j][rank] for j, rank in enumerate(ranks)]))
        if len(found) == count or popped + 1 >= DEPTH:
            break
    return list(found)
