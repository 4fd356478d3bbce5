"""`compare`: the paired difference of two results, its interval, and the sentence that may be claimed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coref_k8s.errors import DataError
from coref_k8s.evaluation import bootstrap
from coref_k8s.evaluation.composite import SOURCES, Composite, available
from coref_k8s.evaluation.result import EvaluationResult


@dataclass(frozen=True)
class Difference:
    """`a` minus `b` on the items that both were asked, with its 95 % interval."""

    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    items: int
    documents: int

    @property
    def few(self) -> bool:
        """Whether the documents are too few for any claim."""
        return self.documents < bootstrap.MIN_DOCUMENTS

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `no difference shown`; a claim needs an interval without 0 and 5 documents."""
        if not self.few:
            if self.low > 0:
                return "better"
            if self.high < 0:
                return "worse"
        return "no difference shown"

    def sentence(self, a: str = "A", b: str = "B") -> str:
        """What may be claimed, with the figures it rests on."""
        if not self.items:
            return f"{self.metric}: no common items, so no difference is shown."
        figures = (
            f"{self.metric} {self.a:.3f} against {self.b:.3f} (difference {self.difference:+.3f}, "
            f"95 % interval {self.low:+.3f} to {self.high:+.3f}; {self.items} items of {self.documents} documents"
        )
        if self.verdict != "no difference shown":
            return f"{a} is {self.verdict} than {b}: {figures})."
        few = "; too few documents for a claim" if self.few else ""
        return f"No difference shown between {a} and {b}: {figures}{few})."


def compare(a: EvaluationResult, b: EvaluationResult) -> list[Difference]:
    """Paired differences of every metric that both results have, the weighted `score` first.

    Items are paired by id; models with different tokenisers share those items that both can be asked. Raises
    DataError when the results are of different lengths or share no item.
    """
    if a.seq_len != b.seq_len:
        raise DataError(
            f"results at {a.seq_len} and {b.seq_len} tokens cannot be paired; evaluate both at one length"
        )
    sides = [a.item_scores, b.item_scores]
    wanted: dict[str, Mapping[str, float]] = {}
    if a.weights == b.weights and all(available(name, sides) for name in a.weights):
        wanted["score"] = a.weights
    wanted.update({name: {name: 1.0} for name in SOURCES if available(name, sides)})
    found = []
    for metric, weights in wanted.items():
        both = Composite(weights, sides)
        total = both.sums.sum(axis=0)
        interval = bootstrap.interval(both.sums, both.difference, lowest=-1.0)
        left, right = (float(both.value(total, side)) if both.items else 0.0 for side in (0, 1))
        found.append(Difference(metric, left, right, *interval, both.items, len(both.documents)))
    if not any(entry.items for entry in found):
        raise DataError(
            "the two results have no evaluation item in common; evaluate both on the same documents"
        )
    return found
