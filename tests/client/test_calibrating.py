"""`calibrate`: what is measured of a small model on this machine, alone, killed half-way, and short of time."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from coref_k8s.client import calibrating
from coref_k8s.errors import StorageError
from coref_k8s.settings import Settings
from coref_k8s.sizing.calibration import Calibration, Parity, Point, shape_key
from coref_k8s.sizing.shape import shape_of
from coref_k8s.sizing.speed import Speed, Step, fitted
from coref_k8s.store import Store
from coref_k8s.study.reading import build_spec

ASKED = ("--seq-lengths", "128", "256", "--any-length", "--parallelism", "2")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import AutoTokenizer

    from coref_k8s.corpus.shipped import shipped_tokenizer
    from coref_k8s.model.small import create_small_model

    folder = tmp_path_factory.mktemp("models") / "small"
    create_small_model(
        folder, AutoTokenizer.from_pretrained(shipped_tokenizer()), hidden=64, intermediate=256
    )
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder of a machine without GPUs, whose locks are its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "locks").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", None)
    for name, value in (("TMPDIR", str(tmp_path / "locks")), ("CUDA_VISIBLE_DEVICES", "")):
        monkeypatch.setenv(name, value)
    yield
    tempfile.tempdir = None


def kept() -> list[Calibration]:
    store = Store(Settings.from_env().storage_url)
    try:
        return store.calibrations()
    finally:
        store.close()


def test_what_is_measured_is_kept_and_shown(coref, model):
    said = coref("calibrate", *ASKED, "--model", model, "--deadline", "900")
    assert said.code == 0, said.err
    (found,) = kept()
    assert found.complete
    assert {(p.seq_len, p.path, p.checkpointing) for p in found.points} == {
        (length, path, again)
        for length in (128, 256)
        for path, again in (("blocked", False), ("blocked", True), ("eager", False))
    }
    assert all(p.agrees for p in found.parities)
    assert {p.seq_len for p in found.parities} == {128, 256}
    assert 0 < found.error < 0.5
    assert 0.5 < found.factor < 2
    assert found.speed is not None
    assert 0.05 < found.speed.forward < 0.9
    assert f"{found.device}, " in said.out
    assert "agrees" in said.out
    # what was found before stays as it is, and is shown
    shown = json.loads(coref("calibrate", "show", "-o", "json").out)
    assert [one["device"] for one in shown] == [found.device]
    assert shown[0]["speed"]["linear"] == pytest.approx(found.speed.linear)
    assert f"coref-k8s plan --local --model {model} --seq-lengths 128 256 --any-length" in said.err
    assert " 1 × 3 " in said.out, "a step of three passes looks like no other"
    # measured again, it takes the place of what was there
    coref("calibrate", *ASKED, "--model", model, "--deadline", "1")
    (again,) = kept()
    assert not again.complete
    assert again.measured_at > found.measured_at
    # what it did not come to stays as it was measured before
    assert {one.measures for one in again.points} == {one.measures for one in found.points}
    assert again.paths == found.paths
    assert "The deadline left no time" in str(again.notes[-1])
    # of another task `plan` would not rest on it
    other = coref(
        "calibrate", *ASKED, "--model", model, "--task", "coreference", "--set", "training.precision=fp32", "--deadline", "1"
    )  # fmt: skip
    assert "plan --local --task coreference --model " in other.err
    assert "--set training.precision=fp32" in other.err


def test_nothing_was_measured(coref):
    said = coref("calibrate", "show")
    assert (said.code, said.out.strip()) == (0, "Nothing was measured yet.")
    assert not Path("data").exists()


def test_another_one_is_waited_for_and_named(coref, model):
    with open("locks/coref-k8s-calibrate-cpu.lock", "w", encoding="utf-8") as other:
        other.write("4711")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        said = coref("calibrate", *ASKED, "--model", model, "--deadline", "1")
    assert said.code == 2
    assert "waiting until it has ended" in said.err
    assert "process 4711 measures on cpu" in said.err


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=["killed", "interrupted", "told to end"]
)
def test_one_that_is_ended_keeps_what_it_has_and_leaves_nobody_behind(model, number):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    # a shell's background jobs ignore Ctrl-C, and what they start does too
    program = """import signal; from coref_k8s.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler); main()"""
    command = [sys.executable, "-c", program, "calibrate", *ASKED, "--model", str(model)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "s a step" in line:
                break
        (child,) = children(process.pid)
        process.send_signal(number)
        process.wait(60)
        assert process.returncode != 0
    end = time.monotonic() + 30
    while Path(f"/proc/{child}").exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert not Path(f"/proc/{child}").exists()
    (found,) = kept()
    assert found.points
    assert not found.complete


def line(kind: str, **facts: Any) -> dict[str, Any]:
    return {"kind": kind, **facts}


def point(batch: int, seconds: float) -> dict[str, Any]:
    step = {"seq_len": 128, "batch": batch, "passes": 1, "checkpointing": False, "path": "blocked"}
    return line("point", **step, seconds=seconds)


class Forgetful(Store):
    """A database that goes away, and comes back or does not."""

    away: ClassVar[Iterator[bool]]

    def keep_calibration(self, found: Calibration) -> None:
        if next(self.away):
            raise StorageError("store.no-answer", url="x", detail="disk full", check="it")
        super().keep_calibration(found)


def measuring(
    monkeypatch, away: list[bool], lines: list[dict[str, Any]]
) -> tuple[Store, Callable[[], Calibration], list[str]]:
    """A database that is away at those attempts to write, and what measures with it, telling what it is told."""
    Forgetful.away = iter([*away, *[away[-1]] * 99])
    monkeypatch.setattr(calibrating, "measured_lines", lambda *_, memory, **__: iter([] if memory else lines))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    Path("data").mkdir()
    settings = Settings.from_env()
    store, told = Forgetful(settings.storage_url), []
    backend: Any = SimpleNamespace(settings=settings, session=SimpleNamespace(store=store))
    spec = build_spec(seq_lengths=[128], any_length=True, pod={"gpus": 0})
    return store, lambda: calibrating.calibrate(backend, spec, 60.0, lambda one: told.append(str(one))), told


LINES = [
    line("path", path="blocked", precision="fp32"),
    point(1, 0.5),
    point(8, 2.0),
    point(1, 0.4),
    line("end", left_out=0),
]


def test_a_database_that_goes_away_meanwhile_is_waited_for(monkeypatch):
    store, run, told = measuring(monkeypatch, [False, True, True, True, False], LINES)
    found = run()
    assert [one.seconds for one in found.points] == [
        2.0,
        0.4,
    ]  # measured again, it takes the place of the first
    assert store.calibrations() == [found]
    assert sum("disk full" in one for one in told) == 1
    store.close()


def test_one_that_is_not_there_is_said_at_the_beginning_and_one_that_stays_away_at_the_end(monkeypatch):
    store, run, told = measuring(monkeypatch, [True], LINES)
    with pytest.raises(StorageError, match="disk full"):
        run()
    assert not told
    Forgetful.away = iter([False, *[True] * 99])
    with pytest.raises(StorageError, match="disk full"):
        run()
    (kept,) = store.calibrations()
    assert [one.seconds for one in kept.points] == [0.5]
    assert not kept.complete
    store.close()


def test_nothing_is_kept_of_one_that_had_no_time(monkeypatch):
    store, run, _ = measuring(monkeypatch, [False], [LINES[0], line("end", left_out=9)])
    assert "no time" in str(run().notes[-1])
    assert not store.calibrations()
    store.close()


def children(process: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


SHAPE = shape_of("kakaobank/kf-deberta-base")
TRUE = Speed(fixed=0.02, linear=2e-12, square=5e-12, again=2.5e-12, update=0.03)


def timed(*steps: Step) -> list[tuple[Step, float]]:
    return [(step, TRUE.seconds(step, SHAPE)) for step in steps]


def test_a_speed_is_found_from_steps_that_tell_its_parts_apart():
    known = timed(
        *(
            Step(n, b, p, c)
            for n in (512, 2048)
            for b, p, c in ((1, 1, False), (8, 1, False), (1, 3, False), (4, 1, True))
        )
    )
    found = fitted(known, SHAPE)
    for step, seconds in timed(Step(1024, 4), Step(1536, 2, 4), Step(2048, 1, 8, True), Step(512, 32)):
        assert found.seconds(step, SHAPE) == pytest.approx(seconds, rel=0.03)


def test_one_step_says_how_long_others_take_as_far_as_work_goes():
    found = fitted(timed(Step(1024, 4)), SHAPE)
    assert min(found.fixed, found.linear, found.square, found.again, found.update) >= 0
    assert found.seconds(Step(1024, 4), SHAPE) == pytest.approx(TRUE.seconds(Step(1024, 4), SHAPE), rel=0.01)
    assert found.seconds(Step(1024, 8), SHAPE) == pytest.approx(TRUE.seconds(Step(1024, 8), SHAPE), rel=0.2)


def measured(**more) -> Calibration:
    """What might have been measured of kf-deberta-base on some processor."""
    points = [
        Point(s.seq_len, s.batch, s.passes, s.checkpointing, "blocked", seconds)
        for s, seconds in timed(
            Step(512, 1), Step(512, 8), Step(512, 1, 3), Step(2048, 1), Step(2048, 4), Step(2048, 4, 1, True)
        )
    ]
    eager = [replace(point, path="eager", seconds=2 * point.seconds) for point in points]
    known = {
        "device": "some processor",
        "gpu": False,
        "memory": 2**34,
        "threads": 1,
        "driver": "",
        "versions": {"torch": "2.9"},
        "model": "kakaobank/kf-deberta-base",
        "task": "mentions",
        "precision": "fp32",
        "asked": "fp32",
        "shape": shape_key(SHAPE),
        "measured_at": datetime.now(UTC),
        "complete": True,
        "points": (*points, *eager),
    }
    return Calibration(**{**known, **more})


def test_a_path_that_does_not_agree_is_off_with_the_reason(coref):
    found = measured()
    off = replace(found, parities=(Parity("blocked", 256, "bf16", 0.3, 0.01),))
    assert (found.path, off.path) == ("blocked", "eager")
    step = Step(1024, 2)
    assert off.speed.seconds(step, SHAPE) == pytest.approx(2 * found.speed.seconds(step, SHAPE), rel=0.05)
    Path("data").mkdir()
    store = Store(Settings.from_env().storage_url)
    store.keep_calibration(off)
    store.close()
    said = " ".join(coref("calibrate", "show").out.split())
    assert "attention path blocked is off on some processor" in said
    assert "at 256 tokens in bf16 it differs from Hugging Face's by 3.0e-01, more than 1.0e-02" in said
