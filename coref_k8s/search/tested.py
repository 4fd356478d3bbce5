"""What a length has shown on test documents, whoever tested it: its finalists, a final training or an ensemble."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coref_k8s.search.records import TrialRecord
from coref_k8s.search.verdict import Comparison, Difference, Verdict

#: Against what a model may be compared on test: few, so that they can be labels and have names in every language.
UNTUNED, DEFAULTS, SINGLE = "untuned", "defaults", "single"


@dataclass(frozen=True)
class Tested:
    """The score on test of what a length delivers, and the differences to others, paired by item."""

    score: float
    low: float | None
    high: float | None
    """95 % interval over documents; None when the objective cannot be resampled."""
    metrics: Mapping[str, float]
    comparisons: tuple[Comparison, ...]
    not_given: tuple[str, ...] = ()
    """Metrics, or the score, that rest on too few items to be shown."""


def tested(best: TrialRecord | None, verdict: Verdict | None) -> Tested | None:
    """Return what is known on test: from the verdict, or from what the best trial has noted; None when nothing is."""
    if verdict is not None:
        return Tested(
            verdict.test, verdict.low, verdict.high, verdict.metrics, verdict.comparisons, verdict.not_given
        )
    noted = best.attrs.get("test") if best is not None else None
    if best is None or not noted:
        return None
    metrics = noted["metrics"]
    rows = [one for one in best.attrs.get("comparisons", ()) if one["split"] == "test"]
    rivals = dict.fromkeys(one["against"] for one in rows)
    return Tested(
        score=noted["score"],
        low=metrics.get("score_ci_low"),
        high=metrics.get("score_ci_high"),
        metrics=metrics,
        comparisons=tuple(
            _comparison(name, [one for one in rows if one["against"] == name]) for name in rivals
        ),
        not_given=tuple(noted.get("not_given", ())),
    )


def _comparison(against: str, rows: list[dict[str, Any]]) -> Comparison:
    differences = tuple(
        Difference(one["metric"], one["b"], one["difference"], one["low"], one["high"], one["verdict"])
        for one in rows
    )
    # an ensemble is compared with the best of its members too
    who = UNTUNED if "untuned" in against else SINGLE
    return Comparison(who, differences, 1, rows[0]["items"], rows[0]["documents"])
