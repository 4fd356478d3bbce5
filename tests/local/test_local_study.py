"""Whole studies on this machine, with real processes, a real database and things that go wrong."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from coref_k8s.controller.view import read_view
from coref_k8s.errors import NotFoundError, RequestError
from coref_k8s.local.session import LocalSession
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.search.storage import open_storage
from coref_k8s.search.trials import read_trials
from coref_k8s.store import Outcome, Phase
from coref_k8s.study.reading import build_spec
from coref_k8s.study.spec import StudySpec
from tests.local.run_study import reporting_session, session

CONTROLLER = Path(__file__).parent / "run_study.py"
HERE = Path(__file__).parents[2]


def spec(**changes) -> StudySpec:
    values = {
        "seq_lengths": [512],
        "trials": 2,
        "parallelism": 2,
        "search": {"sampler": "random", "pruner": "none"},
        "limits": {"retries": 1},
    }
    return build_spec(**{**values, **changes})


@pytest.fixture
def local(tmp_path: Path) -> LocalSession:
    return session(tmp_path)


def trials(local: LocalSession, seq_len: int = 512, name: str = "demo") -> list[TrialRecord]:
    return read_trials(open_storage(local.settings.storage_url), name, seq_len)


def history(local: LocalSession) -> list[str]:
    path = local.settings.data_dir / "history"
    return [line.rpartition(" ")[0] for line in path.read_text().splitlines()] if path.exists() else []


def until(look: Callable[[], object], seconds: float = 180.0) -> None:
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, f"waited in vain for {look}"
        time.sleep(0.02)


def put(local: LocalSession, name: str, text: object = "") -> Path:
    path = local.settings.data_dir / name
    path.write_text(str(text))
    return path


def check_whole(local: LocalSession, expected: int) -> None:
    """Every trial is complete, was finished once, and no step of it was done twice."""
    found = trials(local)
    assert [t.state for t in found] == [TrialState.COMPLETE] * expected
    counts = Counter(line for line in history(local))
    results = [line for line in counts.elements() if line.endswith(" result")]
    per_trial = Counter(re.sub(r"-\d+ result$", "", line) for line in results)
    assert set(per_trial) == {f"demo-512-{n}" for n in range(expected)}
    assert set(per_trial.values()) == {1}


def test_a_study_from_submit_to_the_best_trial(local: LocalSession) -> None:
    put(local, "slow", 0.3)
    local.submit("demo", spec(seq_lengths=[512, 1024], trials=2))
    seen = []
    result = local.run("demo", on_progress=seen.append)
    study = result.study
    assert (study.phase, str(study.message), result.interrupted) == (Phase.SUCCEEDED, "", False)
    assert (study.prepared, study.statistics) == ("prepared/abc", {"documents": 3})
    assert study.started_at <= study.finished_at
    for seq_len in (512, 1024):
        found = trials(local, seq_len)
        assert [t.state for t in found] == [TrialState.COMPLETE] * 2
        assert [t.intermediate.keys() for t in found] == [{1, 2, 3, 4}] * 2
    last = result.progress
    assert [(n.seq_len, n.planned, n.complete, n.running) for n in last.lengths] == [
        (512, 2, 2, 0),
        (1024, 2, 2, 0),
    ]
    assert last.lengths[0].best.value == max(t.value for t in trials(local))
    phases = list(dict.fromkeys(p.phase for p in seen))
    assert phases == [Phase.PENDING, Phase.PREPARING, Phase.RUNNING, Phase.SUCCEEDED]
    assert any(p.running and p.running[0].step for p in seen)
    # the ladder: the longer length begins when half of the shorter one's trials are done
    lines = history(local)
    assert lines.index("demo-1024-0-1 begins") > min(
        i for i, x in enumerate(lines) if "-512-" in x and x.endswith(" result")
    )
    attempts = local.store.attempts("", "demo")
    assert Counter(a.outcome for a in attempts) == {Outcome.SUCCEEDED: 5}
    assert local.runner().list("demo") == []
    events = [json.loads(line) for line in local.settings.bus.read_text().splitlines()]
    assert [e["section"] for e in events] == ["study_begin", "study_end"]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_study_whose_trials_report_for_themselves(
    tmp_path: Path, monkeypatch, new_database: Callable[[str], str], kind: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    local = reporting_session(tmp_path, new_database(kind))
    local.submit("demo", spec())
    result = local.run("demo")
    assert (result.study.phase, str(result.study.message)) == (Phase.SUCCEEDED, "")
    assert [(t.state, t.metrics["coref_f1"]) for t in trials(local)] == [
        (TrialState.COMPLETE, t.value) for t in trials(local)
    ]
    assert len(local.store.attempts("", "demo")) == 3
    local.delete("demo")
    assert trials(local) == []


def test_a_trial_that_crashes_fails_alone_with_its_reason_and_log(local: LocalSession) -> None:
    put(local, "crash-512-0", 1)
    local.submit("demo", spec())
    result = local.run("demo")
    assert result.study.phase is Phase.SUCCEEDED
    failed, good = trials(local)
    assert (failed.state, good.state) == (TrialState.FAILED, TrialState.COMPLETE)
    assert "exit code 1" in str(failed.reason)
    assert "2 starts" in str(failed.reason)
    assert str(failed.reason).endswith("ValueError: this trial was told to fail")
    (attempt,) = local.store.attempts("", "demo", seq_len=512, trial=0, logs=True)
    assert (attempt.outcome, attempt.exit_code, attempt.retries) == (Outcome.FAILED, 1, 1)
    assert "ValueError: this trial was told to fail" in attempt.log_tail
    assert any("told to fail" in line for line in local.runner().logs("demo-512-0-1"))
    events = [json.loads(line) for line in local.settings.bus.read_text().splitlines()]
    assert [e["trial"] for e in events if e["section"] == "trial_end"] == [0]


def test_a_passing_crash_and_a_memory_tier_end_well(local: LocalSession) -> None:
    put(local, "crash-512-0", "1 once")
    put(local, "crash-512-1", "43 once")
    local.submit("demo", spec())
    local.run("demo")
    check_whole(local, 2)
    assert [a.outcome for a in local.store.attempts("", "demo", seq_len=512, trial=0)] == [Outcome.SUCCEEDED]
    first, second = local.store.attempts("", "demo", seq_len=512, trial=1)
    assert (first.outcome, first.tier, second.outcome, second.tier) == (
        Outcome.OUT_OF_MEMORY,
        0,
        Outcome.SUCCEEDED,
        1,
    )


def test_too_many_failed_trials_end_the_study_and_resume_goes_on(local: LocalSession) -> None:
    for trial in range(3):
        put(local, f"crash-512-{trial}", 42)
    local.submit("demo", spec(trials=4, parallelism=1, limits={"max_failed_trials": 1}))
    result = local.run("demo")
    assert result.study.phase is Phase.FAILED
    assert str(result.study.message).startswith(
        "2 trials failed, which exceeds limits.maxFailedTrials (1); the last one: cannot run as requested"
    )
    assert len(trials(local)) == 2
    # nothing changes by itself
    assert local.run("demo").study.phase is Phase.FAILED
    result = local.run("demo", resume=True)
    assert result.study.phase is Phase.SUCCEEDED
    # those that failed before have given their places back: four count
    assert [t.state for t in trials(local)] == [TrialState.FAILED] * 3 + [TrialState.COMPLETE] * 3
    view = read_view(local.store, "", "demo")
    assert (view.done, view.lengths[0].counts[TrialState.FAILED]) == (4, 3)


def test_a_study_whose_only_trial_failed_is_resumed_when_the_cause_is_gone(local: LocalSession) -> None:
    crash = put(local, "crash-512-0", 42)
    local.submit("demo", spec(trials=1))
    assert local.run("demo").study.phase is Phase.FAILED
    crash.unlink()
    assert local.run("demo", resume=True).study.phase is Phase.SUCCEEDED
    first, second = trials(local)
    assert (first.state, second.state) == (TrialState.FAILED, TrialState.COMPLETE)


def test_a_preparation_that_fails_is_the_studys_failure(local: LocalSession) -> None:
    crash = put(local, "crash-prepare", 42)
    local.submit("demo", spec())
    study = local.run("demo").study
    assert study.phase is Phase.FAILED
    assert str(study.message).startswith("preparation failed: cannot run as requested (exit code 42): ")
    assert "no text is left" in str(study.message)
    crash.unlink()
    assert local.run("demo", resume=True).study.phase is Phase.SUCCEEDED


def test_a_trial_without_a_gpu_that_holds_it_is_refused_by_name(local: LocalSession) -> None:
    local.submit("demo", spec(gpu_memory_gb=0.1))
    study = local.run("demo").study
    assert study.phase is Phase.FAILED
    assert str(study.message) == "no trial is complete"
    assert "does not hold one sequence of 512 tokens" in str(trials(local)[0].reason)


def test_cancelling_stops_what_runs_and_resume_continues_it(local: LocalSession) -> None:
    hold = put(local, "hold")
    local.submit("demo", spec())
    process = start_controller(local)
    until(lambda: len([t for t in trials(local) if t.open]) == 2)
    until(lambda: sum("-512-" in line for line in history(local)) == 2)
    cancelled = local.cancel("demo")
    process.communicate(timeout=60)
    assert cancelled.phase in (Phase.RUNNING, Phase.CANCELLED)
    study = local.store.get_study("", "demo")
    assert (study.phase, str(study.message)) == (Phase.CANCELLED, "cancelled on request")
    assert local.runner().list("demo") == []
    assert [t.state for t in trials(local)] == [TrialState.RUNNING] * 2
    hold.unlink()
    local.run("demo", resume=True)
    check_whole(local, 2)
    assert local.cancel("demo").phase is Phase.SUCCEEDED


def test_a_study_nobody_runs_can_be_cancelled_and_deleted(local: LocalSession) -> None:
    local.submit("demo", spec())
    assert local.cancel("demo").phase is Phase.CANCELLED
    local.delete("demo")
    with pytest.raises(NotFoundError):
        local.run("demo")
    assert trials(local) == []
    assert not (local.settings.data_dir / "studies" / "demo").exists()


def start_controller(local: LocalSession, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(CONTROLLER), str(local.settings.data_dir), "demo", *arguments],
        env={**os.environ, "PYTHONPATH": str(HERE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_controllers_of_one_study_are_refused(local: LocalSession) -> None:
    hold = put(local, "hold")
    local.submit("demo", spec(trials=1))
    process = start_controller(local)
    until(lambda: any("-512-" in line for line in history(local)))
    for attempt in (lambda: local.run("demo"), lambda: local.delete("demo")):
        with pytest.raises(RequestError, match=f"run by process {process.pid} already"):
            attempt()
    second = start_controller(local)
    _, words = second.communicate(timeout=60)
    assert second.returncode == 1
    assert words.count("\n") == 1
    hold.unlink()
    out, err = process.communicate(timeout=60)
    assert out.strip() == "Succeeded False", err
    check_whole(local, 1)


def test_ctrl_c_leaves_checkpoints_and_resume_goes_on_from_them(local: LocalSession) -> None:
    put(local, "slow", 0.2)
    local.submit("demo", spec())
    process = start_controller(local)
    until(lambda: sum(" step 1" in line for line in history(local)) == 2)
    hold = put(local, "hold")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert out.strip() == "Running True", err
    assert local.runner().list("demo") == []
    attempts = [a for a in local.store.attempts("", "demo") if a.trial is not None]
    assert [a.outcome for a in attempts] == [Outcome.STOPPED] * 2
    hold.unlink()
    local.run("demo", resume=True)
    check_whole(local, 2)
    steps = Counter(re.sub(r"(demo-512-\d+)-\d+", r"\1", x) for x in history(local) if " step " in x)
    # no work is repeated but the step that was interrupted
    assert sum(steps.values()) <= 8 + 2
    assert {a.attempt for a in local.store.attempts("", "demo", seq_len=512)} == {1, 2}


def supervised(local: LocalSession) -> list[dict]:
    found = []
    for path in (local.settings.data_dir / "jobs" / "demo").glob("*/status.json"):
        try:
            found.append(json.loads(path.read_text()))
        except FileNotFoundError:
            continue
    return found


@pytest.mark.parametrize("victims", ["controller", "controller supervisors", "controller trials", "all"])
def test_kill_9_loses_and_repeats_nothing(local: LocalSession, victims: str) -> None:
    put(local, "slow", 0.2)
    local.submit("demo", spec(trials=3))
    process = start_controller(local)
    until(lambda: sum(" step 2" in line for line in history(local)) >= 2)
    kill(process.pid)
    process.communicate()
    for status in supervised(local):
        if victims in ("controller supervisors", "all"):
            kill(status["supervisor"])
        if victims in ("controller trials", "all"):
            kill(status["pid"])
    begun = {line for line in history(local) if line.endswith("begins")}
    if victims == "controller":
        # the trials do not notice; the next controller takes them over
        until(lambda: sum(line.endswith(" result") for line in history(local)) == 2)
        assert {line for line in history(local) if line.endswith("begins")} == begun
    result = local.run("demo", resume=True)
    assert result.study.phase is Phase.SUCCEEDED
    check_whole(local, 3)


def kill(pid: int | None) -> None:
    if pid is not None:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def test_kill_9_again_and_again_at_random_moments(local: LocalSession) -> None:
    draw, rounds = random.Random(7), 4
    put(local, "slow", 0.05)
    # a killed trial program has crashed as far as anybody can see: the same one may be hit in every round
    local.submit("demo", spec(trials=4, limits={"retries": rounds}))
    for _ in range(rounds):
        process = start_controller(local, "resume")
        target = len(history(local)) + draw.randint(1, 6)
        until(lambda: len(history(local)) >= target or process.poll() is not None)  # noqa: B023
        time.sleep(draw.uniform(0, 0.1))
        kill(process.pid)
        process.communicate()
        for status in supervised(local):
            kill(draw.choice([status["supervisor"], status["pid"], None]))
    local.run("demo", resume=True)
    check_whole(local, 4)
