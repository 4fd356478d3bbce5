"""How many trials each length gets: the cheapest explores, its best climb, and a length that does not follow searches by itself.

A longer length begins with the best trials of a shorter one and a few drawn at random. Whether what was promised holds there is asked
of pairs of them, each at the last evaluation that both reached: were the carried ones no better than random ones, every order of both
would be equally likely, and the carried ones would win as many pairs as they do with a chance that is counted exactly (Wilcoxon's rank-sum test,
in the form of Mann and Whitney). Above `ERROR`, the length searches for what the trials of the shortest cost. Why, and what it is worth:
docs/decisions/124-the-ladder-is-an-allocation.md and 125-every-length-searches-for-the-same-cost.md.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import combinations

from coref_k8s.search.records import CARRIED, TrialRecord, TrialState
from coref_k8s.study.spec import StudySpec

#: Trials drawn at random that those carried over are compared with.
CONTRASTS = 2
#: Trials of a longer length before it is known whether it follows the shorter ones.
CLIMB = CARRIED + CONTRASTS
#: Chance that a length which has nothing to do with the shorter ones is taken to follow them.
ERROR = 0.2
#: Share of the shortest length's trials that a length gets which follows.
SHARE = 0.3


def laddered(spec: StudySpec) -> bool:
    """Whether longer lengths get fewer trials than the shortest as long as they follow it."""
    search = spec.search
    return search.allocation == "ladder" and search.warm_start and len(spec.seq_lengths) > 1


def allotted(spec: StudySpec, known: Mapping[int, Sequence[TrialRecord]]) -> dict[int, int]:
    """Return the trials that each length gets in all, as far as its trials by now tell; `known` has them by length."""
    follows = {length: follows_shorter(records) for length, records in known.items()}
    begun = {length: len(records) for length, records in known.items()}
    trials = _trials(spec, follows, begun)
    return {length: _count(spec, length, trials, follows[length]) for length in spec.seq_lengths}


def least_and_most(spec: StudySpec) -> dict[int, tuple[int, int]]:
    """Return how many trials each length gets: when the longer ones follow the shortest, and the most, when it does not."""
    found = {}
    for length in spec.seq_lengths:
        each = []
        for follows in (True, False):
            known = {**dict.fromkeys(spec.seq_lengths, True), length: follows}
            each.append(_count(spec, length, _trials(spec, known, {}), follows))
        found[length] = each[0], max(each)
    return found


def cost_of(counts: Mapping[int, int]) -> float:
    """Return what so many trials of each length cost, in trials of the longest: a trial's time grows with its tokens."""
    return sum(count * length for length, count in counts.items()) / max(counts)


def _trials(spec: StudySpec, follows: Mapping[int, bool | None], begun: Mapping[int, int]) -> int:
    """Return how many trials the shortest length gets: as requested, or as the budget allows."""
    budget = spec.search.budget
    if budget is None:
        return spec.trials

    def cost(trials: int) -> float:
        # of a length of which nothing is known yet, it is hoped that it follows
        counts = {n: _count(spec, n, trials, follows[n] is not False) for n in spec.seq_lengths}
        return cost_of({n: max(count, begun.get(n, 0)) for n, count in counts.items()})

    most = math.ceil(budget * max(spec.seq_lengths) / min(spec.seq_lengths))
    return max(1, bisect_right(range(1, most + 1), budget, key=cost))


def _count(spec: StudySpec, length: int, trials: int, follows: bool | None) -> int:
    """Return the trials of a length when the shortest gets so many; `follows` is None while that is not known."""
    if not laddered(spec) or length == spec.seq_lengths[0]:
        return trials
    if follows is None:
        return min(trials, CLIMB)
    # by itself it searches for what the trials of the shortest cost
    share = SHARE if follows else max(SHARE, spec.seq_lengths[0] / length)
    return min(trials, max(CLIMB, math.ceil(share * trials)))


def follows_shorter(records: Sequence[TrialRecord]) -> bool | None:
    """Return whether the trials carried to a length are better there than random ones; None before that is known."""
    first = records[:CLIMB]
    if len(first) < CLIMB or any(one.state in (TrialState.RUNNING, TrialState.WAITING) for one in first):
        return None
    carried = [one for one in first[:CARRIED] if one.state is not TrialState.FAILED]
    random = [one for one in first[CARRIED:] if one.state is not TrialState.FAILED]
    return chance_of(carried, random) <= ERROR


def chance_of(carried: Sequence[TrialRecord], random: Sequence[TrialRecord]) -> float:
    """Return the chance that `carried` beat as many of the others as they do, were every order equally likely; 1 without both."""
    if not carried or not random:
        return 1.0
    everyone = [*carried, *random]
    above = [[_above(one, other) for other in everyone] for one in everyone]
    numbers = range(len(everyone))

    def wins(chosen: Sequence[int]) -> float:
        return sum(above[one][other] for one in chosen for other in numbers if other not in chosen)

    seen = wins(numbers[: len(carried)])
    ways = [wins(chosen) for chosen in combinations(numbers, len(carried))]
    return sum(one >= seen for one in ways) / len(ways)


def _above(one: TrialRecord, other: TrialRecord) -> float:
    """Return 1 for a trial that did better than another, 1/2 for one that did as well.

    At the last evaluation that both reached: how far a trial came depends on how many a pruner had seen before it.
    """
    both = one.intermediate.keys() & other.intermediate.keys()
    if one.state is other.state is TrialState.COMPLETE:
        mine, theirs = _score(one.value), _score(other.value)
    elif both:
        mine, theirs = (_score(trial.intermediate[max(both)]) for trial in (one, other))
    else:  # one diverged before its first evaluation
        mine, theirs = (
            math.inf if trial.state is TrialState.COMPLETE else len(trial.intermediate)
            for trial in (one, other)
        )
    return (mine > theirs) + 0.5 * (mine == theirs)


def _score(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else -math.inf
