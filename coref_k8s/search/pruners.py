"""Pruners by name. Reports before warm-up ends are never judged."""

from __future__ import annotations

import warnings

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    SuccessiveHalvingPruner,
)

from coref_k8s.study.spec import StudySpec

#: Finished trials before the median means anything.
MEDIAN_STARTUP = 4


def make_pruner(spec: StudySpec) -> BasePruner:
    """Return the pruner that a request names; report steps count evaluations, 1 to `evaluations`."""
    steps = spec.training.evaluations
    name = spec.search.pruner
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if name == "median":
            return MedianPruner(n_startup_trials=MEDIAN_STARTUP, n_warmup_steps=1)
        if name == "asha":
            return SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
        if name == "hyperband":
            return HyperbandPruner(min_resource=1, max_resource=max(steps, 2), reduction_factor=3)
        # wilcoxon looks at items, which Optuna knows nothing of: see LengthStudy.should_prune
        return NopPruner()
