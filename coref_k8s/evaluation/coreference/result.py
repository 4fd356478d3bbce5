"""`CorefScores`: what scoring found, with the counts by document that comparing two results needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from coref_k8s.evaluation import intervals
from coref_k8s.evaluation.coreference.breakdown import Recall
from coref_k8s.evaluation.coreference.statistics import COLUMNS, STATISTICS
from coref_k8s.evaluation.intervals import Array, Estimate

#: Numbers by name; see `statistics.STATISTICS`.
Scores = Mapping[str, Estimate]


@dataclass(frozen=True)
class CorefScores:
    """Scores of one set of chains over documents.

    A view is how mentions are matched and whether singletons count: `exact`, `exact-no-singletons`, and with the
    heads of a treebank `head`, `head-no-singletons`.
    """

    headline: str
    """The view whose numbers are the result."""
    views: Mapping[str, Scores]
    gold: Scores
    """Linking of gold mentions, in the headline's view; empty when none was given."""
    baselines: Mapping[str, Scores]
    """What needs no model, in the headline's view."""
    types: Mapping[str, Recall]
    distances: Mapping[str, Recall]
    documents: tuple[str, ...]
    """Documents, or groups of documents that are one work, in the order of `sums`."""
    sums: Array
    """Counts of the headline's view: (documents, COLUMNS)."""

    @property
    def scores(self) -> Scores:
        """The numbers of the headline's view."""
        return self.views[self.headline]

    def metrics(self) -> dict[str, float]:
        """Every number under its plain name, all finite.

        `conll_f1`, `muc_recall`, …, with `_ci_low` and `_ci_high`; `gold_conll_f1`, …; F1 of the other views and of
        the baselines behind their names (`exact_no_singletons_conll_f1`, `equal_conll_f1`, `gold_equal_conll_f1`);
        `recall_pronoun`, `recall_512_1024`, ….
        """
        found: dict[str, float] = {}
        for name, one in self.scores.items():
            found[name] = one.value
            if one.low is not None and one.high is not None:
                found[f"{name}_ci_low"], found[f"{name}_ci_high"] = one.low, one.high
        others = {name.replace("-", "_"): view for name, view in self.views.items() if name != self.headline}
        for prefix, scores in {"gold": self.gold, **others, **self.baselines}.items():
            found |= {f"{prefix}_{name}": one.value for name, one in scores.items() if name.endswith("_f1")}
        for name, part in {**self.types, **self.distances}.items():
            if part.recall is not None:
                found[f"recall_{name.replace('-', '_').rstrip('_')}"] = part.recall
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "headline": self.headline,
            "views": {name: _scores(view) for name, view in self.views.items()},
            "gold": _scores(self.gold),
            "baselines": {name: _scores(view) for name, view in self.baselines.items()},
            "types": {name: part.to_dict() for name, part in self.types.items()},
            "distances": {name: part.to_dict() for name, part in self.distances.items()},
            "documents": list(self.documents),
            "sums": self.sums.tolist(),
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> CorefScores:
        """Read what `to_dict` gave."""
        return CorefScores(
            headline=data["headline"],
            gold=_read(data["gold"]),
            documents=tuple(data["documents"]),
            sums=np.array(data["sums"], dtype=float).reshape(-1, len(COLUMNS)),
            views={name: _read(view) for name, view in data["views"].items()},
            baselines={name: _read(view) for name, view in data["baselines"].items()},
            types=_recalls(data["types"]),
            distances=_recalls(data["distances"]),
        )


def compare_scores(a: CorefScores, b: CorefScores, metric: str = "conll_f1") -> Estimate:
    """Return `a` minus `b` of one metric over the documents that both scored, paired by document.

    Views are those of the headlines; results of different views are of different questions, so compare like ones.
    """
    rows = {name: row for row, name in enumerate(b.documents)}
    common = [(row, rows[name]) for row, name in enumerate(a.documents) if name in rows]
    left, right = [row for row, _ in common], [row for _, row in common]
    return intervals.paired(a.sums[left], b.sums[right], STATISTICS[metric])


def _scores(scores: Scores) -> dict[str, Any]:
    return {name: one.to_dict() for name, one in scores.items()}


def _read(scores: Mapping[str, Any]) -> Scores:
    return {name: Estimate(**one) for name, one in scores.items()}


def _recalls(table: Mapping[str, Any]) -> Mapping[str, Recall]:
    return {name: Recall(one["n"], one["found"]) for name, one in table.items()}
