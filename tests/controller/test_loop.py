"""observe, plan, apply together, in a small world: what is seen when, what is written before what, what fails."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coref_k8s.controller import carry
from coref_k8s.controller.actions import Action, Record, SetPhase
from coref_k8s.controller.apply import FencedError
from coref_k8s.controller.loop import Step, StudyLoops, run_until_done
from coref_k8s.controller.orders import make_order, seed_of
from coref_k8s.controller.runner import Reason, State
from coref_k8s.controller.snapshot import PREPARATION, Unit
from coref_k8s.controller.workqueue import Key
from coref_k8s.errors import ClusterError, NotFoundError, RequestError, StorageError
from coref_k8s.search.records import TrialState
from coref_k8s.store import Outcome, Phase
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order
from coref_k8s.study.reading import build_spec
from coref_k8s.telemetry.bus import Bus
from coref_k8s.wording import NOTHING, Message
from tests.controller.world import World


def world(**changes) -> World:
    return World(build_spec(**{"seq_lengths": [512], "trials": 2, "parallelism": 2, **changes}))


def prepared(**changes) -> World:
    w = world(**changes)
    w.settle()
    w.succeed("demo-prepare-1")
    w.settle()
    return w


def test_a_result_written_while_jobs_are_listed_is_not_missed() -> None:
    w = prepared()
    listing = w.runner.list

    def a_job_ends_meanwhile(study: str):
        w.succeed("demo-512-0-1")
        w.runner.list = listing
        return listing(study)

    w.runner.list = a_job_ends_meanwhile
    w.loop.step()
    assert w.store.written["demo-512-0-1"].outcome is Outcome.SUCCEEDED
    assert w.trials[512].all[0].state is TrialState.COMPLETE


def test_a_job_deleted_by_hand_is_written_down_and_its_trial_goes_on() -> None:
    w = prepared()
    w.run("demo-512-0-1")
    w.settle()
    w.pass_time(60)
    del w.runner.jobs["demo-512-0-1"]
    w.settle()
    record = w.store.written["demo-512-0-1"]
    assert (record.outcome, str(record.message)) == (
        Outcome.DISRUPTED,
        "disrupted (deleted by somebody else)",
    )
    assert record.gpu_seconds == 60
    assert "demo-512-0-2" in w.live()
    assert w.finish() is Phase.SUCCEEDED


def test_what_one_controller_stopped_is_no_disruption_for_the_next() -> None:
    w = prepared(trials=1, limits={"max_disruptions": 0})
    w.run("demo-512-0-1")
    w.store.change(cancel_requested=True)
    w.loop.step()
    assert w.job("demo-512-0-1").stopped == "cancelled on request"
    w.new_loop()
    assert w.loop.step().actions == ()
    w.crash("demo-512-0-1", Reason.DISRUPTED)
    w.settle()
    assert w.store.written["demo-512-0-1"].outcome is Outcome.STOPPED
    assert w.store.study.phase is Phase.CANCELLED


def test_later_trials_are_sized_by_what_earlier_ones_measured() -> None:
    w = prepared(trials=4, parallelism=1)
    first = w.runner.orders["demo-512-0-1"].batch
    for number in range(3):
        trial = w.trials[512].all[number]
        peak = {"gpu_name": "A100", "gpu_peak_bytes": 15 * 10**9, "estimated_bytes": 10**10}
        w.trials[512].all[number] = replace(trial, attrs=peak)
        w.run(f"demo-512-{number}-1")
        w.succeed(f"demo-512-{number}-1")
        w.settle()
    last = w.runner.orders["demo-512-3-1"].batch
    assert first is not None
    assert last is not None
    assert last.predicted_bytes == pytest.approx(1.5 * first.predicted_bytes)
    assert last.effective_batch == first.effective_batch


def test_each_trial_is_moved_once_for_the_prior_of_another_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moved: list[tuple[int, int]] = []

    def prior_of(records, *args, **more):
        moved.extend((record.seq_len, record.number) for record in records)
        return real(records, *args, **more)

    real = carry.prior_of
    monkeypatch.setattr(carry, "prior_of", prior_of)
    w = prepared(seq_lengths=[512, 1024], trials=6, parallelism=2, search={"allocation": "even"})
    assert w.finish() is Phase.SUCCEEDED
    assert sorted(moved) == sorted(set(moved))
    spec = w.store.study.spec
    for length, other in ((512, 1024), (1024, 512)):
        everything = real(w.trials[other].all, spec, length)
        last = w.trials[length].priors[-1]
        assert 3 <= len(last) <= len(everything) == 6
        assert last == [one for one in everything if one in last]
    assert not w.trials[512].priors[0]


def test_gpu_time_is_accounted_by_attempt_and_outcome() -> None:
    w = prepared(pod={"gpus": 4})
    for name, seconds in (("demo-512-0-1", 10), ("demo-512-1-1", 100)):
        w.run(name)
        w.pass_time(seconds)
    w.crash("demo-512-0-1", Reason.GPU_OUT_OF_MEMORY)
    w.succeed("demo-512-1-1")
    w.settle()
    spent = {name: (r.outcome, r.gpus, r.gpu_seconds) for name, r in w.store.written.items()}
    assert spent == {
        "demo-prepare-1": (Outcome.SUCCEEDED, 0, 0.0),
        "demo-512-0-1": (Outcome.OUT_OF_MEMORY, 4, 440.0),
        "demo-512-1-1": (Outcome.SUCCEEDED, 4, 400.0),
    }
    w.run("demo-512-0-2")
    w.pass_time(5)
    assert w.loop.step().progress.gpu_seconds == 860
    w.new_loop()
    assert w.loop.step().progress.gpu_seconds == 860


def test_a_failure_carries_its_reason_and_the_end_of_its_log() -> None:
    w = prepared()
    w.crash("demo-512-0-1")
    w.settle()
    record = w.store.written["demo-512-0-1"]
    assert record.log_tail == "first line\nRuntimeError: end of demo-512-0-1"
    words = "crashed (exit code 1): RuntimeError: end of demo-512-0-1"
    assert str(record.message) == words
    assert str(w.trials[512].all[0].reason) == words


def test_what_a_pod_has_told_already_is_not_told_twice() -> None:
    w = prepared()
    w.crash("demo-512-0-1", said="RuntimeError: end of demo-512-0-1")
    w.settle()
    assert (
        str(w.store.written["demo-512-0-1"].message)
        == "crashed (exit code 1): RuntimeError: end of demo-512-0-1"
    )


def test_orders_carry_what_a_trial_needs() -> None:
    w = prepared()
    order: Order = w.runner.orders["demo-512-1-1"]
    trial = w.trials[512].all[1]
    assert (order.kind, order.seq_len, order.trial, order.trial_id) == (Kind.TRIAL, 512, 1, 1001)
    assert (order.params, order.prepared) == (trial.params, "prepared/abc")
    assert order.workdir == "studies/demo/512/1"
    assert order.batch.effective_batch == 32
    first = w.runner.orders["demo-prepare-1"]
    assert (first.workdir, first.batch, first.resources.gpus) == ("studies/demo/prepare", None, 0)
    w.crash("demo-512-1-1", Reason.GPU_OUT_OF_MEMORY)
    w.settle()
    again: Order = w.runner.orders["demo-512-1-2"]
    assert (again.attempt, again.seed, again.workdir) == (2, order.seed, order.workdir)
    assert again.batch.effective_batch == order.batch.effective_batch
    assert again.resources.memory_bytes > order.resources.memory_bytes
    assert order.seed != w.runner.orders["demo-512-0-1"].seed


def test_seeds_depend_on_the_study_the_kind_and_the_trial() -> None:
    units = [Unit(Kind.TRIAL, 512, 0), Unit(Kind.TRIAL, 512, 1), Unit(Kind.FINALIST, 512, 0), PREPARATION]
    seeds = [seed_of(build_spec(seed=seed), unit) for seed in (0, 1) for unit in units]
    assert len(set(seeds)) == 8
    assert all(0 <= seed < 2**31 for seed in seeds)
    params = {"accumulation": 4}
    order = make_order(build_spec(), "team", "demo", units[0], params=params, trial_id=1)
    assert order.namespace == "team"
    assert order.batch.accumulation * order.batch.batch_size == 4 * 32


@pytest.mark.parametrize("error", [ClusterError("quota exceeded"), ValueError("no such quota")])
def test_what_goes_wrong_with_a_trial_holds_up_nothing_else(error: Exception) -> None:
    w = prepared(trials=3)
    w.runner.refuse = {"demo-512-0-2": error}
    w.crash("demo-512-0-1", Reason.DISRUPTED)
    w.succeed("demo-512-1-1")
    assert "quota" in str(w.loop.step().failure)
    assert w.live() == ["demo-512-2-1"]
    assert "demo-512-0-1" in w.store.written
    w.runner.refuse = {}
    w.settle()
    assert w.live() == ["demo-512-0-2", "demo-512-2-1"]


def test_what_can_never_be_started_fails_with_its_reason() -> None:
    w = world()
    w.runner.refuse = {"-512-0-": RequestError("the Job is invalid: too long")}
    w.settle()
    w.succeed("demo-prepare-1")
    w.settle()
    failed = w.trials[512].all[0]
    assert (failed.state, failed.attrs["reason"]) == (TrialState.FAILED, "the Job is invalid: too long")
    assert w.store.written["demo-512-0-1"].reason == "Invalid"
    assert w.finish() is Phase.SUCCEEDED


def test_the_end_is_not_written_while_something_failed() -> None:
    w = prepared()
    for name in w.live():
        w.succeed(name)
    real = w.runner.remove
    w.runner.remove = lambda job: (_ for _ in ()).throw(ClusterError("no route"))
    assert isinstance(w.loop.step().failure, ClusterError)
    assert w.store.study.phase is Phase.RUNNING
    w.runner.remove = real
    assert w.finish() is Phase.SUCCEEDED


def test_a_controller_that_lost_its_lease_writes_nothing_more() -> None:
    w = prepared()
    left = [1]
    w.new_loop(may_write=lambda: bool(left) and bool(left.pop()))
    for name in w.live():
        w.succeed(name)
    with pytest.raises(FencedError):
        w.loop.step()
    assert sum(name.startswith("demo-512") for name in w.store.written) == 1
    assert len(w.runner.jobs) == 2


def test_a_request_that_grows_takes_more_trials_in_every_length() -> None:
    w = prepared(seq_lengths=[512, 1024], trials=1)
    assert w.finish() is Phase.SUCCEEDED
    w.store.set_spec(w.store.study.spec.model_copy(update={"trials": 2}))
    w.store.change(phase=Phase.PENDING, resumed_at=w.now)
    assert w.finish() is Phase.SUCCEEDED
    assert [len(w.trials[n].all) for n in (512, 1024)] == [2, 2]
    # the longer one had begun: nothing was offered to it again
    assert w.trials[1024].queue == []


def test_the_best_of_a_length_start_the_next() -> None:
    w = prepared(seq_lengths=[512, 1024], trials=6, parallelism=1, search={"allocation": "even"})
    for number, value in enumerate((0.2, 0.9, 0.5)):
        w.succeed(f"demo-512-{number}-1", value)
        w.settle()
    asked = [trial.params["learning_rate"] for trial in w.trials[1024].all]
    moved = asked + [params["learning_rate"] for params in w.trials[1024].queue]
    # scores 0.2, 0.9, 0.5 at 1e-4, 2e-4, 3e-4: best first, each at the same place of the longer length's range
    assert len(asked) == 1
    low, middle, high = sorted(moved)
    assert moved == [middle, high, low]
    assert all(5e-6 <= lr <= 2e-4 for lr in moved)


@pytest.mark.parametrize(("random", "begun"), [(0.1, 5), (0.9, 6)])
def test_a_longer_length_gets_few_trials_or_a_search_of_its_own(random: float, begun: int) -> None:
    """Twelve at the shortest, six for the same cost; the longer one's first three are carried, the next two drawn at random."""
    w = prepared(seq_lengths=[512, 1024], trials=12, parallelism=4)
    for _ in range(40):
        for name in w.live():
            drawn = name in ("demo-1024-3-1", "demo-1024-4-1")
            w.succeed(name, random if drawn else 0.5 + len(w.trials[512].all) / 100)
        w.settle()
    assert w.store.study.phase is Phase.SUCCEEDED
    assert [len(w.trials[n].all) for n in (512, 1024)] == [12, begun]
    assert w.trials[1024].randoms == [3, 4]


