"""Samplers by name."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from coref_k8s.search.gp import GPSampler
from coref_k8s.search.prior import PRIOR_UNTIL, PriorSampler, PriorTrial, best_of
from coref_k8s.search.space import distributions, space_for
from coref_k8s.search.trials import quiet
from coref_k8s.study.spec import StudySpec

#: Trials of a length from which on a Gaussian process, whose cost grows with their cube, gives way to TPE.
GP_UNTIL = 100


def make_sampler(
    spec: StudySpec, seq_len: int, drawn: int, prior: Sequence[PriorTrial] = (), *, random: bool = False
) -> BaseSampler:
    """Return the sampler for the next trial of one length, after `drawn` trials; `random` whatever the request says.

    Its seed depends on the request, the length and `drawn`, so that no two of them draw the same numbers.

    TPE begins with the trials of `prior` where there are enough of them, in place of random ones. It is
    multivariate, since learning rate and warm-up act together, and uses the constant liar, since parallel trials
    must not all try the same place.
    """
    seed = zlib.crc32(f"{spec.seed}/{seq_len}/{drawn}".encode())
    space, startup = distributions(space_for(spec, seq_len)), spec.search.startup_trials
    if random or spec.search.sampler == "random":
        return RandomSampler(seed=seed)
    if spec.search.sampler == "gp" and drawn < GP_UNTIL:
        return GPSampler(space, seq_len, prior, seed=seed, startup=startup)
    with quiet():  # multivariate and constant_liar are marked experimental; that is a choice made here
        tpe = TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=startup)
    if len(prior) < startup or drawn >= PRIOR_UNTIL:
        return tpe
    return PriorSampler(best_of(prior, PRIOR_UNTIL), tpe, space)
