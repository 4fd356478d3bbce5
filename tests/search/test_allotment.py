"""How trials are divided among lengths, and the test that a length follows the shorter ones."""

from __future__ import annotations

import math
import random

import pytest

from coref_k8s.search.allotment import CLIMB, ERROR, SHARE, allotted, chance_of, follows_shorter
from coref_k8s.search.records import CARRIED, TrialRecord, TrialState
from coref_k8s.study.reading import build_spec
from coref_k8s.study.spec import StudySpec


def trial(
    number: int, value: float | None, state: TrialState = TrialState.COMPLETE, steps: int = 4
) -> TrialRecord:
    reports = {} if value is None else dict.fromkeys(range(1, steps + 1), value)
    return TrialRecord(1024, number, number, state, {}, value, reports)


def trials(*values: float) -> list[TrialRecord]:
    return [trial(number, value) for number, value in enumerate(values)]


FOLLOWS, STRAYS = trials(0.5, 0.6, 0.7, 0.1, 0.2), trials(0.1, 0.2, 0.7, 0.5, 0.6)


def spec(**search: object) -> StudySpec:
    return build_spec(seq_lengths=[512, 1024, 2048], trials=20, search=search)


def test_the_chance_is_counted_over_all_orders() -> None:
    assert chance_of(trials(3, 4, 5), trials(1, 2)) == pytest.approx(0.1)
    assert chance_of(trials(2, 4, 5), trials(1, 3)) == pytest.approx(0.2)
    assert chance_of(trials(1, 2, 3), trials(4, 5)) == 1
    # ties are no evidence
    assert chance_of(trials(1, 1, 1), trials(1, 1)) == 1
    assert chance_of([], trials(1, 2)) == 1


def test_a_length_that_has_nothing_to_do_with_the_shorter_is_trusted_no_more_often_than_stated() -> None:
    draw = random.Random(0)
    trusted = sum(bool(follows_shorter(trials(*(draw.random() for _ in range(CLIMB))))) for _ in range(4000))
    assert trusted / 4000 == pytest.approx(ERROR, abs=0.02)


def test_it_is_trusted_no_more_often_where_a_pruner_stops_trials() -> None:
    """The first trial at an evaluation is never stopped there, and the first ones are the carried ones."""
    draw = random.Random(0)
    trusted = sum(bool(follows_shorter(halved(draw))) for _ in range(2000))
    assert trusted / 2000 == pytest.approx(ERROR, abs=0.04)


def halved(draw: random.Random) -> list[TrialRecord]:
    """The first trials of a length, equally good, as successive halving leaves them: at the first and third of four evaluations."""
    scores = [[draw.gauss(one, 0.5) for _ in range(4)] for one in (draw.gauss(0, 1) for _ in range(CLIMB))]
    steps = dict.fromkeys(range(CLIMB), 4)
    for step in (1, 3):
        seen: list[float] = []
        for number in [number for number, last in steps.items() if last == 4]:
            seen.append(scores[number][step - 1])
            if seen[-1] < max(seen):  # of up to five, only the best one goes on
                steps[number] = step
    return [
        TrialRecord(
            1024, number, number, TrialState.COMPLETE if last == 4 else TrialState.PRUNED, {}, scores[number][last - 1],
            dict(enumerate(scores[number][:last], 1)),
        )
        for number, last in steps.items()
    ]  # fmt: skip


def test_it_is_known_once_the_first_trials_have_closed() -> None:
    assert follows_shorter(FOLLOWS) is True
    assert follows_shorter(STRAYS) is False
    assert follows_shorter(FOLLOWS[:4]) is None
    running = trial(4, None, TrialState.RUNNING)
    assert follows_shorter([*FOLLOWS[:4], running]) is None
    # one that was stopped is compared where it was; one that diverged at once, or has no score that is a number, lies below all
    stopped = trial(4, 0.2, TrialState.PRUNED, steps=1)
    assert follows_shorter([*FOLLOWS[:4], stopped]) is True
    assert follows_shorter([*FOLLOWS[:4], trial(4, 0.9, TrialState.PRUNED, steps=1)]) is False
    assert follows_shorter([*FOLLOWS[:4], trial(4, None, TrialState.PRUNED)]) is True
    assert follows_shorter([*FOLLOWS[:4], trial(4, math.nan)]) is True
    # without anything to compare with, nothing is promised
    failed = [trial(n, None, TrialState.FAILED) for n in range(CARRIED, CLIMB)]
    assert follows_shorter([*FOLLOWS[:CARRIED], *failed]) is False


def test_a_length_that_follows_gets_few_and_one_that_does_not_what_the_shortest_costs() -> None:
    known = {512: [], 1024: FOLLOWS, 2048: STRAYS}
    few = math.ceil(SHARE * 20)
    assert allotted(spec(), known) == {512: 20, 1024: few, 2048: few}  # a quarter would be fewer
    assert allotted(spec(), {512: [], 1024: STRAYS, 2048: []}) == {512: 20, 1024: 10, 2048: CLIMB}
    assert allotted(spec(), {512: [], 1024: [], 2048: []}) == {512: 20, 1024: CLIMB, 2048: CLIMB}
    every = {512: 20, 1024: 20, 2048: 20}
    assert allotted(spec(allocation="even"), known) == every
    assert allotted(spec(warm_start=False), known) == every
    assert allotted(build_spec(seq_lengths=[512, 1024], trials=3), {512: [], 1024: []}) == {512: 3, 1024: 3}


@pytest.mark.parametrize("budget", [8.0, 20.0, 50.0])
@pytest.mark.parametrize("allocation", ["ladder", "even"])
def test_a_budget_is_kept_and_used(budget: float, allocation: str) -> None:
    """In trials of the longest length: one of half its tokens costs half."""
    asked = spec(budget=budget, allocation=allocation)

    def cost(known: dict[int, list[TrialRecord]]) -> float:
        planned = allotted(asked, known)
        return sum(max(count, len(known[length])) * length / 2048 for length, count in planned.items())

    assert budget - 1.75 <= cost({512: [], 1024: FOLLOWS, 2048: FOLLOWS}) <= budget
    assert budget - 1.75 <= cost({512: [], 1024: FOLLOWS, 2048: STRAYS}) <= budget
