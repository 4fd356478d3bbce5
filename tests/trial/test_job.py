"""Whole trials as processes: what they leave, report and exit with."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from optuna.trial import TrialState

from coref_k8s.store import Store
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order
from coref_k8s.study.spec import DatasetConfig, DataSpec
from tests.trial.conftest import LENGTH, PARAMS, RESOURCES, House

_PROGRAM = """
import sys
from coref_k8s.trial.main import main
code = main()
heavy = sorted({"kiwipiepy", "datasets"} & set(sys.modules))
print("imported", heavy, file=sys.stderr)
sys.exit(code)
"""


def test_a_trial_from_order_to_result(house: House) -> None:
    order = house.order("whole")
    environment = {
        **os.environ,
        "COREF_DATA_DIR": str(house.root),
        "COREF_STORAGE_URL": house.storage,
        "COREF_BUS": str(house.root / "whole.ndjson"),
        "COREF_ORDER": order.model_dump_json(),
    }
    ran = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:coref_k8s", "-c", _PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stderr
    assert "imported []" in ran.stderr, f"what a trial does not need costs it seconds: {ran.stderr}"

    result = house.result(order)
    stored = house.trial(order)
    assert stored.state is TrialState.COMPLETE
    assert stored.value == result["score"]
    assert set(stored.intermediate_values) == {1, 2}
    assert stored.intermediate_values[2] == result["score"]
    assert stored.user_attrs["metrics"]["coref_f1"] == result["metrics"]["coref_f1"]
    assert {"coref_f1", "coref_top5", "lbd_top1", "coref_top5_gain", "seed_coref_top5"} <= set(
        result["metrics"]
    )
    assert result["steps"] == 40
    assert result["params"] == order.params
    for name in ("host_peak_bytes", "tokens_per_second", "step_seconds", "data_wait", "predicted_bytes"):
        assert stored.user_attrs[name] == result["measured"][name]
    assert {"coref-k8s", "python", "torch", "transformers", "optuna"} <= stored.user_attrs["versions"].keys()
    assert stored.user_attrs["versions"]["torch"] == version("torch")
    curve, every = (
        stored.user_attrs["losses"],
        json.loads((house.folder(order) / "losses.json").read_text("utf-8")),
    )
    assert curve[-1][0] == len(every)
    assert 2 <= len(curve) <= 40
    assert sum(loss for _, loss in curve) / len(curve) == pytest.approx(sum(every) / len(every), rel=0.1)
    evidence = stored.user_attrs["evidence"]
    assert evidence["counts"]["coref"] == sum(bucket["n"] for bucket in evidence["buckets"])
    assert (evidence["buckets"][0]["above"], evidence["buckets"][0]["up_to"]) == (0, 512)
    assert len(evidence["items_sha256"]) == 64
    assert 10**8 < result["measured"]["host_peak_bytes"] < 4 * 10**9
    assert result["measured"]["tokens_per_second"] > 0

    written = [json.loads(line) for line in (house.root / "whole.ndjson").read_text().splitlines()]
    printed = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    assert written == printed, "kubectl logs gives what the bus has"
    sections = [event["section"] for event in written]
    assert sections[0] == "trial_begin"
    assert sections[-1] == "trial_end"
    assert sections.count("eval_stream") == 2
    last = [event for event in written if event["section"] == "eval_stream"][-1]
    assert last["seq_len"] == LENGTH
    assert last["score"] == result["score"]

    folder = house.folder(order)
    assert not (folder / "checkpoints").exists()
    assert len(json.loads((folder / "losses.json").read_text())) == 40
    from coref_k8s.evaluation.result import EvaluationResult

    items = EvaluationResult.from_json((folder / "items-dev.json").read_text())
    assert items.item_scores["coref"].ids
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    model = AutoModelForMaskedLM.from_pretrained(folder / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    logits = model(**tokenizer("서울에서 [MASK]를 만났다", return_tensors="pt")).logits
    assert torch.isfinite(logits).all()


def _killed_before_it_reports() -> None:
    """Patch this process: it ends the moment its result is to be reported."""
    from coref_k8s.search.reporting import TrialReporter

    TrialReporter.result = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]


def test_a_trial_waits_for_its_database_before_it_begins(house: House) -> None:
    order = house.order("waits")
    process = house.start(order, COREF_STORAGE_URL="postgresql+psycopg2://me:hush@127.0.0.1:1/db")
    process.until('"section": "warning"')
    process.process.terminate()
    assert process.wait() == 143
    assert "did not answer" in process.events("warning")[0]["message"]
    assert "hush" not in process.log
    assert not house.folder(order).exists()


def test_a_result_that_was_not_reported_is_reported(house: House) -> None:
    """The process died between writing its result and reporting it."""
    order = house.order("unreported")
    first = house.start(order, before=_killed_before_it_reports)
    assert first.wait() == -9, first.log
    assert house.result(order)["outcome"] == "complete"
    assert house.trial(order).state is TrialState.RUNNING
    again = house.start(order)
    assert again.wait() == 0, again.log
    assert not again.events("train_step")
    assert not again.events("trial_begin")
    stored = house.trial(order)
    assert stored.state is TrialState.COMPLETE
    assert stored.value == house.result(order)["score"]
    third = house.start(order)
    assert third.wait() == 0, "reporting twice is reporting once"


def close(house: House, trial_id: int | None) -> None:
    """Prune the trial, as the controller does."""
    from coref_k8s.search.storage import open_storage

    assert trial_id is not None
    open_storage(house.storage).set_trial_state_values(trial_id, TrialState.PRUNED, [0.5])


def test_a_closed_trial_does_not_start(house: House) -> None:
    order = house.order("closed")
    close(house, order.trial_id)
    process = house.start(order)
    assert process.wait() == 0
    assert not process.log
    assert not house.folder(order).exists()


def test_a_trial_closed_while_it_runs_leaves_quietly_at_its_next_report(house: House) -> None:
    spec = house.training(max_steps=3000, evaluations=300)
    search = spec.search.model_copy(update={"pruner": "wilcoxon"})
    order = house.order("pruned", spec=spec.model_copy(update={"search": search}))
    process = house.start(order)
    process.until('"section": "eval_stream"')
    close(house, order.trial_id)
    assert process.wait() == 0, process.log
    stored = house.trial(order)
    assert stored.value == 0.5, "the controller's word stands"
    items = stored.user_attrs["items/1"]
    assert len(items) >= 10, "what a pruner that looks at items looks at"
    assert all(name.split("/")[0] in {"coref", "f1", "lambada"} for name in items)
    assert not house.checkpoints(order)
    assert not (house.folder(order) / "result.json").exists()
    assert "Traceback" not in process.log


def test_a_closed_trial_writes_no_checkpoint_when_it_is_stopped(house: House) -> None:
    order = house.order("pruned-stopped", spec=house.training(max_steps=3000, evaluations=1))
    process = house.start(order)
    process.until('"section": "train_step"')
    close(house, order.trial_id)
    process.process.terminate()
    assert process.wait() == 0, process.log
    assert not house.checkpoints(order)


def test_a_diverged_trial_is_pruned_with_its_reason(house: House) -> None:
    order = house.order("diverged", params={"learning_rate": 1.0, "warmup_ratio": 0.0})
    process = house.start(order)
    assert process.wait() == 0, process.log
    stored = house.trial(order)
    assert stored.state is TrialState.PRUNED
    assert stored.value is None, "no number is made up"
    end = process.events("trial_end")[0]
    assert end["outcome"] == "pruned"
    assert end["reason"].startswith("diverged: the")
    assert "score" not in end


def test_a_finalist_scores_dev_and_test(house: House) -> None:
    order = house.order("finalist", kind=Kind.FINALIST, seed=11)
    process = house.start(order)
    assert process.wait() == 0, process.log
    result = house.result(order)
    assert [event["split"] for event in process.events("eval_stream")] == ["dev", "test"]
    assert result["test"]["score"] == process.events("eval_stream")[1]["score"]
    stored = house.trial(order)
    assert (stored.state, stored.value) == (TrialState.COMPLETE, result["score"])
    assert not any("test" in name for name in stored.user_attrs), "what chooses the winner never sees test"
    dev = json.loads((house.folder(order) / "items-dev.json").read_text())
    test = json.loads((house.folder(order) / "items-test.json").read_text())
    assert test["thresholds"] == dev["thresholds"], "they are those of dev"
    assert test["items_sha256"] != dev["items_sha256"]


def test_the_untuned_model_is_scored_as_it_came(house: House) -> None:
    order = house.order("untuned", kind=Kind.FINALIST, params={}, untuned=True)
    process = house.start(order)
    assert process.wait() == 0, process.log
    assert not process.events("train_step")
    assert [event["split"] for event in process.events("eval_stream")] == ["dev", "test"]
    result = house.result(order)
    assert (result["steps"], result["kind"]) == (0, "finalist")
    assert house.trial(order).value == result["score"]
    assert (house.folder(order) / "items-test.json").is_file()
    assert not (house.folder(order) / "model").exists(), "it is the model that is there already"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no order; set COREF_ORDER or COREF_ORDER_FILE"),
        ("{", "the order cannot be read"),
        ('{"kind": "trial"}', "the order cannot be read: study"),
    ],
)
def test_an_order_that_cannot_be_read_is_exit_42(house: House, text: str, message: str) -> None:
    process = house.start(text)
    assert process.wait() == 42
    assert message in process.log
    assert "Traceback" not in process.log


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"params": {"learning_speed": 1.0}}, 42, "'learning_speed' is not a tuned parameter"),
        ({"params": {"learning_rate": 0.0}}, 42, "learning_rate must be a number from 1e-09 to 1"),
        ({"params": {"position_range": "warp"}}, 42, "position_range must be one of clamp, rescale, grow"),
        ({"batch": None}, 42, "lacks batch"),
        ({"prepared": "prepared/none"}, 1, "holds no prepared data"),
        ({"trial_id": 987654}, 42, "trial 987654 is not in the database"),
        ({"seq_len": 192}, 1, "was prepared for 128 tokens, not for 192"),
    ],
)
def test_a_wrong_order_says_what_is_wrong_in_one_sentence(
    house: House, changes: dict[str, object], code: int, message: str
) -> None:
    process = house.start(house.order("wrong", **changes))
    assert process.wait() == code, process.log
    assert message in process.log
    assert "Traceback" not in process.log
    errors = [line for line in process.log.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    warning = process.events("warning")[0]
    assert warning["event"] == "trial_failed"
    assert warning["exit_code"] == code


def test_an_order_of_a_trial_that_was_asked_for_in_part_is_refused_for_good(house: House) -> None:
    order = house.order("half")
    left = {name: value for name, value in order.params.items() if name not in ("mask_high", "weight_decay")}
    process = house.start(order.model_copy(update={"params": left}))
    assert process.wait() == 42
    assert "asked for only in part: mask_high and weight_decay is missing; it is not run" in process.log
    assert "Traceback" not in process.log
    assert not house.folder(order).exists()


def test_a_model_folder_that_is_not_there_is_not_looked_for_twice(house: House) -> None:
    process = house.start(
        house.order("nowhere", spec=house.spec.model_copy(update={"model": "/no/such/model"}))
    )
    assert process.wait() == 42
    assert "the model folder /no/such/model does not exist where the trial runs" in process.log


def test_data_of_another_tokenizer_are_refused_before_a_step_is_trained(house: House) -> None:
    from transformers import AutoTokenizer

    from coref_k8s.model.small import create_small_model

    tokenizer = AutoTokenizer.from_pretrained(house.root / "models/tiny")
    tokenizer.add_tokens(["한자루"])
    create_small_model(house.root / "models/other", tokenizer, layers=1, hidden=32, heads=2, intermediate=64)
    spec = house.spec.model_copy(update={"model": "models/other"})
    params = {**PARAMS, "dataset": house.prepared}
    order = house.order("other", spec=spec, params=params)
    process = house.start(order)
    assert process.wait() == 42, process.log
    errors = [line for line in process.log.splitlines() if line.startswith("error: ")]
    assert errors == [
        f"error: the data in {house.root / house.prepared} were prepared with another tokeniser than the model's; "
        "prepare them again"
    ]
    assert not process.events("trial_progress")
    assert not (house.folder(order) / "checkpoints").exists()


def _no_memory() -> None:
    """Patch the loss in this process: nothing ever fits."""
    from coref_k8s.trial import mentions

    def loss(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    mentions.masked_lm_loss = loss


def _half_the_memory() -> None:
    """Patch the loss in this process: two sequences do not fit."""
    from coref_k8s.trial import mentions

    real = mentions.masked_lm_loss

    def loss(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if len(batch["input_ids"]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return real(model, batch)

    mentions.masked_lm_loss = loss


def test_out_of_memory_with_one_sequence_is_exit_43(house: House) -> None:
    order = house.order("memory")
    process = house.start(order, before=_no_memory)
    assert process.wait() == 43
    assert "a single sequence does not fit" in process.log
    assert "Traceback" not in process.log
    assert house.trial(order).state is TrialState.RUNNING, "the controller may start it with more"


def test_out_of_memory_halves_the_batch_and_says_so(house: House) -> None:
    order = house.order("half")
    process = house.start(order, before=_half_the_memory)
    assert process.wait() == 0, process.log
    assert house.result(order)["measured"]["batch_size"] == 1
    assert "going on with batch 1 x accumulation 4" in process.events("warning")[0]["message"]


def _crash() -> None:
    from coref_k8s.trial import mentions

    def loss(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        raise ZeroDivisionError("something unforeseen")

    mentions.masked_lm_loss = loss


def test_anything_unforeseen_is_exit_1_with_a_traceback(house: House) -> None:
    process = house.start(house.order("crash"), before=_crash)
    assert process.wait() == 1
    assert "Traceback" in process.log
    assert "something unforeseen" in process.events("warning")[0]["message"]


def _full_disk() -> None:
    from safetensors import SafetensorError
    from transformers import PreTrainedModel

    def save(self: PreTrainedModel, folder: Path, **_: object) -> None:
        Path(folder, "config.json").write_text("{}")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    PreTrainedModel.save_pretrained = save


def test_a_disk_that_fills_is_said_and_nothing_half_written_is_left(house: House) -> None:
    order = house.order("full")
    process = house.start(order, before=_full_disk)
    assert process.wait() == 1
    assert process.events("warning")[-1]["message"].startswith(f"the disk of {house.root} is full")
    assert not list(house.folder(order).glob("*.tmp"))


def test_preparing_again_finds_it_prepared(house: House) -> None:
    order = house.order("again", kind=Kind.PREPARE, seq_len=None, trial=None, trial_id=None)
    order = order.model_copy(update={"workdir": "studies/s/prepare-again"})
    before = {path: path.stat().st_mtime_ns for path in (house.root / house.prepared).rglob("*")}
    process = house.start(order)
    assert process.wait() == 0, process.log
    assert house.result(order)["prepared"] == house.prepared
    assert {path: path.stat().st_mtime_ns for path in (house.root / house.prepared).rglob("*")} == before


def test_a_preparation_waits_for_a_database_that_is_away(house: House, tmp_path: Path) -> None:
    order = house.order("patient", kind=Kind.PREPARE, seq_len=None, trial=None, trial_id=None)
    order = order.model_copy(update={"workdir": "studies/s/prepare-patient"})
    away = tmp_path / "away"
    away.write_text("no folder")
    process = house.start(order, COREF_STORAGE_URL=f"sqlite:///{away}/coref.db")
    process.until("warning:")
    (tmp_path / "back").mkdir()
    with closing(sqlite3.connect(house.storage.removeprefix("sqlite:///"))) as known:
        known.execute("VACUUM INTO ?", [str(tmp_path / "back/coref.db")])
    away.unlink()
    (tmp_path / "back").rename(away)
    assert process.wait() == 0, process.log
    store = Store(f"sqlite:///{away}/coref.db")
    assert store.get_study(order.namespace, "s").prepared == house.prepared
    store.close()


def test_preparation_says_for_which_study(house: House) -> None:
    told = house.processes[0].events("dataset_progress")
    assert {event["study"] for event in told} == {"s"}
    assert all(event["done"] <= event["total"] for event in told if event["total"])


def test_text_that_leaves_nothing_to_tune_on_is_no_reason_to_start_again(house: House, tmp_path) -> None:
    (tmp_path / "one.txt").write_text("가람이 우물가에 앉아 있었다. " * 40, encoding="utf-8")
    data = DataSpec(sources=(DatasetConfig(source=str(tmp_path / "one.txt")),))
    spec = house.spec.model_copy(update={"data": data})
    order = Order(kind=Kind.PREPARE, study="s", spec=spec, resources=RESOURCES, workdir="studies/s/no-text")
    process = house.start(order)
    assert process.wait() == 42, process.log
    assert "extractor: lines" in process.log
    assert "Traceback" not in process.log
