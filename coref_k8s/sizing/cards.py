"""What makers publish of their cards: where nothing was measured, a step's time is counted from it."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Share of a card's published speed that training is taken to reach where nothing was measured: a guess, for no card was measured here.
REACHED = 0.2


@dataclass(frozen=True)
class Card:
    """A kind of GPU. Speeds are those of dense products of matrices (operations a second)."""

    name: str
    memory_gb: int
    narrow: float
    """In bf16, or in fp16 where it has no bf16."""
    wide: float
    """In float32, without tf32."""
    bf16: bool = True


#: Name as part of what the driver says, most particular first; figures from the makers' data sheets.
CARDS = (
    Card("B200", 180, 2250e12, 75e12),
    Card("GH200", 96, 990e12, 67e12),
    Card("H200", 141, 990e12, 67e12),
    Card("H100 PCIe", 80, 756e12, 51e12),
    Card("H100", 80, 990e12, 67e12),
    Card("A100-SXM4-80GB", 80, 312e12, 19.5e12),
    Card("A100 80GB", 80, 312e12, 19.5e12),
    Card("A100", 40, 312e12, 19.5e12),
    Card("L40S", 48, 362e12, 91.6e12),
    Card("L40", 48, 181e12, 90.5e12),
    Card("RTX 6000 Ada", 48, 364e12, 91.1e12),
    Card("A6000", 48, 155e12, 38.7e12),
    Card("A40", 48, 150e12, 37.4e12),
    Card("A30", 24, 165e12, 10.3e12),
    Card("A10", 24, 125e12, 31.2e12),
    Card("RTX 5090", 32, 210e12, 105e12),
    Card("RTX 4090", 24, 165e12, 82.6e12),
    Card("RTX 3090", 24, 71e12, 35.6e12),
    Card("L4", 24, 121e12, 30.3e12),
    Card("V100", 16, 112e12, 14e12, bf16=False),
    Card("T4", 16, 65e12, 8.1e12, bf16=False),
    Card("RTX 2080 Ti", 11, 54e12, 13.4e12, bf16=False),
    Card("P100", 16, 18.7e12, 9.3e12, bf16=False),
)


def card_named(name: str) -> Card | None:
    """Return the card that a driver or a node's label (`NVIDIA-A100-SXM4-40GB`) names; None for one that is not known."""
    plain = name.replace("-", " ").lower()
    words = ((card, card.name.replace("-", " ").lower()) for card in CARDS)
    return next((card for card, known in words if re.search(rf"\b{known}\b", plain)), None)


def card_of_memory(memory_gb: float) -> Card:
    """Return the kind that is met most among those with that much memory (GB): the slowest that is large enough."""
    usual = [card_named(name) for name in ("T4", "L4", "A100", "L40S", "A100 80GB", "H200", "B200")]
    large = [card for card in usual if card is not None and card.memory_gb >= 0.9 * memory_gb]
    return large[0] if large else CARDS[0]


def rate_of(card: Card, precision: str) -> float:
    """Return the operations a second that training is taken to reach in a precision (`auto`, `bf16`, `fp16`, `fp32`, `tf32`)."""
    narrow = precision in ("bf16", "fp16") or (precision == "auto" and card.bf16)
    if precision == "tf32":
        return REACHED * max(card.wide, card.narrow / 2)
    return REACHED * (card.narrow if narrow else card.wide)
