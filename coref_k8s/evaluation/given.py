"""Which numbers are given: a headline rests on 30 items or more, and a score on such headlines only.

What rests on fewer is kept, since a search must steer by something, but no table, report or card shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from coref_k8s.study.tasks import metric_named
from coref_k8s.wording import Message

#: Fewest items from which on a number is given: a headline, or that of a distance bucket.
MIN_ITEMS = 30
#: Headline -> kind of items that it is computed from; what is derived from it (`_gain`, `_ci_low`) goes with it.
_KINDS = {
    "coref_top1": "coref",
    "coref_top5": "coref",
    "coref_closed1": "closed",
    "coref_closed5": "closed",
    "swap_top1": "swapped",
    "coref_f1": "f1",
    "coref_precision": "f1",
    "coref_recall": "f1",
    "lbd_top1": "lambada",
}


def too_few(names: Iterable[str], counts: Mapping[str, int]) -> dict[str, int]:
    """Return those of the metrics that rest on fewer than 30 items, each with their number."""
    asked = {name: counts.get(kind_of(name) or "") for name in names}
    return {name: n for name, n in asked.items() if n is not None and n < MIN_ITEMS}


def said_of_few(code: str, few: Mapping[str, int]) -> Message:
    """Return the sentence of a code about metrics and their few items, as `too_few` gives them."""
    named = [Message.of("evaluation.counted", metric=metric_named(name), n=n) for name, n in few.items()]
    return Message.of(code, metrics=named, least=MIN_ITEMS)


def not_given(metrics: Iterable[str], counts: Mapping[str, int], weights: Iterable[str]) -> list[str]:
    """Return the metrics that are not to be shown, sorted; the score is one where it weighs one.

    `counts` are items by kind; metrics of kinds that are not counted (whole documents, a user's own) are given.
    """
    metrics = list(metrics)
    hidden = set(too_few(metrics, counts))
    if too_few(weights, counts):
        hidden |= {"score", "score_ci_low", "score_ci_high"} & set(metrics)
    return sorted(hidden)


def kind_of(name: str) -> str | None:
    """Return the kind of items that a headline, or what is derived from it, is computed from; None for other metrics."""
    stems = (stem for stem in _KINDS if name == stem or name.startswith(f"{stem}_"))
    return next((_KINDS[stem] for stem in stems), None)
