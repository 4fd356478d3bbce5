"""How many items an evaluation may ask so that it stays a small part of training.

Cost is counted in tokens that go through the model without gradient. A trained token costs three of them: forward,
and a backward pass of twice that. Attention's quadratic part is left out, which counts short passes too dear, not
too cheap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coref_k8s.evaluation.evaluate import asked_by
from coref_k8s.evaluation.extent import SHARE, TRAINED, WHOLE, Extent
from coref_k8s.evaluation.given import MIN_ITEMS
from coref_k8s.evaluation.items import ItemSet
from coref_k8s.evaluation.vocabulary import Vocabulary
from coref_k8s.study.tasks import WEIGHTS

#: Items whose passes are counted to know what an item costs.
_SAMPLED = 32


def cost(
    items: ItemSet,
    tokenizer: Any,
    *,
    extent: Extent = WHOLE,
    full: bool = True,
    weights: Mapping[str, float] = WEIGHTS["mentions"],
) -> int:
    """Return the tokens of all passes of an evaluation, without padding; equal passes count once."""
    parts = asked_by(items, Vocabulary(tokenizer), full=full, extent=extent, weights=weights)
    return sum(len(one.ids) for one in {one for part in parts if part for one in part.ask()})


def fitting(items: ItemSet, tokenizer: Any, trained_tokens: float) -> Extent:
    """Return the largest extent whose full evaluation costs at most SHARE of training on so many tokens.

    First the arms that cost most are asked less often, then all; never fewer than 30 items, from which on a
    number is printed.
    """
    budget = SHARE * TRAINED * trained_tokens
    most = max(len(items.coref), len(items.lambada), len(items.antecedents))
    sampled = min(most, _SAMPLED)
    if not sampled:
        return WHOLE
    whole = cost(items, tokenizer, extent=Extent(*[sampled] * 5)) / sampled
    if whole * most <= budget:
        return WHOLE
    lean = cost(items, tokenizer, extent=Extent.lean(sampled)) / sampled
    return Extent.lean(min(most, max(MIN_ITEMS, int(budget / lean))))
