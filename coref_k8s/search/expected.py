"""What warm start is expected to spare: a simple model, stated where it is shown."""

from __future__ import annotations

from coref_k8s.study.spec import StudySpec


def spared_share(spec: StudySpec) -> float | None:
    """Return the share of a study's trial time that goes to random first trials which warm start makes needless.

    Without it every length begins with `startupTrials` random ones; with it only the shortest does. A trial's
    time is taken to grow with its tokens. None where nothing is carried over.
    """
    search = spec.search
    if not search.warm_start or search.sampler == "random" or len(spec.seq_lengths) < 2:
        return None
    random = min(search.startup_trials, spec.trials)
    return random * sum(spec.seq_lengths[1:]) / (spec.trials * sum(spec.seq_lengths))
