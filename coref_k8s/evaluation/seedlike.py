"""The reference metrics, computed as the report they come from did (docs/metrics-evaluation.md): containment counts as a hit."""

from __future__ import annotations

from collections.abc import Sequence

from coref_k8s.evaluation.passes import Answer
from coref_k8s.evaluation.seed_items import SeedItem

#: Tokens looked at before the noun filter, and nouns kept after it.
BEST_TOKENS = 50
NOUNS = 5


def predicted(answer: Answer, pieces: Sequence[str], nouns: frozenset[int]) -> list[str]:
    """The first 5 nouns among the 50 best tokens of the single mask."""
    kept = dict.fromkeys(
        pieces[token] for token in answer.top_ids[0][:BEST_TOKENS] if token in nouns and token < len(pieces)
    )
    return list(kept)[:NOUNS]


def is_hit(prediction: str, gold: str) -> bool:
    """Equal, or one contains the other."""
    return prediction in gold or gold in prediction


def item_score(item: SeedItem, nouns: Sequence[str]) -> tuple[float, float, float]:
    """Hits, nouns predicted, nouns sought; for the two single-word kinds the first is the score."""
    if item.kind == "coref_f1":
        hits = sum(any(is_hit(noun, gold) for gold in item.gold) for noun in nouns)
        return float(hits), float(len(nouns)), float(len(item.gold))
    considered = nouns[:1] if item.kind == "lbd_top1" else nouns[:NOUNS]
    return float(any(is_hit(noun, item.gold[0]) for noun in considered)), float(len(considered)), 1.0


def micro_f1(rows: Sequence[tuple[float, float, float]]) -> float:
    """2 x hits / (predicted + sought), over all items."""
    hits, made, sought = (sum(column) for column in zip(*rows, strict=True)) if rows else (0.0, 0.0, 0.0)
    return min(1.0, 2 * hits / (made + sought)) if made + sought else 0.0
