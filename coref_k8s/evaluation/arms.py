"""The arms of an item: the same target and masks, with more or less of what reveals it left of the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from coref_k8s.evaluation.coref_items import CorefItem
from coref_k8s.evaluation.lambada_items import LambadaItem
from coref_k8s.evaluation.passes import Pass
from coref_k8s.evaluation.seed_items import SeedItem
from coref_k8s.evaluation.table import DocumentTable
from coref_k8s.evaluation.vocabulary import Vocabulary

Arm = Literal["full", "removed", "truncated", "swapped"]
#: Left context of the truncated arm (tokens).
TRUNCATED = 256


def coref_pass(
    item: CorefItem,
    table: DocumentTable,
    vocabulary: Vocabulary,
    seq_len: int,
    *,
    arm: Arm = "full",
    masks: int | None = None,
    candidates: Sequence[Sequence[int]] = (),
) -> Pass:
    """The item's window in an arm, with `masks` masks (by default as many as the target has tokens)."""
    (start, end), (first, last) = item.window, item.target
    left = table.ids[start:first]
    if arm == "removed":
        left = replaced(left, start, item.earlier, None, vocabulary.mask)
    elif arm == "swapped":
        if item.swap is None:
            raise ValueError(f"item {item.id} has no swap")
        left = replaced(left, start, item.earlier, vocabulary.word(item.swap), vocabulary.mask)
    elif arm == "truncated":
        left = left[-TRUNCATED:]
    count = last - first if masks is None else masks
    return assemble(left, count, table.ids[last:end], vocabulary, seq_len, candidates)


def lambada_pass(
    item: LambadaItem,
    table: DocumentTable,
    vocabulary: Vocabulary,
    seq_len: int,
    *,
    sentence_only: bool = False,
) -> Pass:
    """The passage, or its last sentence only, with the target masked."""
    start, end = item.sentence if sentence_only else item.passage
    first, last = item.target
    return assemble(table.ids[start:first], last - first, table.ids[last:end], vocabulary, seq_len)


def seed_pass(item: SeedItem, vocabulary: Vocabulary, seq_len: int) -> Pass:
    """The reference metrics' window with its single mask."""
    return assemble(item.ids[: item.mask], 1, item.ids[item.mask + 1 :], vocabulary, seq_len)


def replaced(
    left: Sequence[int], offset: int, spans: Sequence[tuple[int, int]], by: Sequence[int] | None, mask: int
) -> list[int]:
    """Left context (its first token is token `offset`) with spans replaced: by masks, as many as tokens, or `by`."""
    ids: list[int] = []
    at = 0
    for start, end in spans:
        begin, stop = max(at, start - offset), min(end - offset, len(left))
        if stop <= begin:
            continue
        ids += left[at:begin]
        ids += [mask] * (stop - begin) if by is None else list(by)
        at = stop
    return [*ids, *left[at:]]


def assemble(
    left: Sequence[int],
    masks: int,
    right: Sequence[int],
    vocabulary: Vocabulary,
    seq_len: int,
    candidates: Sequence[Sequence[int]] = (),
) -> Pass:
    """Special tokens, left context, masks, right context; tokens too many for the length go from the left."""
    room = seq_len - len(vocabulary.prefix) - len(vocabulary.suffix) - masks - len(right)
    left = left[len(left) - room :] if 0 < room < len(left) else left if room > 0 else []
    begin = [*vocabulary.prefix, *left]
    ids = (*begin, *[vocabulary.mask] * masks, *right, *vocabulary.suffix)
    positions = tuple(range(len(begin), len(begin) + masks))
    return Pass(ids, positions, tuple(tuple(candidate) for candidate in candidates))
