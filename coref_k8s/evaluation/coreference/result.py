"""`CorefScores`: what scoring found, with the counts by document that comparing two results needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coref_k8s.evaluation.coreference.breakdown import Recall
from coref_k8s.evaluation.intervals import Estimate
from coref_k8s.evaluation.sums import Array

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
    counts: Array
    """Counts of the headline's view: (documents, COLUMNS)."""

    @property
    def scores(self) -> Scores:
        """The numbers of the headline's view."""
        return self.views[self.headline]

    @property
    def recalls(self) -> dict[str, Recall]:
        """Recall of links by type and distance: `recall_pronoun`, `recall_512_1024`, `recall_2048`, …."""
        parts = {**self.types, **self.distances}
        return {f"recall_{name.replace('-', '_').rstrip('_')}": part for name, part in parts.items()}

    def metrics(self) -> dict[str, float]:
        """Every number under its plain name, all finite.

        `conll_f1`, `muc_recall`, …; `gold_conll_f1`, …; F1 of the other views and of the baselines behind their names
        (`exact_no_singletons_conll_f1`, `equal_conll_f1`, `gold_equal_conll_f1`), each with `_ci_low` and `_ci_high`;
        `recalls` where there is something to find.
        """
        others = {name.replace("-", "_"): view for name, view in self.views.items() if name != self.headline}
        found = dict(self.scores)
        for prefix, scores in {"gold": self.gold, **others, **self.baselines}.items():
            found |= {f"{prefix}_{name}": one for name, one in scores.items() if name.endswith("_f1")}
        values = {name: value for key, one in found.items() for name, value in one.named(key).items()}
        return values | {name: one.recall for name, one in self.recalls.items() if one.recall is not None}
