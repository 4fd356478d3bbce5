"""`compare`: the paired difference of two results, its interval, and the sentence that may be claimed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coref_k8s.errors import DataError
from coref_k8s.evaluation.composite import SOURCES, Composite, available
from coref_k8s.evaluation.intervals import Estimate, sign
from coref_k8s.evaluation.result import EvaluationResult
from coref_k8s.study.tasks import metric_named
from coref_k8s.text.document import MIN_DOCUMENTS
from coref_k8s.wording import Message

#: The row that a claim is made for: of a dozen, one of two would hold a false one.
OBJECTIVE = "score"
#: What is said by the sign of the objective's difference.
CLAIMS = {1: "better", -1: "worse", 0: "no difference shown"}


@dataclass(frozen=True)
class Difference:
    """`a` minus `b` on the items that both were asked, with its 95 % interval over documents."""

    metric: str
    a: float
    b: float
    difference: float
    low: float | None
    high: float | None
    """None below three documents."""
    items: int
    documents: int
    left_out: int = 0
    """Items that only one was asked."""
    error: float | None = None
    """Standard error of the difference."""
    freedom: float = 1.0
    """Its degrees of freedom."""

    @property
    def estimate(self) -> Estimate:
        """The difference as an estimate."""
        return Estimate(self.difference, self.documents, self.error, self.freedom, -1.0, 1.0)

    @property
    def claim(self) -> str:
        """`better`, `worse` or `no difference shown` of the objective; of other metrics nothing is claimed."""
        return CLAIMS[sign(self.low, self.high)] if self.metric == OBJECTIVE else ""

    def sentence(self, a: Message | str, b: Message | str) -> Message:
        """Return what may be claimed with the figures it rests on, or the figures alone."""
        values = {**vars(self), "metric": metric_named(self.metric)}
        if not self.items:
            return Message.of("verdict.sentence-no-items", metric=values["metric"])
        few = self.low is None
        figures = Message("verdict.sentence-figures-few" if few else "verdict.sentence-figures", values)
        if few:
            figures = Message.of("verdict.too-few", said=figures, least=MIN_DOCUMENTS)
        if self.left_out:
            figures = Message.of("verdict.left-out", said=figures, n=self.left_out)
        if not self.claim:
            return figures
        code = f"verdict.sentence-{self.claim.replace(' ', '-')}"
        return Message.of(code, model=a, other=b, figures=figures)


def compare(a: EvaluationResult, b: EvaluationResult) -> list[Difference]:
    """Paired differences of every metric that both results have, the weighted `score` first.

    Items are paired by id; models with different tokenisers share those items that both can be asked. Raises
    DataError when the results are of different lengths (whole documents may be), are scored in other ways, or share no
    item.
    """
    if a.view != b.view:
        raise DataError(
            "evaluation.other-views",
            a=Message.of(f"scores.view-{a.view or 'masked'}"),
            b=Message.of(f"scores.view-{b.view or 'masked'}"),
        )
    if a.seq_len != b.seq_len and not a.view:
        raise DataError("evaluation.other-lengths", a=a.seq_len, b=b.seq_len)
    sides = [a.item_scores, b.item_scores]
    wanted: dict[str, Mapping[str, float]] = {}
    if a.weights == b.weights and all(available(name, sides) for name in a.weights):
        wanted[OBJECTIVE] = a.weights
    wanted.update({name: {name: 1.0} for name in SOURCES if available(name, sides)})
    found = []
    for metric, weights in wanted.items():
        both = Composite(weights, sides)
        total = both.sums.sum(axis=0)
        left, right = (float(both.value(total, side)) if both.items else 0.0 for side in (0, 1))
        one = both.difference()
        found.append(
            Difference(
                metric, left, right, one.value, one.low, one.high, both.items, one.documents,
                both.left_out, one.error, one.freedom,
            )
        )  # fmt: skip
    if not any(entry.items for entry in found):
        raise DataError("evaluation.nothing-in-common")
    return found
