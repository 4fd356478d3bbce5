"""Studies from the command line: submit, Ctrl-C, resume, cancel, delete. Trials are stand-ins without training."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coref_k8s.controller.view import StudyView
from coref_k8s.local.session import LocalSession
from coref_k8s.settings import Settings
from coref_k8s.telemetry.bus import Bus
from tests.cli.program import without_training

PROGRAM = Path(__file__).with_name("program.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a small model's config and a text, and trials that take no training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in (
        "COREF_DATA_DIR",
        "COREF_STORAGE_URL",
        "COREF_BUS",
        "KUBERNETES_SERVICE_HOST",
        "LANG",
        "LC_ALL",
    ):
        monkeypatch.delenv(name, raising=False)
    Path("texts").mkdir()
    for number in range(5):  # one for each split at least
        Path(f"texts/{number}.txt").write_text(f"{number}번째 글이다. " * 40, encoding="utf-8")
    Path("model").mkdir()
    sizes = {
        "model_type": "deberta-v2",
        "num_hidden_layers": 1,
        "hidden_size": 64,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "vocab_size": 99,
    }
    Path("model/config.json").write_text(json.dumps(sizes))
    Path("model/model.safetensors").touch()
    before = dict(LocalSession.__init__.__kwdefaults__ or {})
    without_training()
    yield tmp_path
    LocalSession.__init__.__kwdefaults__.update(before)


SUBMIT = (
    "submit", "--local", "--seq-lengths", "512", "--trials", "2", "--model", "model", "--parallelism", "2",
    "--sampler", "random", "--set", "data.sources=[{source: texts}]", "--name", "one",
)  # fmt: skip


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(what: Callable[[], Any], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


def history() -> list[str]:
    path = Path("data/history")
    return path.read_text().splitlines() if path.exists() else []


def results() -> list[str]:
    return sorted(line.split()[0] for line in history() if " result " in line)


def status(coref: Any) -> StudyView:
    return StudyView.from_json(coref("status", "one", "-o", "json").out)


def test_submit_runs_to_the_end_and_says_what_is_best(coref: Any, place: Path) -> None:
    answer = coref(*SUBMIT[:-2], "--seq-lengths", "1024", "--name", "one")
    assert answer.code == 0, answer.err
    assert "512 tokens: trial" in answer.out
    assert "1024 tokens: trial" in answer.out
    assert "weight_decay" in answer.out
    assert "data/studies/one/512/" in answer.out
    assert "\n  coref-k8s results one  " in answer.err
    assert "model: data/studies/one/" in answer.out
    assert "complete: score" in answer.out  # the view's lines in a pipe
    assert "\x1b" not in answer.out
    assert len(results()) == 4
    again = coref(*SUBMIT)
    assert again.code == 2
    assert "coref-k8s resume one" in again.err
    assert again.err.count("\n") == 1
    finished = coref("resume", "one")
    assert finished.code == 2
    assert "has succeeded" in finished.err


def test_a_failed_study_ends_with_its_reason_and_a_code(coref: Any, place: Path) -> None:
    Path("data").mkdir()
    Path("data/crash-prepare").write_text("42")
    answer = coref(*SUBMIT)
    assert answer.code == 1
    assert "DataError: no text is left" in answer.err
    assert "coref-k8s resume one" in answer.err
    Path("data/crash-prepare").unlink()
    assert coref("resume", "one").code == 0
    assert len(results()) == 2


def test_a_deleted_study_is_gone(coref: Any, place: Path) -> None:
    """A new one of its name neither shows nor counts what the first one did, whoever wrote that down."""
    for trial in range(2):
        Path("data").mkdir(exist_ok=True)
        Path(f"data/crash-512-{trial}").write_text("42")
    failed = coref(*SUBMIT)
    assert failed.code == 1
    assert failed.out.count("failed: ") == 2
    bus = Path("data/coref_automl_bus.ndjson")
    events = [json.loads(line) for line in bus.read_text().splitlines()]
    assert len({event["study_uid"] for event in events}) == 1
    # as a program of 0.1 leaves them
    bus.write_text("".join(json.dumps({k: v for k, v in e.items() if k != "study_uid"}) + "\n" for e in events[-2:])
                   + bus.read_text())  # fmt: skip
    assert coref("delete", "one", "--yes").code == 0
    for trial in range(2):
        Path(f"data/crash-512-{trial}").unlink()
    again = coref(*SUBMIT)
    assert again.code == 0, again.err
    assert "failed" not in again.out
    assert again.out.count("complete: score") == 2


def test_a_port_that_is_taken_is_said_before_there_is_a_study(coref: Any, place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = coref(*SUBMIT, "--metrics-port", str(port))
        assert answer.code == 2
        assert (
            answer.err == f"coref-k8s: --metrics-port {port}: Address already in use; choose another port\n"
        )
    assert not (place / "data").exists()


def test_ctrl_c_leaves_a_study_that_resume_finishes(coref: Any, place: Path) -> None:
    Path("data").mkdir()
    Path("data/hold").touch()
    program = start(*SUBMIT)
    wait_for(lambda: sum("begins" in line for line in history()) >= 3)
    assert status(coref).phase == "Running"
    refused = coref("resume", "one")
    assert refused.code == 2
    assert f"process {program.pid}" in refused.err
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=30)
    assert program.returncode == 130
    assert "coref-k8s resume one goes on" in err
    assert "Traceback" not in err
    told = coref("status", "one")
    assert told.out.startswith("one  Interrupted")
    assert "coref-k8s resume one goes on with it" in told.err
    Path("data/hold").unlink()
    with Bus(Settings.from_env().bus) as bus:
        bus.emit("warning", study="one", message="said when it was started")
    resumed = coref("resume", "one")
    assert resumed.code == 0
    assert "Succeeded" in resumed.out
    assert "said when it was started" not in resumed.out
    assert results() == sorted(set(results()))
    assert len(results()) == 2


def test_kill_9_loses_nothing(coref: Any, place: Path) -> None:
    Path("data").mkdir()
    Path("data/slow").write_text("0.1")
    program = start(*SUBMIT)
    wait_for(results)
    os.kill(program.pid, signal.SIGKILL)
    program.communicate(timeout=30)
    assert coref("resume", "one").code == 0
    assert results() == sorted(set(results()))
    assert len(results()) == 2


def test_cancel_from_another_terminal_ends_the_study(coref: Any, place: Path) -> None:
    Path("data").mkdir()
    Path("data/hold").touch()
    program = start(*SUBMIT)
    wait_for(lambda: sum("begins" in line for line in history()) >= 3)
    answer = coref("cancel", "one")
    assert answer.code == 0
    assert "cancelled" in answer.out
    _, err = program.communicate(timeout=30)
    assert program.returncode == 1
    assert "cancelled" in err
    again = coref("cancel", "one")
    assert again.code == 2
    assert "has ended already (Cancelled)" in again.err


def test_cancel_works_when_nobody_runs_the_study(coref: Any, place: Path) -> None:
    Path("data").mkdir()
    Path("data/hold").touch()
    program = start(*SUBMIT)
    wait_for(lambda: sum("begins" in line for line in history()) >= 3)
    os.kill(program.pid, signal.SIGKILL)
    program.communicate(timeout=30)
    assert coref("cancel", "one").code == 0
    assert status(coref).phase == "Cancelled"


def test_delete_asks_and_removes_everything(coref: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert coref(*SUBMIT).code == 0
    refused = coref("delete", "one")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert coref("delete", "one", "--yes").code == 0
    assert json.loads(coref("list", "-o", "json").out) == []
    assert not Path("data/studies/one").exists()
    assert not Path("data/jobs/one").exists()
    assert coref("delete", "one", "--yes").code == 1
    # the name is free again, with all its trials to run
    assert coref(*SUBMIT).code == 0
    assert status(coref).done == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model", "./none"], "there is no model in ./none"),
        (["--model", "no/such-model"], "model 'no/such-model' is not a folder here"),
        (["--set", "data.sources=[{source: ./none.txt}]"], "no source of text can be read: ./none.txt: no such file"),
        (["--dataset-choice", "prepared/none"], "there are no prepared data in prepared/none"),
        (["--storage", "mysql://x/y"], "storage 'mysql://x/y' is not a database"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_said_before_anything_is_created(
    coref: Any, place: Path, arguments: list[str], sentence: str
) -> None:
    own = [argument for argument in SUBMIT if argument not in ("--name", "one")]
    for name in ("--model", "--set"):
        if name in arguments:
            at = own.index(name)
            del own[at : at + 2]
    answer = coref(*own, *arguments)
    assert answer.code in (1, 2)
    assert sentence in answer.err
    assert answer.err.count("\n") == 1
    assert not Path("data").exists()


def test_a_missing_source_is_a_warning_while_another_is_left_and_a_name_is_made_up(
    coref: Any, place: Path
) -> None:
    own = list(SUBMIT[:-2])
    own[own.index("data.sources=[{source: texts}]")] = "data.sources=[{source: texts}, {source: ./none}]"
    answer = coref(*own, "--gpus", "0", "--max-gpu-hours", "1")
    assert answer.code == 0
    assert "warning: source ./none will be left out" in answer.err
    assert "warning: a limit of GPU-hours never ends a study without GPUs (--gpus 0)" in answer.err
    (name,) = [study["name"] for study in json.loads(coref("list", "-o", "json").out)]
    assert name.startswith("coref-2")
    assert name in answer.err


def test_without_a_cluster_submit_says_how_to_run_here(coref: Any, place: Path) -> None:
    answer = coref("submit", "--seq-lengths", "1024", "2048")
    assert answer.code == 1
    assert "no Kubernetes cluster is configured" in answer.err
    assert "--local" in answer.err


def test_a_study_starts_from_another_ones_best(coref: Any, place: Path) -> None:
    def begun(name: str, *more: str) -> Any:
        return coref(*SUBMIT[:-1], name, *more)

    missing = begun("two", "--warm-start-from", "one")
    assert missing.code == 2
    assert "search.warmStartFrom: there is no study 'one'" in missing.err
    assert missing.err.count("\n") == 1
    assert begun("one").code == 0
    # with another seed the random sampler itself would draw something else
    assert begun("two", "--warm-start-from", "one", "--seed", "7").code == 0
    one, two = (StudyView.from_json(coref("status", name, "-o", "json").out) for name in ("one", "two"))
    best = [trial.params for trial in one.lengths[0].ranked]
    assert [trial.params for trial in two.trials] == best
