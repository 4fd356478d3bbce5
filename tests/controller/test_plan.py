"""`plan` by table: a moment, and what is to be done at it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest

from coref_k8s.controller.actions import (
    Action,
    Fail,
    NewTrial,
    OfferDefaults,
    Prune,
    Record,
    Remove,
    SetPhase,
    Start,
    Stop,
    WarmStart,
)
from coref_k8s.controller.plan import plan
from coref_k8s.controller.runner import ObservedJob, Reason, State
from coref_k8s.controller.snapshot import PREPARATION, Attempt, LengthSnapshot, Snapshot, TrialSnapshot, Unit
from coref_k8s.search.records import TrialState
from coref_k8s.store import Outcome, Phase
from coref_k8s.study.names import Kind, job_name
from coref_k8s.study.reading import build_spec
from coref_k8s.wording import NOTHING, Message

NOW = datetime(2026, 1, 2, tzinfo=UTC)
W = Message.verbatim
OPEN = TrialState.RUNNING


def spec(**changes):
    return build_spec(**{"seq_lengths": [512], "trials": 4, "parallelism": 2, **changes})


def job(number: int | None = 0, attempt: int = 1, seq_len: int = 512, **changes) -> ObservedJob:
    kind = Kind.PREPARE if number is None else Kind.TRIAL
    length = None if number is None else seq_len
    name = job_name("demo", kind, length, number, attempt)
    values = {
        "name": name,
        "uid": f"uid of {name}",
        "study": "demo",
        "kind": kind,
        "seq_len": length,
        "trial": number,
        "attempt": attempt,
        "state": State.RUNNING,
        "created_at": NOW - timedelta(minutes=10),
        "started_at": NOW - timedelta(minutes=9),
    }
    return ObservedJob(**{**values, **changes})


def ended(number: int | None = 0, attempt: int = 1, reason: Reason | None = None, **changes) -> ObservedJob:
    state = State.FAILED if reason else State.SUCCEEDED
    return job(number, attempt, state=state, reason=reason, message=W("words"), finished_at=NOW, **changes)


def moment(**changes) -> Snapshot:
    values = {
        "now": NOW,
        "namespace": "",
        "name": "demo",
        "spec": spec(),
        "phase": Phase.RUNNING,
        "message": NOTHING,
        "prepared": "prepared/abc",
        "created_at": NOW - timedelta(hours=2),
        "resumed_at": NOW - timedelta(hours=1),
        "lengths": (length(),),
        "gpus_per_job": 1,
    }
    return Snapshot(**{**values, **changes})


def length(seq_len: int = 512, *open_trials: int, **changes) -> LengthSnapshot:
    return LengthSnapshot(
        seq_len=seq_len, open=tuple(TrialSnapshot(n, OPEN) for n in open_trials), **{"planned": 4, **changes}
    )


def planned(s: Snapshot) -> list[Action]:
    """What is to be done, its messages in English words."""
    told = [
        (action, [f.name for f in fields(action) if f.name in ("message", "reason")]) for action in plan(s)
    ]
    return [
        replace(action, **{n: W(str(m)) for n in names if isinstance(m := getattr(action, n), Message)})
        for action, names in told
    ]


def phase_is(phase: Phase, words: str = "") -> SetPhase:
    return SetPhase(phase, W(words))


def fails(unit: Unit, words: str) -> Fail:
    return Fail(unit, W(words))


def trial(number: int, seq_len: int = 512) -> Unit:
    return Unit(Kind.TRIAL, seq_len, number)


def test_plan_needs_neither_cluster_nor_search_nor_torch() -> None:
    code = (
        "import sys, coref_k8s.controller.plan\n"
        "bad = {'kubernetes', 'optuna', 'torch', 'transformers'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_new_study_is_prepared_first() -> None:
    new = moment(phase=Phase.PENDING, prepared=None, lengths=())
    assert planned(new) == [phase_is(Phase.PREPARING, ""), Start(PREPARATION, 1, 0)]
    assert planned(replace(new, phase=Phase.PREPARING, jobs=(job(None),))) == []


def test_trials_begin_when_the_data_are_there() -> None:
    done = ended(None)
    s = moment(phase=Phase.PREPARING, jobs=(done,))
    assert planned(s) == [
        Record(done, Outcome.SUCCEEDED, 0),
        Remove(done),
        phase_is(Phase.RUNNING, ""),
        OfferDefaults(512),
        NewTrial(512),
        NewTrial(512),
    ]


@pytest.mark.parametrize(
    ("reason", "outcome", "next_attempt"),
    [
        (None, Outcome.FAILED, None),
        (Reason.INVALID, Outcome.FAILED, None),
        (Reason.CRASHED, Outcome.FAILED, None),
        (Reason.GPU_OUT_OF_MEMORY, Outcome.OUT_OF_MEMORY, (2, 1)),
        (Reason.HOST_OUT_OF_MEMORY, Outcome.OUT_OF_MEMORY, (2, 1)),
        (Reason.DISRUPTED, Outcome.DISRUPTED, (2, 0)),
    ],
)
def test_what_follows_from_how_a_job_ended(reason, outcome, next_attempt) -> None:
    over = ended(0, reason=reason)
    actions = planned(moment(lengths=(length(512, 0, complete=3),), jobs=(over,)))
    record, remove, *rest = actions
    assert (record.job, record.outcome, remove) == (over, outcome, Remove(over))
    if next_attempt is None:
        assert rest == [fails(trial(0), str(record.message)), phase_is(Phase.SUCCEEDED, "")]
    else:
        assert rest == [Start(trial(0), *next_attempt)]


@pytest.mark.parametrize(
    ("state", "outcome"),
    [(TrialState.COMPLETE, Outcome.SUCCEEDED), (TrialState.PRUNED, Outcome.PRUNED)],
)
def test_what_a_trial_has_to_show_counts_more_than_its_exit_code(state, outcome) -> None:
    over = ended(0, reason=Reason.CRASHED)
    s = moment(
        lengths=(length(512, complete=3, pruned=1),), jobs=(over,), closed={trial(0): TrialSnapshot(0, state)}
    )
    assert planned(s)[0] == Record(over, outcome, 0)


def attempts(*outcomes: Outcome, **changes) -> dict[Unit, tuple[Attempt, ...]]:
    made = (Attempt(i, outcome, message=W("words"), **changes) for i, outcome in enumerate(outcomes, start=1))
    return {trial(0): tuple(made)}


OOM, DISRUPTED, FAILED, STOPPED = Outcome.OUT_OF_MEMORY, Outcome.DISRUPTED, Outcome.FAILED, Outcome.STOPPED


@pytest.mark.parametrize(
    ("known", "answer"),
    [
        (attempts(), Start(trial(0), 1, 0)),
        (attempts(OOM), Start(trial(0), 2, 1)),
        (attempts(OOM, DISRUPTED, OOM), Start(trial(0), 4, 2)),
        (attempts(OOM, OOM, OOM), fails(trial(0), "words; more memory did not help (tried 2 times)")),
        (attempts(DISRUPTED, DISRUPTED), Start(trial(0), 3, 0)),
        (
            attempts(DISRUPTED, DISRUPTED, DISRUPTED),
            fails(trial(0), "disrupted 3 times, which exceeds limits.maxDisruptions (2)"),
        ),
        (
            attempts(STOPPED, disruptions=3),
            fails(trial(0), "disrupted 3 times, which exceeds limits.maxDisruptions (2)"),
        ),
        (attempts(DISRUPTED, DISRUPTED, DISRUPTED, forgiven=True), Start(trial(0), 4, 0)),
        (attempts(STOPPED, STOPPED, STOPPED), Start(trial(0), 4, 0)),
        (attempts(FAILED), fails(trial(0), "words")),
        (attempts(FAILED, forgiven=True), Start(trial(0), 2, 0)),
        # memory is not forgiven: the tier that did not hold the trial still does not
        (attempts(OOM, forgiven=True), Start(trial(0), 2, 1)),
    ],
)
def test_the_budget_of_a_trial(known, answer) -> None:
    s = moment(
        spec=spec(limits={"max_disruptions": 2, "memory_tiers": 2}),
        lengths=(length(512, 0, complete=3),),
        attempts=known,
    )
    assert planned(s)[0] == answer


def test_open_trials_come_before_new_ones_and_neither_above_what_runs_at_once() -> None:
    s = moment(spec=spec(parallelism=3, trials=9), lengths=(length(512, 0, 1),), jobs=(job(0),))
    assert planned(s) == [Start(trial(1), 1, 0), NewTrial(512)]
    assert planned(replace(s, capacity=2)) == [Start(trial(1), 1, 0)]
    assert planned(replace(s, capacity=1)) == []
    # fewer at once than run already: nothing is stopped for it
    assert planned(replace(s, spec=spec(parallelism=1))) == []


def test_a_job_that_was_told_to_stop_holds_its_place_until_it_ends() -> None:
    pruned = TrialSnapshot(0, TrialState.PRUNED)
    s = moment(lengths=(length(512, 1, pruned=1),), jobs=(job(0), job(1)), closed={trial(0): pruned})
    assert planned(s) == [Stop(job(0))]
    assert planned(replace(s, stopping=frozenset({job(0).uid}))) == []


def test_a_stopped_job_is_told_why() -> None:
    def why(s: Snapshot) -> list[str]:
        return [str(action.why) for action in planned(s) if isinstance(action, Stop)]

    running = moment(lengths=(length(512, 0),), jobs=(job(0),))
    assert why(replace(running, cancel_requested=True)) == ["cancelled on request"]
    assert why(replace(running, interrupted=True)) == ["the study was interrupted"]
    hopeless = LengthSnapshot(seq_len=512, open=(TrialSnapshot(0, OPEN, hopeless=True),))
    assert why(replace(running, lengths=(hopeless,))) == ["its trial was stopped early"]
    closed = {trial(0): TrialSnapshot(0, TrialState.PRUNED)}
    over = replace(running, lengths=(length(512, pruned=1),), closed=closed)
    assert why(over) == ["its trial has its outcome already"]


def test_a_preparation_that_is_still_ending_takes_no_trials_place() -> None:
    s = moment(spec=spec(parallelism=1), jobs=(job(None),))
    assert planned(s) == [OfferDefaults(512), NewTrial(512)]
    assert planned(replace(s, capacity=1)) == [OfferDefaults(512), NewTrial(512)]


def test_a_hopeless_trial_is_closed_before_its_job_is_stopped() -> None:
    hopeless = LengthSnapshot(
        seq_len=512, open=(TrialSnapshot(0, OPEN, hopeless=True), TrialSnapshot(1, OPEN))
    )
    assert planned(moment(lengths=(hopeless,), jobs=(job(0), job(1)))) == [Prune(trial(0)), Stop(job(0))]


def test_a_trial_with_its_result_may_end_by_itself_but_not_take_for_ever() -> None:
    s = moment(lengths=(length(512, complete=1),), jobs=(job(0), job(1)))
    for minutes, expected in ((1, []), (6, [Stop(job(0))])):
        view = TrialSnapshot(0, TrialState.COMPLETE, finished_at=NOW - timedelta(minutes=minutes))
        assert planned(replace(s, closed={trial(0): view})) == expected


EVEN = spec(seq_lengths=[512, 1024, 2048], trials=6, parallelism=4, search={"allocation": "even"})


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        # the shortest goes ahead until half its trials have closed, and begins with the defaults
        ([length(512), length(1024)], [OfferDefaults(512), *[NewTrial(512)] * 4]),
        ([length(512, 2, 3, complete=2), length(1024)], [NewTrial(512)] * 2),
        ([length(512, 2, 3, 4, 5, complete=2), length(1024)], []),
        # then every longer one tries what it is offered
        ([length(512, 3, complete=3), length(1024)], [WarmStart(1024, 512), *[NewTrial(1024)] * 3]),
        ([length(512, 4, complete=3, failed=1), length(1024, complete=1), length(2048)],
         [*[NewTrial(1024)] * 2, WarmStart(2048, 512), NewTrial(2048)]),
        # of the nearest that knows enough, and once
        ([length(512, complete=6), length(1024, complete=3), length(2048)],
         [WarmStart(2048, 1024), *[NewTrial(2048)] * 3, NewTrial(1024)]),
        ([length(512, complete=6), length(1024, complete=3), length(2048, complete=1)],
         [*[NewTrial(2048)] * 2, NewTrial(1024), NewTrial(2048)]),
        # then whoever is furthest behind
        ([length(512, complete=5), length(1024, complete=3), length(2048, complete=4)],
         [NewTrial(1024), NewTrial(1024), NewTrial(2048), NewTrial(512)]),
        # the search expects nothing more of the shortest
        ([length(512, complete=1, exhausted=W("it gets no better")), length(1024)], [WarmStart(1024, 512), *[NewTrial(1024)] * 4]),
    ],
)  # fmt: skip
def test_even_lengths(views, expected) -> None:
    s = moment(
        spec=EVEN,
        lengths=tuple(replace(one, planned=6) for one in views),
        jobs=tuple(job(t.number) for t in views[0].open),
    )
    assert planned(s) == expected


LADDER = spec(seq_lengths=[512, 1024, 2048], trials=10, parallelism=8)


def on_ladder(seq_len: int, *open_trials: int, planned: int = 5, **changes) -> LengthSnapshot:
    return length(seq_len, *open_trials, planned=planned, **changes)


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        # the shortest explores until half of its trials have closed
        ([on_ladder(512, *range(4, 10), planned=10, complete=4), on_ladder(1024), on_ladder(2048)], []),
        ([on_ladder(512, *range(5, 10), planned=10, complete=5), on_ladder(1024), on_ladder(2048)],
         [WarmStart(1024, 512), *[NewTrial(1024)] * 3]),
        # then every longer one tries what it is offered, and two at random to compare with
        ([on_ladder(512, 8, 9, planned=10, complete=5, failed=3), on_ladder(1024), on_ladder(2048)],
         [WarmStart(1024, 512), *[NewTrial(1024)] * 3, *[NewTrial(1024, random=True)] * 2, WarmStart(2048, 512), NewTrial(2048)]),
        # the others first; of one that follows fewer are planned
        ([on_ladder(512, planned=10, complete=10), on_ladder(1024, 5, complete=5, planned=6), on_ladder(2048, complete=5, planned=10)],
         [NewTrial(2048)] * 5),
    ],
)  # fmt: skip
def test_the_ladder(views, expected) -> None:
    jobs = tuple(job(t.number, seq_len=one.seq_len) for one in views for t in one.open)
    assert planned(moment(spec=LADDER, lengths=tuple(views), jobs=jobs)) == expected


def test_a_study_may_begin_at_random() -> None:
    bold = spec(search={"defaults_first": False})
    assert planned(moment(spec=bold)) == [NewTrial(512), NewTrial(512)]


def test_without_warm_start_lengths_fill_up_what_is_free() -> None:
    free = spec(seq_lengths=[512, 1024], trials=3, parallelism=4, search={"warm_start": False})
    s = moment(spec=free, lengths=(length(512, planned=3), length(1024, planned=3)))
    assert planned(s) == [OfferDefaults(512), *[NewTrial(512)] * 3, OfferDefaults(1024), NewTrial(1024)]


def test_another_studys_results_start_every_length_beside_the_ladder() -> None:
    given = spec(search={"warm_start_from": "other"})
    assert planned(moment(spec=given)) == [WarmStart(512, None), NewTrial(512), NewTrial(512)]
    both = spec(seq_lengths=[512, 1024], trials=3, parallelism=1, search={"warm_start_from": "other"})
    done = moment(spec=both, lengths=(length(512, complete=3, planned=3), length(1024, planned=3)))
    assert planned(done) == [WarmStart(1024, None), WarmStart(1024, 512), NewTrial(1024)]
    alone = both.search.model_copy(update={"warm_start": False})
    free = moment(spec=both.model_copy(update={"search": alone}), lengths=done.lengths)
    assert planned(free) == [WarmStart(1024, None), NewTrial(1024)]


LIVE = {"lengths": (length(512, 0, complete=2),), "jobs": (job(0),)}


@pytest.mark.parametrize("on_end", ["stop", "drain"])
@pytest.mark.parametrize(
    ("limits", "changes", "phase", "message"),
    [
        ({}, {"cancel_requested": True}, Phase.CANCELLED, "cancelled on request"),
        (
            {"max_duration": 3600},
            {},
            Phase.SUCCEEDED,
            "stopped after 1 h (limits.maxDuration)",
        ),
        (
            {"max_gpu_hours": 1.15},
            {"gpu_seconds": 3600.0},
            Phase.SUCCEEDED,
            "stopped after 1.15 GPU-hours (limits.maxGpuHours)",
        ),
        (
            {"max_failed_trials": 1},
            {"lengths": (length(512, 0, complete=1, failed=2),)},
            Phase.FAILED,
            "2 trials failed, which exceeds limits.maxFailedTrials (1)",
        ),
        (
            {"max_duration": 60},
            {"lengths": (length(512, 0),)},
            Phase.FAILED,
            "stopped after 1 min (limits.maxDuration) before any trial was complete",
        ),
    ],
)
def test_how_a_study_ends_early(on_end, limits, changes, phase, message) -> None:
    s = moment(**{**LIVE, **changes}, spec=spec(limits={**limits, "on_end": on_end}))
    wait = phase_is(Phase.RUNNING, f"{message}; waiting for running jobs to end")
    stops = [Stop(job(0))] if on_end == "stop" else []
    assert planned(s) == [*stops, wait]
    message_now = Message.load(plan(s)[-1].message.to_text())  # as it comes back from the database
    waiting = replace(s, message=message_now, stopping=frozenset({job(0).uid} if stops else ()))
    assert plan(waiting) == []
    over = ended(0, reason=Reason.DISRUPTED)
    assert planned(replace(waiting, jobs=(over,))) == [
        Record(
            over, Outcome.STOPPED if stops else Outcome.DISRUPTED, 0, Reason.DISRUPTED, W("disrupted (words)")
        ),
        Remove(over),
        phase_is(phase, message),
    ]


def test_the_failure_that_ends_a_study_stays_told_until_its_jobs_have_ended() -> None:
    s = moment(
        lengths=(length(512, 0, 1, complete=1),), jobs=(job(1),), attempts=attempts(FAILED),
        spec=spec(limits={"max_failed_trials": 0}),
    )  # fmt: skip
    *_, said = plan(s)
    words = "1 trial failed, which exceeds limits.maxFailedTrials (0); the last one: words"
    assert str(said.message) == f"{words}; waiting for running jobs to end"
    closed = (length(512, 1, complete=1, failed=1),)
    waiting = replace(
        s,
        lengths=closed,
        attempts={},
        message=Message.load(said.message.to_text()),
        stopping=frozenset({job(1).uid}),
    )
    assert plan(waiting) == []
    assert planned(replace(waiting, jobs=())) == [phase_is(Phase.FAILED, words)]


@pytest.mark.parametrize(
    ("limits", "changes"),
    [
        ({"max_duration": 3601}, {}),
        ({"max_gpu_hours": 1.16}, {"gpu_seconds": 3600.0}),
        ({"max_gpu_hours": 0.01}, {"gpus_per_job": 0}),
        ({"max_failed_trials": 2}, {"lengths": (length(512, 0, failed=9, forgiven=7),)}),
    ],
)
def test_a_limit_that_is_not_reached_ends_nothing(limits, changes) -> None:
    s = moment(**{**LIVE, **changes}, spec=spec(trials=3, limits=limits))
    assert not [a for a in planned(s) if isinstance(a, SetPhase | Stop)]


@pytest.mark.parametrize(
    ("views", "phase", "message"),
    [
        ([length(512, complete=4)], Phase.SUCCEEDED, ""),
        ([length(512, complete=1, pruned=1, failed=2)], Phase.SUCCEEDED, ""),
        ([length(512, failed=2, pruned=2)], Phase.FAILED, "no trial is complete"),
        (
            [length(512, failed=4), length(1024, complete=4)],
            Phase.SUCCEEDED,
            "no trial of length 512 is complete",
        ),
        (
            [length(512, complete=2, exhausted=W("it gets no better"))],
            Phase.SUCCEEDED,
            "length 512 ended after 2 of 4 trials: it gets no better",
        ),
        ([length(512, complete=4, exhausted=W("it gets no better"))], Phase.SUCCEEDED, ""),
    ],
)
def test_how_a_study_ends_by_itself(views, phase, message) -> None:
    lengths = [view.seq_len for view in views]
    s = moment(spec=spec(seq_lengths=lengths, search={"patience": 2}), lengths=tuple(views))
    assert planned(s) == [phase_is(phase, message)]
    (end,) = plan(s)
    assert plan(replace(s, phase=phase, message=Message.load(end.message.to_text()))) == []


def test_a_failed_preparation_is_the_studys_failure_with_its_reason() -> None:
    over = ended(None, reason=Reason.INVALID)
    s = moment(phase=Phase.PREPARING, prepared=None, lengths=(), jobs=(over,))
    assert planned(s)[2:] == [phase_is(Phase.FAILED, "preparation failed: cannot run as requested (words)")]


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED])
def test_an_ended_study_only_tidies_up(phase) -> None:
    over = ended(0, reason=Reason.DISRUPTED)
    s = moment(phase=phase, lengths=(length(512, 0, 1),), jobs=(over, job(1)))
    assert [type(a) for a in planned(s)] == [Record, Remove, Stop]


def test_an_interruption_stops_jobs_and_decides_nothing() -> None:
    s = moment(lengths=(length(512, 0, 1),), jobs=(job(0),), interrupted=True)
    assert planned(s) == [Stop(job(0))]
    over = ended(0, reason=Reason.DISRUPTED)
    s = replace(s, jobs=(over,), stopping=frozenset({over.uid}))
    assert planned(s) == [Record(over, STOPPED, 0, Reason.DISRUPTED, W("disrupted (words)")), Remove(over)]


def pending(number: int | None, reason: Reason, minutes: float) -> ObservedJob:
    return job(
        number,
        state=State.PENDING,
        reason=reason,
        message=W("0/3 nodes have nvidia.com/gpu"),
        created_at=NOW - timedelta(minutes=minutes),
        started_at=None,
    )


def test_a_job_that_waits_too_long_for_a_place_is_said_so_once() -> None:
    waits = pending(0, Reason.UNSCHEDULABLE, 31)
    s = moment(lengths=(length(512, 0, complete=3),), jobs=(waits,))
    words = "trial 0 of length 512 has waited for a node since 2026-01-01 23:29 UTC: 0/3 nodes have nvidia.com/gpu"
    assert planned(s) == [phase_is(Phase.RUNNING, words)]
    (said,) = plan(s)
    s = replace(s, message=Message.load(said.message.to_text()))
    assert plan(replace(s, now=NOW + timedelta(minutes=5))) == []
    # it has its place: the words go
    assert planned(replace(s, jobs=(job(0),))) == [phase_is(Phase.RUNNING, "")]
    s = replace(s, message=NOTHING)
    assert planned(replace(s, jobs=(pending(0, Reason.UNSCHEDULABLE, 0.4),))) == []
    assert planned(replace(s, jobs=(pending(0, Reason.SUSPENDED, 600),))) == []


def test_an_image_that_does_not_come_fails_the_trial() -> None:
    waits = pending(0, Reason.IMAGE, 31)
    s = moment(lengths=(length(512, 0, complete=3),), jobs=(waits,))
    assert planned(s) == [
        fails(trial(0), "its image cannot be pulled (0/3 nodes have nvidia.com/gpu)"),
        Stop(waits),
    ]
    preparing = moment(
        phase=Phase.PREPARING, prepared=None, lengths=(), jobs=(pending(None, Reason.IMAGE, 31),)
    )
    assert [type(a) for a in planned(preparing)] == [Stop, SetPhase]