def run(w: World, **changes):
    """Run the loop, with waits in which jobs succeed one after another."""
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        w.pass_time(seconds)
        assert len(waits) < 300
        for name in w.live()[:1]:
            w.crash(name, Reason.DISRUPTED) if name in w.stopping else w.succeed(name)

    return run_until_done(w.loop, wait=wait, **changes), waits


def test_a_run_ends_when_the_study_does() -> None:
    w = world()
    seen = []
    last, _ = run(w, on_progress=seen.append)
    assert (last.phase, last.lengths[0].complete) == (Phase.SUCCEEDED, 2)
    assert seen[-1] == last
    assert [p.phase for p in seen[:1]] == [Phase.PENDING]


def test_an_interrupted_run_ends_when_its_jobs_have() -> None:
    w = prepared()
    last, _ = run(w, interrupted=lambda: True)
    assert (last.phase, last.running) == (Phase.RUNNING, ())
    assert (last.lengths[0].running, last.lengths[0].waiting) == (0, 2)
    assert {r.outcome for n, r in w.store.written.items() if "prepare" not in n} == {Outcome.STOPPED}
    assert w.finish() is Phase.SUCCEEDED


def test_a_database_that_goes_away_is_waited_for() -> None:
    w = prepared()
    real, calls = w.store.get_study, []

    def away(*names):
        calls.append(names)
        if 1 < len(calls) <= 6:
            raise StorageError("the database is away")
        return real(*names)

    w.store.get_study = away
    seen = []
    last, waits = run(w, on_progress=seen.append)
    assert last.phase is Phase.SUCCEEDED
    assert [str(p.problem) for p in seen].count("the database is away") == 5
    assert [seconds for seconds in waits if seconds >= 1] == [1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize("error", [StorageError("never worked"), NotFoundError("deleted")])
def test_what_never_worked_is_said_at_once(error) -> None:
    w = world()
    w.store.get_study = lambda *_: (_ for _ in ()).throw(error)
    with pytest.raises(type(error)):
        run(w)


def test_progress_shows_what_runs_and_the_last_report() -> None:
    w = prepared(trials=3)
    w.run("demo-512-0-1")
    w.trials[512].report(0, 1, 0.25)
    w.trials[512].report(0, 2, 0.5)
    progress = w.loop.step().progress
    assert [(r.job.trial, r.job.state, r.step, r.value) for r in progress.running] == [
        (0, State.RUNNING, 2, 0.5),
        (1, State.PENDING, None, None),
    ]
    (row,) = progress.lengths
    assert (row.planned, row.complete, row.running, row.waiting, row.best) == (3, 0, 1, 1, None)


def test_a_length_whose_next_trial_promises_little_begins_no_more_trials() -> None:
    w = prepared(trials=9, parallelism=1, search={"min_gain": 0.01, "startup_trials": 2})
    asked = []
    gains = iter((None, 0.02, 0.009))
    w.trials[512].expected_gain = lambda: asked.append(1) or next(gains)
    for number in range(5):
        w.succeed(f"demo-512-{number}-1", 0.1 * number)
        for _ in range(3):
            w.settle()
    # asked once a trial, from the first after the two at random
    assert len(asked) == 3
    assert w.store.study.phase is Phase.SUCCEEDED
    assert str(w.store.study.message) == (
        "length 512 ended after 5 of 9 trials: one more trial is expected to add less than 0.01 (search.minGain)"
    )


def test_the_pruner_is_asked_once_a_report() -> None:
    w = prepared()
    asked = []
    w.trials[512].should_prune = lambda record: asked.append(max(record.intermediate)) or False
    for step in (1, 2):
        w.trials[512].report(0, step, 0.1)
        for _ in range(3):
            w.loop.step()
            w.pass_time(1)
    assert asked == [1, 2]


def test_a_started_job_that_never_appears_is_started_again() -> None:
    w = world()
    w.runner.lagging = True
    w.settle()
    assert w.runner.started == ["demo-prepare-1"]
    w.runner.jobs.clear()  # deleted before anybody saw it
    w.settle()
    assert w.runner.started == ["demo-prepare-1"]
    w.now += timedelta(minutes=6)
    w.settle()
    assert w.runner.started == ["demo-prepare-1"] * 2


def test_a_length_that_gets_no_better_begins_no_more_trials() -> None:
    w = prepared(trials=9, parallelism=1, search={"patience": 2, "startup_trials": 2})
    for score in (0.2, None, 0.6, 0.2, 0.2):
        (name,) = w.live()
        w.crash(name) if score is None else w.succeed(name, score)
        w.settle()
    assert w.live() == []
    # 0.2, failed, 0.6 (best), 0.2, 0.2: two in a row without a better one; the failed one does not count
    assert [t.state for t in w.trials[512].all] == [
        TrialState.COMPLETE,
        TrialState.FAILED,
        *[TrialState.COMPLETE] * 3,
    ]
    words = "length 512 ended after 5 of 9 trials: 2 trials in a row without a better one (search.patience)"
    assert w.store.phases[-1] == (Phase.SUCCEEDED, words)
    w.new_loop()
    assert w.loop.step().actions == ()


def test_a_study_with_one_thing_to_do_does_it_after_all_when_it_is_resumed() -> None:
    """A final training that failed is not lost: its second trial is the same one, and goes on in its folder."""
    purpose = {"kind": "train", "study": "parent", "trials": [3]}
    space = {"learning_rate": {"choices": [1e-4]}}
    w = prepared(
        trials=1, purpose=purpose, search={"space": space}, limits={"max_failed_trials": 0, "retries": 0}
    )
    w.crash("demo-512-0-1", Reason.INVALID)
    assert w.finish() is Phase.FAILED
    w.pass_time(60)
    w.store.change(phase=Phase.PENDING, message=NOTHING, resumed_at=w.now)
    w.new_loop()
    w.settle()
    first, second = w.runner.orders["demo-512-0-1"], w.runner.orders["demo-512-1-1"]
    assert (second.workdir, second.seed) == (first.workdir, first.seed)
    assert w.finish() is Phase.SUCCEEDED


def test_a_preparation_whose_image_does_not_come_ends_the_study_with_one_job() -> None:
    w = world()
    w.loop.step()
    w._set(
        "demo-prepare-1", state=State.PENDING, reason=Reason.IMAGE, message=Message.verbatim("no such image")
    )
    w.pass_time(w.store.study.spec.limits.pending_deadline + 1)
    for _ in range(3):  # told to stop, it takes a while
        w.loop.step()
    w.crash("demo-prepare-1", Reason.DISRUPTED)
    assert w.finish() is Phase.FAILED
    assert "no such image" in str(w.store.study.message)
    assert list(w.runner.orders) == ["demo-prepare-1"]


def test_a_trial_with_values_that_are_not_finite_is_told_of_once(tmp_path: Path) -> None:
    w = prepared(trials=3, parallelism=1)
    w.loop = w.new_loop(bus=Bus(tmp_path / "bus"))
    w.trials[512].all[0] = replace(w.trials[512].all[0], intermediate={1: 0.4, 2: math.nan})
    for number in range(3):
        w.succeed(f"demo-512-{number}-1")
        w.settle()
    told = [json.loads(line) for line in (tmp_path / "bus").read_text().splitlines()]
    (warning,) = [event for event in told if event["section"] == "warning"]
    assert (warning["code"], warning["seq_len"]) == ("search.not-finite", 512)
    assert warning["message"] == (
        "trial 0 of 512 tokens reported values that are not finite (nan); the search goes by its other reports"
    )


def slow(w: World, holder: Any, name: str, seconds: float) -> None:
    """Let a method take its time."""
    method = getattr(holder, name)

    def slowly(*args: Any, **more: Any) -> Any:
        w.pass_time(seconds)
        return method(*args, **more)

    setattr(holder, name, slowly)


def bounded(w: World) -> Step:
    """Do one round and hold it to the 5 s in which a study hears of a cancellation."""
    turn = w.turn()
    step = w.loop.step(turn)
    assert turn.seconds <= 5
    return step


def test_a_round_that_starts_thousands_leaves_off_and_hears_of_a_cancellation() -> None:
    w = world(trials=20_000, parallelism=20_000)
    w.settle()
    w.succeed("demo-prepare-1")
    slow(w, w.runner, "start", 0.5)
    slow(w, w.runner, "stop", 0.5)
    while len(w.runner.started) < 15:
        assert bounded(w).actions, "so that the next round follows at once"
    w.store.change(cancel_requested=True)
    begun = len(w.runner.started)
    while bounded(w).actions:
        assert len(w.runner.started) == begun
    assert len(w.stopping) == begun - 1


def test_the_end_of_many_jobs_at_once_is_written_in_bounded_rounds() -> None:
    w = prepared(trials=30, parallelism=30)
    for name in w.live():
        w.succeed(name)
    slow(w, w.store, "record_attempt", 0.3)
    slow(w, w.runner, "remove", 0.3)
    told: list[Action] = []
    loop = w.new_loop(on_done=lambda action, before: told.append(action))
    loops, key, rounds = StudyLoops(lambda key: loop, resync=7.0), Key("", "demo"), 0
    after: float | None = 0.0
    while after is not None:
        turn, rounds = w.turn(), rounds + 1
        after = loops.reconcile(key, turn)
        assert turn.seconds <= 5
    assert w.store.study.phase is Phase.SUCCEEDED
    assert rounds > 3
    recorded = [action.job.name for action in told if isinstance(action, Record)]
    assert sorted([*recorded, "demo-prepare-1"]) == sorted(w.store.written)
    assert sum(isinstance(action, SetPhase) for action in told) == 1, (
        "told of when it is done, not when it is planned"
    )


def test_many_reports_at_once_are_judged_in_bounded_rounds_that_begin_trials_too() -> None:
    w = prepared(trials=60, parallelism=40)
    trials = w.trials[512]
    for number in range(40):
        w.run(f"demo-512-{number}-1")
        trials.report(number, 1, 0.1)
    trials.hopeless = {35}
    w.succeed("demo-512-39-1")
    asked: list[int] = []
    judge = trials.should_prune
    trials.should_prune = lambda record: asked.append(record.number) or judge(record)
    slow(w, trials, "should_prune", 0.3)
    bounded(w)
    assert "demo-512-40-1" in w.live(), "in the first round, whatever the pruner takes"
    for _ in range(20):
        bounded(w)
    assert sorted(asked) == list(range(39)), "each once"
    assert trials.all[35].state is TrialState.PRUNED


def changed_pod(w: World, **changes) -> None:
    """Change what a study asks of its pods, as `kubectl edit` does."""
    w.spec = w.spec.model_copy(update={"pod": w.spec.pod.model_copy(update=changes)})
    w.store.set_spec(w.spec)
    for trials in w.trials.values():
        trials.spec = w.spec


def test_a_change_of_the_pods_reaches_jobs_that_wait_and_no_others() -> None:
    w = prepared()
    w.run("demo-512-0-1")
    running, waiting = w.job("demo-512-0-1"), w.job("demo-512-1-1")
    changed_pod(w, memory="7Gi", image="repaired:2")
    w.settle()
    assert w.job("demo-512-0-1") == running
    new = w.job("demo-512-1-1")
    assert new.uid != waiting.uid
    order = w.runner.orders[new.name]
    assert (order.attempt, order.spec.pod.image, order.resources.memory_bytes) == (1, "repaired:2", 7 * 2**30)
    assert [job for job in w.store.written if "prepare" not in job] == [], "no attempt has ended"
    w.spec = w.spec.model_copy(update={"trials": 3})
    w.store.set_spec(w.spec)
    w.settle()
    assert w.job("demo-512-1-1").uid == new.uid, "other changes are none of the pods"


def test_an_upgrade_reaches_jobs_that_wait_and_no_others() -> None:
    w = prepared()
    w.run("demo-512-0-1")
    running, waiting = w.job("demo-512-0-1"), w.job("demo-512-1-1")
    w.runner.image = "trial:2"
    w.new_loop()
    w.settle()
    assert w.job("demo-512-0-1") == running
    new = w.job("demo-512-1-1")
    assert (new.uid != waiting.uid, new.attempt) == (True, 1)
    assert [job for job in w.store.written if "prepare" not in job] == [], "no attempt has ended"


def test_a_preparation_that_waits_is_replaced_too() -> None:
    w = world()
    w.settle()
    old = w.job("demo-prepare-1")
    w.runner.sync()
    w.runner.lagging = True  # the deletion is not seen yet
    changed_pod(w, node_selector={"zone": "b"})
    w.settle()
    assert w.job("demo-prepare-1").uid != old.uid
    assert len(w.runner.started) == 2
    w.runner.lagging = False
    w.settle()
    assert len(w.runner.started) == 2
