"""What is scraped: trials by HTTP and by file, a study on this machine while it runs, and what goes away."""

from __future__ import annotations

import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from coref_k8s.errors import RequestError
from coref_k8s.local.metrics import LocalMetrics
from coref_k8s.request import build_spec
from coref_k8s.runner import Kind, Order
from coref_k8s.settings import Settings
from coref_k8s.sizing.plan import BatchPlan, Resources
from coref_k8s.telemetry.docs import main as document
from coref_k8s.telemetry.metrics import StudyMetrics
from coref_k8s.trial.metrics import MetricsObserver
from coref_k8s.trial.observers import CheckpointReport, EvaluationReport, MemoryReport, StepReport
from tests.local.run_study import session

STEP = StepReport(3, 10, 2.5, 1e-4, 900.0, 0.5, 0.02, 7 * 10**9)


def series(text: str) -> dict[str, float]:
    """Samples as `name{label=value,...}` of the labels that matter here."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            keys = ("seq_len", "trial", "metric", "state", "phase", "reason", "outcome")
            labels = ",".join(sample.labels[key] for key in keys if key in sample.labels)
            found[f"{sample.name} {labels}".strip()] = sample.value
    return found


def scrape(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return series(answer.read().decode())


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def order(trial: int = 0) -> Order:
    return Order(
        kind=Kind.TRIAL, study="s", namespace="team", spec=build_spec(), seq_len=512, trial=trial, trial_id=1,
        batch=BatchPlan(seq_len=512, batch_size=2, accumulation=2, checkpointing=False, predicted_bytes=8, budget_bytes=9),
        resources=Resources(gpus=1, gpu_memory_mb=40960, cpu_millis=1, memory_bytes=99, ephemeral_bytes=0, shm_bytes=0),
        workdir=f"studies/s/512/{trial}",
    )  # fmt: skip


def play(observer: MetricsObserver) -> None:
    observer.on_begin(0, 10)
    observer.on_step(STEP)
    observer.on_evaluation(
        EvaluationReport(1, 3, 0.4, {"coref_f1": 0.5, "seed_coref_f1": 0.9, "lbd_top1_gain": -0.1}, 2.0, True)
    )
    observer.on_checkpoint(CheckpointReport(3, 0.2, 1000))
    observer.on_checkpoint(CheckpointReport(3, 0.0, 1000))
    observer.on_out_of_memory(MemoryReport(3, 1, 4))


def test_a_trial_serves_what_it_does(tmp_path: Path) -> None:
    port = free_port()
    play(MetricsObserver(order(), Settings(tmp_path, "", None, metrics_port=port)))
    found = scrape(port)
    for name, value in {
        "coref_trial_step": 3, "coref_trial_steps": 10, "coref_trial_loss": 2.5, "coref_trial_learning_rate": 1e-4,
        "coref_trial_tokens_per_second": 900, "coref_trial_step_seconds": 0.5, "coref_trial_data_wait_ratio": 0.02,
        "coref_trial_device_memory_peak_bytes": 7e9, "coref_trial_device_memory_predicted_bytes": 8,
        "coref_trial_device_memory_budget_bytes": 9, "coref_trial_device_memory_limit_bytes": 40960 * 2**20,
        "coref_trial_host_memory_limit_bytes": 99, "coref_trial_evaluation_seconds": 2,
        "coref_trial_checkpoints_total": 1, "coref_trial_checkpoint_bytes": 1000, "coref_trial_oom_retries_total": 1,
    }.items():  # fmt: skip
        assert found[f"{name} 512,0"] == value, name
    assert found["coref_trial_metric 512,0,score"] == 0.4
    assert found["coref_trial_metric 512,0,lbd_top1_gain"] == -0.1
    assert "coref_trial_metric 512,0,seed_coref_f1" not in found
    assert found["coref_trial_volume_size_bytes 512,0"] >= found["coref_trial_volume_free_bytes 512,0"] > 0


def test_nothing_is_said_before_it_is_measured(tmp_path: Path) -> None:
    port = free_port()
    MetricsObserver(order(), Settings(tmp_path, "", None, metrics_port=port))
    found = scrape(port)
    assert "coref_trial_loss 512,0" not in found
    assert "coref_trial_device_memory_peak_bytes 512,0" not in found


def test_a_local_study_is_served_while_it_runs_with_its_trials(tmp_path: Path) -> None:
    local = session(tmp_path)
    (tmp_path / "crash-512-1").write_text("1")
    spec = build_spec(seq_lengths=[512, 1024], trials=2, parallelism=1, search={"sampler": "random", "pruner": "none"},
                      limits={"retries": 0})  # fmt: skip
    local.submit("demo", spec)
    port = free_port()
    seen: list[dict[str, float]] = []
    local.run("demo", on_progress=lambda _: seen.append(scrape(port)), metrics_port=port)
    last = seen[-1]
    assert last["coref_study_phase Succeeded"] == 1
    assert last["coref_study_trials 512,complete"] == 1
    assert last["coref_study_trials 512,failed"] == 1
    assert last["coref_study_trials 1024,complete"] == 2
    assert last["coref_study_failed_attempts Crashed"] == 1
    assert last["coref_study_failed_attempts Other"] == 0
    assert 0 < last["coref_study_best_score 1024"] <= 1
    assert last["coref_controller_ask_seconds_count"] == 4
    assert last["coref_study_remaining_seconds"] == 0
    assert any(one.get("coref_study_remaining_seconds", 0) > 0 for one in seen)
    moves = {one["coref_study_progress_timestamp_seconds"] for one in seen}
    assert len(moves) >= 6
    with pytest.raises(OSError, match="refused"):
        scrape(port)


def test_running_trials_leave_their_series_in_files_that_go_with_them(tmp_path: Path) -> None:
    settings = Settings(tmp_path, "", None, metrics_textfile=True)
    observers = [MetricsObserver(order(n), settings) for n in (0, 1)]
    for observer in observers:
        play(observer)
    metrics = LocalMetrics(tmp_path)
    metrics._trials.files = tuple(tmp_path / f"studies/s/512/{n}/metrics.prom" for n in (0, 1))
    with metrics.serving(0) as server:
        assert {"coref_trial_step 512,0", "coref_trial_step 512,1"} <= scrape(server.port).keys()
        observers[0].on_end("complete", {})
        found = scrape(server.port)
        with pytest.raises(RequestError, match="--metrics-port"), metrics.serving(server.port):
            pass
    assert "coref_trial_step 512,0" not in found
    assert "coref_trial_step 512,1" in found


def test_a_forgotten_study_has_no_series_left() -> None:
    metrics = StudyMetrics()
    for study in ("a", "b"):
        metrics.best.labels("team", study, "512").set(0.5)
        metrics.phase.labels("team", study, "Running").set(1)
    metrics.forget("team", "a")

    def studies() -> set[Any]:
        families = metrics.registry.collect()
        return {s.labels["study"] for f in families for s in f.samples if "study" in s.labels}

    assert studies() == {"b"}
    metrics.forget_all()
    assert studies() == set()


def test_the_page_is_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert document(["--check", "docs/metrics.md"]) == 0
    stale = tmp_path / "metrics.md"
    stale.write_text("old")
    assert document(["--check", str(stale)]) == 1
    assert "make generate" in capsys.readouterr().err
