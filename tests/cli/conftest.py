"""A study as a half-finished run leaves it in the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coref_k8s.cli.speech import speak
from coref_k8s.search.reporting import TrialReporter
from coref_k8s.search.storage import open_storage
from coref_k8s.search.studies import LengthStudy
from coref_k8s.settings import Settings
from coref_k8s.store import AttemptRecord, Outcome, Phase, Store
from coref_k8s.study.names import Kind
from coref_k8s.study.reading import build_spec
from coref_k8s.wording import Message

METRICS = {
    "score": 0.41, "coref_f1": 0.5, "coref_top5": 0.4, "coref_top5_gain": 0.3, "coref_top1": 0.2, "lbd_top1": 0.3,
    "lbd_top1_gain": 0.25, "coref_f1_ci_low": 0.45, "coref_f1_ci_high": 0.55, "seed_coref_f1": 0.6,
}  # fmt: skip


@pytest.fixture(autouse=True)
def english() -> None:
    """Speak English until a test or an option says otherwise."""
    speak("en")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the database in the data folder `data` of an empty working directory, without a cluster."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    for name in ("COREF_DATA_DIR", "COREF_STORAGE_URL", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    return Settings.from_env().storage_url


@pytest.fixture
def study(here: str) -> str:
    """Study `sample` in the data folder `data` of the working directory: 512 is done, 1024 is under way."""
    url = here
    spec = build_spec(seq_lengths=[512, 1024], trials=3, parallelism=2, search={"sampler": "random"})
    store = Store(url)
    store.create_study("", "sample", spec)
    store.set_phase("", "sample", Phase.RUNNING)
    storage = open_storage(url)
    for length, states in ((512, ("good", "best", "failed")), (1024, ("good", "open"))):
        trials = LengthStudy(storage, spec, "sample", length)
        for state in states:
            play(trials, url, state)
    store.record_attempt("", "sample", AttemptRecord(
        job_name="sample-512-2-1", kind=Kind.TRIAL, seq_len=512, trial=2, attempt=1, tier=0,
        outcome=Outcome.FAILED, reason="Crashed", message=Message.verbatim("exit code 1"), exit_code=1,
    ))  # fmt: skip
    store.close()
    return "sample"


def play(trials: LengthStudy, url: str, state: str) -> Any:
    record = trials.ask()
    value = {"good": 0.31, "best": 0.41}.get(state)
    if value is not None:
        TrialReporter(url, record.trial_id).result(value, {**METRICS, "score": value})
    elif state == "failed":
        what, detail = Message.of("controller.reason-crashed"), Message.of("controller.exit-code", exit=1)
        trials.fail(record.number, Message.of("controller.with-detail", what=what, detail=detail))
    return record
