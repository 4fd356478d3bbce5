"""Which items are asked where there are more than are wanted."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar


@dataclass(frozen=True)
class Item:
    """What is drawn: an item of a document."""

    id: str
    document: int
    """Index of the document's table."""


I = TypeVar("I", bound=Item)  # noqa: E741


def shuffled(candidates: Iterable[I], seed: int) -> list[I]:
    """Return items in a random order that does not depend on the one in which they came."""
    found = sorted(candidates, key=lambda item: item.id)
    random.Random(seed).shuffle(found)
    return found


def in_turns(
    items: Sequence[I],
    most: int,
    *,
    group: Callable[[I], Any] = lambda _: 0,
    per_document: float = float("inf"),
    string: Callable[[I], Hashable] = lambda item: item.id,
    per_string: float = float("inf"),
) -> list[I]:
    """Return at most so many items, taking turns between groups, then documents: any beginning is balanced.

    At most `per_document` items of a document in a group, and `per_string` of a string in a document; earlier items go
    first.
    """
    taken: Counter[tuple[Hashable, ...]] = Counter()
    queues: dict[Any, list[tuple[int, I]]] = defaultdict(list)
    for item in items:
        place, of_string = ("in", group(item), item.document), ("of", string(item), item.document)
        if taken[place] < per_document and taken[of_string] < per_string:
            queues[group(item)].append((taken[place], item))
            taken[place] += 1
            taken[of_string] += 1
    turns = [
        (turn, number, item)
        for number, queue in queues.items()
        for turn, (_, item) in enumerate(sorted(queue, key=lambda entry: entry[0]))
    ]
    return [item for _, _, item in sorted(turns, key=lambda entry: entry[:2])[:most]]
