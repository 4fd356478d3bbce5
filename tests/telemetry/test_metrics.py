"""What is scraped: trials by HTTP and by file, a study on this machine while it runs, and what goes away."""

from __future__ import annotations

import socket
import struct
import threading
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from coref_k8s.controller.measure import StudyMeter
from coref_k8s.controller.orders import make_order
from coref_k8s.controller.progress import LengthProgress, Progress, RunningJob
from coref_k8s.controller.runner import ObservedJob, State
from coref_k8s.controller.snapshot import Unit
from coref_k8s.controller.web import Answer, WebServer
from coref_k8s.errors import RequestError
from coref_k8s.local.metrics import LocalMetrics
from coref_k8s.settings import Settings
from coref_k8s.store.records import Phase
from coref_k8s.study.names import Kind
from coref_k8s.study.order import BatchPlan, Order, Resources
from coref_k8s.study.paths import work_folder
from coref_k8s.study.reading import build_spec
from coref_k8s.telemetry.metrics import StudyMetrics
from coref_k8s.trial.metrics import MetricsObserver
from coref_k8s.trial.observers import CheckpointReport, EvaluationReport, MemoryReport, StepReport
from coref_k8s.wording import NOTHING
from docs.metrics_page import main as document
from docs.metrics_page import page
from tests.local.run_study import session
from tests.ports import free_port
from tests.report.sample import study, with_finalists

STEP = StepReport(3, 10, 2.5, 1e-4, 900.0, 0.5, 0.02, 7 * 10**9)


