"""A study begun on one machine goes on, is trained, joined, shown and used on another: they share a database and an S3 server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from coref_k8s.client.readable import events_of
from coref_k8s.corpus.shipped import shipped_tokenizer
from coref_k8s.model.small import create_small_model
from coref_k8s.study.paths import BUS_NAME
from tests.objectstore import BUCKET, Link, credentials

ROOT = Path(__file__).parents[2]
STEPS = 150
SUBMIT = [
    "submit", "--local", "--name", "there", "--task", "coreference", "--any-length", "--seq-lengths", "128", "--trials", "2",
    "--max-steps", str(STEPS), "--batch-size", "2", "--gpus", "0", "--parallelism", "1", "--sampler", "random", "--pruner", "none",
    "--set", "data.sources=[{source: 'people:12'}]", "--set", "training.evaluations=1",
    "--set", "search.space={head_epochs: {choices: [1]}}",
]  # fmt: skip
TEXT = "민수가 시장에 갔다. 시장에서 민수는 사과를 샀다. 민수는 사과를 먹었다."


@pytest.fixture
def second(tmp_path: Path, link: Link, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of a second machine; what the first one had is gone."""
    tokenizer = AutoTokenizer.from_pretrained(shipped_tokenizer())
    create_small_model(tmp_path / "hub", tokenizer, layers=1, hidden=32, heads=2, intermediate=32)
    for name in ("LANG", "LC_ALL", "COREF_BUS", "COREF_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "KUBECONFIG": tmp_path / "none",
        "PYTHONPATH": ROOT,
        "HF_HUB_OFFLINE": "1",
        "COREF_STORAGE_URL": f"sqlite:///{tmp_path / 'shared.db'}",
        "COREF_OBJECT_STORE": f"s3://{BUCKET}/elsewhere-{os.getpid()}",
        "COREF_OBJECT_STORE_SECRET": credentials(tmp_path / "secret", link.endpoint),
    }.items():
        monkeypatch.setenv(name, str(value))
    first = tmp_path / "first"
    first.mkdir()
    _interrupted(first, tmp_path / "hub")
    first.rename(tmp_path / "nobody-looks-here")
    (tmp_path / "second").mkdir()
    monkeypatch.chdir(tmp_path / "second")
    return tmp_path / "second/data"


def test_the_other_machine_goes_on_with_a_study(coref: Callable[..., Any], second: Path) -> None:
    answer = coref("resume", "there", "--local")
    assert answer.code == 0, answer.err + answer.out
    begun = [one for one in _bus(second) if one["section"] == "trial_begin"]
    assert [one["trial"] for one in begun] == [0, 1]
    assert 0 < begun[0]["step"] < STEPS  # from the checkpoint that the first machine has kept
    # its models are of use where only the store has them
    assert _forget_models(second)
    for arguments in (
        ("train", "there", "--local", "--from-best", "--set", "training.maxSteps=4"),
        ("ensemble", "there", "--local", "--top", "2"),
        ("report", "there", "--local", "--output", "there.html"),
        ("export", "there", "--local", "--output", "there.study"),
    ):
        answer = coref(*arguments)
        assert answer.code == 0, f"{arguments}: {answer.err}{answer.out}"
    assert "there" in Path("there.html").read_text(encoding="utf-8")
    Path("text.txt").write_text(TEXT, encoding="utf-8")
    for model in ("there/128/0", "there-final-128"):
        _forget_models(second)
        answer = coref("resolve", model, "text.txt", "--output", "json")
        assert answer.code == 0, f"{model}: {answer.err}{answer.out}"
        assert "민수" in answer.out
    # a third machine, which has the file alone
    answer = coref("import", "there.study", "--data-dir", "third", "--storage", "sqlite:///third.db")
    assert answer.code == 0, answer.err + answer.out


def _forget_models(data: Path) -> int:
    found = list((data / "studies").rglob("*.safetensors"))
    for path in found:
        path.unlink()
    return len(found)


def _interrupted(folder: Path, model: Path) -> None:
    """Run the study in a process of its own until its first trial trains, and end it as Ctrl-C does."""
    command = [sys.executable, "-m", "coref_k8s", *SUBMIT, "--model", str(model)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 300
        while not any(one["section"] == "train_step" for one in _bus(folder / "data")):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        process.wait(120)
    finally:
        with suppress(ProcessLookupError):
            process.kill()


def _bus(data: Path) -> list[dict[str, Any]]:
    path = data / BUS_NAME
    return events_of(path.read_text(encoding="utf-8").splitlines()) if path.exists() else []
