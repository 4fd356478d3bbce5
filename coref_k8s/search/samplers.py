"""Samplers by name."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Sequence
from importlib.util import find_spec

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler

from coref_k8s.errors import MissingDependencyError
from coref_k8s.search.prior import PRIOR_UNTIL, PriorSampler, PriorTrial, best_of
from coref_k8s.search.space import distributions, space_for
from coref_k8s.study import StudySpec


def make_sampler(spec: StudySpec, seq_len: int, drawn: int, prior: Sequence[PriorTrial] = ()) -> BaseSampler:
    """Return the sampler for the next trial of one length, after `drawn` trials.

    Its seed depends on the request, the length and `drawn`, so that no two of them draw the same numbers.

    TPE begins with the trials of `prior` where there are enough of them, in place of random ones. It is multivariate, since learning rate and warm-up act together, and uses the constant liar, since
    parallel trials must not all try the same place.
    """
    seed = zlib.crc32(f"{spec.seed}/{seq_len}/{drawn}".encode())
    with warnings.catch_warnings():
        # multivariate, constant_liar and GPSampler are marked experimental; that is a choice made here
        warnings.simplefilter("ignore", ExperimentalWarning)
        if spec.search.sampler == "random":
            return RandomSampler(seed=seed)
        if spec.search.sampler == "gp":
            if find_spec("torch") is None or find_spec("scipy") is None:
                raise MissingDependencyError(
                    "the gp sampler needs torch and scipy: pip install 'coref-k8s[gp]' (on a cluster, the "
                    "controller image's gp variant), or choose search.sampler tpe"
                )
            return GPSampler(
                seed=seed, n_startup_trials=spec.search.startup_trials, deterministic_objective=False
            )
        tpe = TPESampler(
            seed=seed,
            multivariate=True,
            constant_liar=True,
            n_startup_trials=spec.search.startup_trials,
        )
        if len(prior) < spec.search.startup_trials or drawn >= PRIOR_UNTIL:
            return tpe
        return PriorSampler(best_of(prior), tpe, distributions(space_for(spec, seq_len)))
