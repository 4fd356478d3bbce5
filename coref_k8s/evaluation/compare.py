"""`compare`: the paired difference of two results, its interval, and the sentence that may be claimed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coref_k8s.errors import DataError
from coref_k8s.evaluation import bootstrap
from coref_k8s.evaluation.composite import SOURCES, Composite, available
from coref_k8s.evaluation.result import EvaluationResult
from coref_k8s.wording import Message, has


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

    def claim(self, a: Message | str, b: Message | str) -> Message:
        """Return what may be claimed, with the figures it rests on."""
        code = f"words.metric-{self.metric}"
        values = {**vars(self), "metric": Message.of(code) if has(code) else self.metric}
        if not self.items:
            return Message.of("verdict.sentence-no-items", metric=values["metric"])
        figures = Message("verdict.sentence-figures", values)
        if self.few:
            figures = Message.of("verdict.too-few", said=figures)
        code = f"verdict.sentence-{self.verdict.replace(' ', '-')}"
        return Message.of(code, model=a, other=b, figures=figures)


def compare(a: EvaluationResult, b: EvaluationResult) -> list[Difference]:
    """Paired differences of every metric that both results have, the weighted `score` first.

    Items are paired by id; models with different tokenisers share those items that both can be asked. Raises
    DataError when the results are of different lengths (whole documents may be), are scored in other ways, or share no
    item.
    """
    if a.view != b.view:
        raise DataError(
            "evaluation.other-views", a=a.view or "masked mentions", b=b.view or "masked mentions"
        )
    if a.seq_len != b.seq_len and not a.view:
        raise DataError("evaluation.other-lengths", a=a.seq_len, b=b.seq_len)
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
        raise DataError("evaluation.nothing-in-common")
    return found