def series(text: str) -> dict[str, float]:
    """Samples as `name{label=value,...}` of the labels that matter here."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            keys = ("seq_len", "trial", "metric", "state", "phase", "reason", "outcome", "against", "bound")
            labels = ",".join(sample.labels[key] for key in keys if key in sample.labels)
            found[f"{sample.name} {labels}".strip()] = sample.value
    return found


def scrape(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return series(answer.read().decode())


def order(trial: int = 0, kind: Kind = Kind.TRIAL) -> Order:
    return Order(
        kind=kind, study="s", namespace="team", spec=build_spec(), seq_len=512, trial=trial, trial_id=1,
        batch=BatchPlan(seq_len=512, batch_size=2, accumulation=2, checkpointing=False, predicted_bytes=8, budget_bytes=9),
        resources=Resources(gpus=1, gpu_memory_mb=40960, cpu_millis=1, memory_bytes=99, ephemeral_bytes=0, shm_bytes=0),
        workdir=work_folder(build_spec(), "s", kind, 512, trial),
    )  # fmt: skip


def running(*units: tuple[Kind, int | None]) -> Progress:
    """Progress of a study while these jobs run."""
    jobs = [
        ObservedJob(f"s-{kind}-{trial}", f"{kind}{trial}", "s", kind, 512, trial, 1, State.RUNNING)
        for kind, trial in units
    ]
    now = datetime.now(UTC)
    return Progress(
        namespace="", name="s", phase=Phase.RUNNING, message=NOTHING, spec=build_spec(), created_at=now, now=now,
        running=tuple(RunningJob(job) for job in jobs),
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


def test_a_port_that_is_taken_costs_the_metrics_and_not_the_trial(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        play(MetricsObserver(order(), Settings(tmp_path, "", None, metrics_port=port)))
    assert f"metrics are not served on port {port}" in caplog.text


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
    metrics = LocalMetrics(tmp_path, build_spec())
    metrics.on_progress(running((Kind.TRIAL, 0), (Kind.TRIAL, 1)))
    with metrics.serving(0) as server:
        assert {"coref_trial_step 512,0", "coref_trial_step 512,1"} <= scrape(server.port).keys()
        observers[0].on_end("complete", {})
        found = scrape(server.port)
        with pytest.raises(RequestError, match="--metrics-port"), metrics.serving(server.port):
            pass
    assert "coref_trial_step 512,0" not in found
    assert "coref_trial_step 512,1" in found


def test_a_finalists_run_is_told_from_the_trial_of_its_number(tmp_path: Path) -> None:
    settings = Settings(tmp_path, "", None, metrics_textfile=True)
    for kind in (Kind.TRIAL, Kind.FINALIST):
        play(MetricsObserver(order(0, kind), settings))
    metrics = LocalMetrics(tmp_path, build_spec())
    metrics.on_progress(running((Kind.TRIAL, 0), (Kind.FINALIST, 0), (Kind.VERDICT, None)))
    samples = [s for family in metrics.study.registry.collect() for s in family.samples]
    assert {s.labels["kind"] for s in samples if s.name == "coref_trial_loss"} == {"trial", "finalist"}


def test_a_final_training_that_was_resumed_is_seen_where_it_goes_on(tmp_path: Path) -> None:
    spec = build_spec(purpose={"kind": "train", "study": "first", "trials": [3]}, seq_lengths=[512], trials=1)
    made = make_order(spec, "", "s", Unit(Kind.TRIAL, 512, 1))  # the second trial, after the first has failed
    play(MetricsObserver(made, Settings(tmp_path, "", None, metrics_textfile=True)))
    metrics = LocalMetrics(tmp_path, spec)
    metrics.on_progress(running((Kind.TRIAL, 1)))
    assert [
        s.value for f in metrics.study.registry.collect() for s in f.samples if s.name == "coref_trial_step"
    ] == [3]


def test_what_is_only_scored_has_no_steps_and_test_scores_are_no_evaluation(tmp_path: Path) -> None:
    port = free_port()
    observer = MetricsObserver(order(), Settings(tmp_path, "", None, metrics_port=port))
    observer.on_begin(0, 0)
    observer.on_evaluation(EvaluationReport(1, 0, 0.4, {}, 2.0, True))
    observer.on_evaluation(EvaluationReport(2, 0, 0.9, {}, 3.0, True, split="test"))
    found = scrape(port)
    assert "coref_trial_steps 512,0" not in found
    assert found["coref_trial_metric 512,0,score"] == 0.4
    assert found["coref_trial_evaluation_seconds 512,0"] == 3


def test_what_test_documents_have_shown_is_a_metric() -> None:
    view = with_finalists(study(lengths=(1024,)))
    verdict, best = view.verdicts[0], view.lengths[0].best
    assert best is not None
    metrics = StudyMetrics()

    def measured(length: LengthProgress) -> dict[str, float]:
        StudyMeter(metrics).measure(replace(running(), lengths=(length,)))
        return series(generate_latest(metrics.registry).decode())

    length = LengthProgress(
        seq_len=1024, planned=24, complete=20, pruned=2, failed=2, best=best, runs={"complete": 4, "failed": 1, "running": 1, "waiting": 1},
        verdict=verdict, confirmed=best,
    )  # fmt: skip
    found = measured(length)
    assert [
        found[f"coref_study_finalist_runs 1024,{s}"] for s in ("complete", "failed", "running", "waiting")
    ] == [4, 1, 1, 1]
    assert found["coref_study_test_score 1024"] == verdict.test
    bounds = [
        found[f"coref_study_test_difference 1024,untuned,{bound}"] for bound in ("low", "value", "high")
    ]
    assert bounds == [0.3, 0.37, 0.44]
    assert found["coref_study_test_difference 1024,defaults,low"] == -0.02
    # more trials were asked for: what was shown no longer holds
    again = measured(replace(length, verdict=None, confirmed=None))
    assert not [name for name in again if "coref_study_test" in name]
    # a final training has noted what it was tested with itself
    row = {"against": "the untuned model", "split": "test", "metric": "score", "a": 0.5, "b": 0.1, "difference": 0.4,
           "low": 0.3, "high": 0.5, "items": 9, "documents": 6, "verdict": "better", "sentence": "-"}  # fmt: skip
    noted = {
        "test": {"score": 0.5, "metrics": {"score_ci_low": 0.4}},
        "comparisons": [row | {"split": "dev"}, row],
    }
    final = measured(LengthProgress(seq_len=1024, planned=1, complete=1, best=replace(best, attrs=noted)))
    assert final["coref_study_test_score 1024"] == 0.5
    assert final["coref_study_test_difference 1024,untuned,value"] == 0.4


def test_a_scraper_that_gives_up_waiting_is_no_news_for_the_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    gone = threading.Event()

    def page(_: str) -> Answer:
        assert gone.wait(60)
        return Answer("x" * 5_000_000)

    server = WebServer(0, {"/metrics": page, "/well": lambda _: Answer("yes")}, host="127.0.0.1").start()
    try:
        client = socket.create_connection(("127.0.0.1", server.port), 10)
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        # closed with a reset, so that writing fails at once
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        gone.set()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/well", timeout=30) as answer:
            assert answer.read() == b"yes"
    finally:
        server.stop()
    said = capfd.readouterr()
    assert "Traceback" not in said.err + said.out


def test_a_forgotten_study_has_no_series_left() -> None:
    metrics = StudyMetrics()
    for name in ("a", "b"):
        metrics.best.labels("team", name, "512").set(0.5)
        metrics.phase.labels("team", name, "Running").set(1)
    metrics.forget("team", "a")

    def studies() -> set[Any]:
        families = metrics.registry.collect()
        return {s.labels["study"] for f in families for s in f.samples if "study" in s.labels}

    assert studies() == {"b"}
    metrics.forget_all()
    assert studies() == set()


def test_the_page_is_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert document(["--check", "docs/metrics.md"], page) == 0
    stale = tmp_path / "metrics.md"
    stale.write_text("old")
    assert document(["--check", str(stale)], page) == 1
    assert "make generate" in capsys.readouterr().err
