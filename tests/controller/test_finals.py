"""Finalists, by table: when they begin, when they are judged, what a failure and a limit mean for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from coref_k8s.controller.actions import (
    NewFinalist,
    NewTrial,
    Prune,
    Record,
    Remove,
    Start,
    Stop,
)
from coref_k8s.controller.runner import ObservedJob, Reason, State
from coref_k8s.controller.snapshot import Attempt, FinalsSnapshot, Snapshot, TrialSnapshot, Unit
from coref_k8s.search.records import TrialState
from coref_k8s.store import Outcome, Phase
from coref_k8s.study.names import Kind, job_name
from tests.controller.test_plan import NOW, OPEN, W, fails, job, length, moment, phase_is, planned, spec
from tests.controller.world import World

VERDICT = Unit(Kind.VERDICT, 512)
#: A search of four trials that is over.
DONE = {"complete": 3, "pruned": 1}


def finals_spec(**changes):
    return spec(search={"finalists": 2, "finalist_seeds": 1}, **changes)


def over(finals: FinalsSnapshot, **changes) -> Snapshot:
    return moment(spec=finals_spec(), lengths=(length(**DONE, finals=finals),), **changes)


def open_runs(*numbers: int, hopeless: bool = False) -> tuple[TrialSnapshot, ...]:
    return tuple(TrialSnapshot(n, OPEN, hopeless) for n in numbers)


def finalist(number: int) -> Unit:
    return Unit(Kind.FINALIST, 512, number)


def a_job(kind: Kind, number: int | None = None, **changes) -> ObservedJob:
    name = job_name("demo", kind, 512, number, 1)
    return replace(job(0), name=name, uid=f"uid of {name}", kind=kind, trial=number, **changes)


def test_runs_begin_when_the_search_is_over_as_far_as_there_is_room() -> None:
    assert planned(over(FinalsSnapshot(missing=4))) == [NewFinalist(512), NewFinalist(512)]
    busy = over(FinalsSnapshot(missing=3, open=open_runs(0)), jobs=(a_job(Kind.FINALIST, 0),))
    assert planned(busy) == [NewFinalist(512)]


def test_a_run_that_lost_its_job_goes_on_before_new_ones_begin() -> None:
    s = over(
        FinalsSnapshot(missing=2, open=open_runs(0, 1)),
        attempts={finalist(0): (Attempt(1, Outcome.OUT_OF_MEMORY),)},
    )
    assert planned(s) == [Start(finalist(0), 2, 1), Start(finalist(1), 1, 0)]


def test_they_wait_for_the_search() -> None:
    searching = length(512, 3, complete=3, finals=FinalsSnapshot(missing=4))
    s = moment(spec=finals_spec(), lengths=(searching,), jobs=(job(3),))
    assert planned(s) == []
    # the last trial fails: the search is over in this very moment
    failed = {Unit(Kind.TRIAL, 512, 3): (Attempt(1, Outcome.FAILED, message=W("words")),)}
    assert planned(replace(s, jobs=(), attempts=failed)) == [
        fails(Unit(Kind.TRIAL, 512, 3), "words"),
        NewFinalist(512),
        NewFinalist(512),
    ]


def test_longer_lengths_come_first_and_the_room_they_leave_is_the_finalists() -> None:
    short = length(512, **DONE, finals=FinalsSnapshot(missing=4))
    both = finals_spec(seq_lengths=[512, 1024], parallelism=3)
    s = moment(spec=both, lengths=(short, length(1024, complete=2)))
    assert [type(a) for a in planned(s)] == [NewTrial, NewTrial, NewFinalist]


def test_the_verdict_comes_when_all_runs_have_ended_and_once() -> None:
    ended = FinalsSnapshot(complete=5, candidates=2)
    assert planned(over(ended)) == [Start(VERDICT, 1, 0)]
    assert planned(over(ended, jobs=(a_job(Kind.VERDICT),))) == []
    assert planned(over(replace(ended, judged=True))) == [phase_is(Phase.SUCCEEDED, "")]
    # a second one after better trials have come
    assert planned(over(ended, attempts={VERDICT: (Attempt(1, Outcome.SUCCEEDED),)})) == [
        Start(VERDICT, 2, 0)
    ]


def test_an_ended_verdict_is_written_down_and_the_study_with_it() -> None:
    done = a_job(Kind.VERDICT, state=State.SUCCEEDED, finished_at=NOW)
    s = over(
        FinalsSnapshot(complete=5, candidates=2, judged=True),
        jobs=(done,),
        closed={VERDICT: TrialSnapshot(0, TrialState.COMPLETE, finished_at=NOW)},
    )
    assert planned(s) == [Record(done, Outcome.SUCCEEDED, 0), Remove(done), phase_is(Phase.SUCCEEDED, "")]


@pytest.mark.parametrize(
    ("finals", "words"),
    [
        (FinalsSnapshot(failed=4), "every finalist of length 512 failed, so its best single run stands"),
        (FinalsSnapshot(complete=2, failed=2), "every finalist of length 512 failed, so its best single run stands"),
        (FinalsSnapshot(complete=4, candidates=2, failed=1, judged=True), "1 run of the finalists of length 512 failed"),
    ],
)  # fmt: skip
def test_failed_runs_cost_themselves_only(finals: FinalsSnapshot, words: str) -> None:
    s = over(finals)
    strict = s.spec.model_copy(update={"limits": s.spec.limits.model_copy(update={"max_failed_trials": 0})})
    assert planned(replace(s, spec=strict)) == [phase_is(Phase.SUCCEEDED, words)]


def test_a_failing_run_does_not_count_as_a_failed_trial() -> None:
    s = over(
        FinalsSnapshot(open=open_runs(3), complete=3, candidates=1),
        attempts={finalist(3): (Attempt(1, Outcome.FAILED, message=W("it diverged")),)},
    )
    strict = s.spec.model_copy(update={"limits": s.spec.limits.model_copy(update={"max_failed_trials": 0})})
    assert planned(replace(s, spec=strict)) == [fails(finalist(3), "it diverged"), Start(VERDICT, 1, 0)]


def test_a_verdict_that_cannot_be_made_is_said() -> None:
    s = over(
        FinalsSnapshot(complete=5, candidates=2),
        attempts={VERDICT: (Attempt(1, Outcome.FAILED, message=W("disk is gone")),)},
    )
    words = "the finalists of length 512 could not be compared: disk is gone"
    assert planned(s) == [phase_is(Phase.SUCCEEDED, words)]


def test_a_trial_that_is_no_finalist_any_more_gives_up_its_runs() -> None:
    s = over(
        FinalsSnapshot(open=open_runs(2, hopeless=True), complete=3, candidates=1),
        jobs=(a_job(Kind.FINALIST, 2),),
    )
    assert planned(s) == [Prune(finalist(2)), Stop(a_job(Kind.FINALIST, 2)), Start(VERDICT, 1, 0)]


def test_new_trials_come_before_what_is_left_of_the_old_finalists() -> None:
    extended = length(512, complete=4, planned=5, finals=FinalsSnapshot(missing=1, open=open_runs(0)))
    s = moment(spec=finals_spec(trials=5), lengths=(extended,))
    assert planned(s) == [NewTrial(512)]


def test_past_a_limit_no_finalist_begins_and_the_study_says_so() -> None:
    limits = {"limits": {"max_duration": 60}}
    late = {"now": NOW + timedelta(hours=3)}
    s = replace(over(FinalsSnapshot(missing=4), **late), spec=finals_spec(**limits))
    assert planned(s) == [
        phase_is(
            Phase.SUCCEEDED,
            "stopped after 1 min (limits.maxDuration); no finalist of length 512 was run, "
            "so the best single run stands",
        )
    ]
    # what was paid for is compared
    some = FinalsSnapshot(missing=2, complete=2, candidates=1)
    s = replace(over(some, **late), spec=finals_spec(**limits))
    words = "stopped after 1 min (limits.maxDuration); not all finalists of length 512 were run"
    assert planned(s) == [Start(VERDICT, 1, 0), phase_is(Phase.RUNNING, f"{words}; comparing the finalists")]
    assert planned(replace(s, lengths=(length(**DONE, finals=replace(some, judged=True)),))) == [
        phase_is(Phase.SUCCEEDED, words)
    ]


def test_a_cancelled_study_judges_nothing() -> None:
    s = over(FinalsSnapshot(missing=2, complete=2, candidates=1), cancel_requested=True)
    assert planned(s) == [phase_is(Phase.CANCELLED, "cancelled on request")]


def test_from_the_last_trial_to_the_winner() -> None:
    w = World(finals_spec(trials=3, parallelism=2))
    assert w.finish() is Phase.SUCCEEDED
    names = w.runner.started
    assert [n for n in names if "finalist" in n] == [f"demo-512-finalist{n}-1" for n in range(4)]
    assert names[-1] == "demo-512-verdict-1"
    orders = [w.runner.orders[f"demo-512-finalist{n}-1"] for n in range(4)]
    assert [o.untuned for o in orders] == [True, False, False, False]
    assert len({o.seed for o in orders}) == 1, "candidates share their seeds"
    assert [o.workdir for o in orders] == [f"studies/demo/512/finalist-{n}" for n in range(4)]
    verdict = w.runner.orders["demo-512-verdict-1"]
    assert (verdict.batch, verdict.resources.gpus, verdict.trial) == (None, 0, None)
    assert w.store.written["demo-512-verdict-1"].gpus == 0
    assert w.trials[512].finals.made.winner in {0, 1, 2}


def test_a_study_without_finalists_runs_none() -> None:
    w = World(spec(trials=2))
    assert w.finish() is Phase.SUCCEEDED
    assert w.trials[512].finals is None
    assert not [n for n in w.runner.started if "finalist" in n or "verdict" in n]


def test_a_run_in_memory_trouble_gets_more_and_keeps_its_seed() -> None:
    w = World(finals_spec(trials=2, parallelism=1))
    while "demo-512-finalist1-1" not in w.runner.jobs:
        w.pass_time(1)
        w.loop.step()
        for name in w.live():
            if name != "demo-512-finalist1-1":
                w.succeed(name)
    w.crash("demo-512-finalist1-1", Reason.GPU_OUT_OF_MEMORY)
    w.new_loop()  # a restarted controller finds its way
    w.settle()
    first, second = (w.runner.orders[f"demo-512-finalist1-{n}"] for n in (1, 2))
    assert (first.seed, first.params, first.trial_id) == (second.seed, second.params, second.trial_id)
    assert w.finish() is Phase.SUCCEEDED
