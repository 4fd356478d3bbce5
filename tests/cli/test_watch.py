"""`watch` and the dashboard on the bus file: plain lines in a pipe, the view on a terminal, two languages."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from coref_k8s import dashboard
from coref_k8s.cli import watching
from coref_k8s.local.lock import controller_lock
from coref_k8s.settings import Settings
from coref_k8s.store import Phase, Store
from coref_k8s.telemetry.bus import Bus


def write_bus(path: Path) -> None:
    with Bus(path) as bus:
        bus.emit("study_begin", study="tiny", seq_lengths=[512], trials=2)
        for trial, score in ((0, 0.25), (1, 0.75)):
            who = {"study": "tiny", "kind": "trial", "seq_len": 512, "trial": trial}
            bus.emit("trial_begin", **who, step=0, steps=4)
            bus.emit("eval_stream", **who, evaluation=1, step=4, score=score)
            bus.emit("trial_end", **who, outcome="complete", score=score)
        bus.emit("study_end", study="tiny", phase="succeeded")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    screen = io.StringIO()
    monkeypatch.setattr(watching, "out", Console(file=screen, force_terminal=True, width=100, height=40))
    return screen


def test_watch_in_a_pipe_is_a_line_an_event(coref: Callable[..., Any], study: str) -> None:
    store = Store(Settings.from_env().storage_url)
    store.set_phase("", study, Phase.SUCCEEDED)
    store.close()
    answer = coref("watch", study, "--lang", "en")
    assert answer.code == 0, answer.err
    assert "512 trial 1 complete: score 0.410" in answer.out
    assert "512 trial 2 failed: crashed (exit code 1)" in answer.out
    assert "\x1b" not in answer.out
    korean = coref("watch", study, "--lang", "ko")
    assert "512 트라이얼 1 완료: 점수 0.410" in korean.out


def test_watch_shows_the_study_that_was_named_however_many_began_after_it(
    coref: Callable[..., Any], study: str
) -> None:
    settings = Settings.from_env()
    store = Store(settings.storage_url)
    store.set_phase("", study, Phase.SUCCEEDED)
    uid = store.get_study("", study).uid
    store.close()
    with Bus(settings.bus) as bus:
        bus.emit("study_begin", study=study, study_uid=uid, seq_lengths=[512], trials=1)
        bus.emit("study_end", study=study, study_uid=uid, phase="succeeded")
        bus.emit("study_begin", study="later", seq_lengths=[1024], trials=1)
        bus.emit("trial_begin", study="later", kind="trial", seq_len=1024, trial=7, step=0, steps=4)
    answer = coref("watch", study, "--lang", "en")
    assert answer.code == 0, answer.err
    assert "study Succeeded" in answer.out
    assert "1024 trial 7" not in answer.out
    assert f"coref-k8s results {study}" in answer.err


def test_watch_sees_the_end_that_somebody_else_writes(
    coref: Callable[..., Any], study: str, monkeypatch: pytest.MonkeyPatch, terminal: io.StringIO
) -> None:
    store = Store(Settings.from_env().storage_url)

    def end(_: float) -> None:
        store.set_phase("", study, Phase.CANCELLED)
        with Bus(Settings.from_env().bus) as bus:
            bus.emit("warning", study=study, message="looked at")

    monkeypatch.setattr(time, "sleep", end)
    with controller_lock(Settings.from_env().data_dir, study):
        answer = coref("watch", study)
    store.close()
    assert answer.code == 0
    assert "Interrupted" not in answer.err + terminal.getvalue()
    assert "Cancelled" in terminal.getvalue()
    assert "best 0.410" in terminal.getvalue()


def test_watch_ends_where_nobody_works_and_says_how_to_go_on(
    coref: Callable[..., Any], study: str, terminal: io.StringIO
) -> None:
    """The process that ran it was killed, or its terminal was closed: no time is counted any more."""
    answer = coref("watch", study)
    assert answer.code == 0
    assert (
        "Interrupted: nobody works on it at the moment; coref-k8s resume sample goes on with it."
        in answer.err
    )
    seen = terminal.getvalue()
    assert "Interrupted" in seen
    assert " s" not in seen.splitlines()[0]  # of so many seconds
    for verb in ("status", "list"):
        told = coref(verb, *([study] if verb == "status" else []))
        assert "Interrupted" in told.out
        assert "Running" not in told.out
        assert "coref-k8s resume" in told.err
    head = coref("status", study).out.splitlines()[0]
    assert head == "sample  Interrupted on this machine"
    assert json.loads(coref("list", "-o", "json").out)[0]["interrupted"] is True
    assert "중단됨" in coref("status", study, "--lang", "ko").out


def test_an_unknown_study_is_one_sentence(coref: Callable[..., Any], study: str) -> None:
    answer = coref("watch", "sampel")
    assert answer.code == 1
    assert "did you mean 'sample'?" in answer.err


def test_the_dashboard_shows_the_bus(tmp_path: Path, terminal: io.StringIO) -> None:
    write_bus(tmp_path / "bus.ndjson")
    assert dashboard.main([str(tmp_path / "bus.ndjson"), "--lang", "ko"]) == 0
    shown = terminal.getvalue()
    for words in ("tiny", "완료", "512 토큰", "최고 0.750", "▁█", "최근 기록"):
        assert words in shown


def test_the_dashboard_shows_what_the_logs_of_a_cluster_say(
    tmp_path: Path, terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `coref-k8s logs NAME -f` prints them: each line behind its job's name, among lines that are no events."""
    write_bus(tmp_path / "bus.ndjson")
    lines = [
        line for line in (tmp_path / "bus.ndjson").read_text().splitlines() if '"study_begin"' not in line
    ]
    path = tmp_path / "logs"
    path.write_text("".join(f"512-0-1 | {line}\n512-0-1 | Downloading {{3 of 4}}\n" for line in lines[:-1]))
    waits = iter([lambda: None, lambda: path.write_text(f"{path.read_text()}{lines[-1]}\n")])
    monkeypatch.setattr(time, "sleep", lambda _: next(waits)())
    watching.watch_bus(path)
    shown = terminal.getvalue()
    assert "Running" in shown
    assert "best 0.750" in shown
    assert "study Succeeded" in shown


def test_the_dashboard_reads_what_is_piped_into_it(
    tmp_path: Path, terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bus(tmp_path / "bus.ndjson")
    lines = (tmp_path / "bus.ndjson").read_text().splitlines()
    # the logs of a cluster lack the study's end: the view ends with the pipe
    logs = "".join(f"512-0-1 | {line}\n" for line in lines if '"study_end"' not in line)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(logs.encode())))
    assert dashboard.main(["-", "--lang", "en"]) == 0
    shown = terminal.getvalue()
    assert "Running" in shown
    assert "best 0.750" in shown


def test_ctrl_c_only_ends_the_view(
    tmp_path: Path, terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bus.ndjson"
    stamp = datetime.now(UTC).isoformat()
    path.write_text(
        json.dumps({"ts": stamp, "section": "study_begin", "study": "x", "seq_lengths": [512], "trials": 1})
        + "\n"
    )

    def press(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", press)
    watching.watch_bus(path)
    assert "Running" in terminal.getvalue()


def test_no_bus_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        dashboard.main([str(tmp_path / "none")])
    assert "there is no event file yet" in capsys.readouterr().err
