"""A final training as a process: killed, gone on with, and what it leaves for people who know only transformers."""

from __future__ import annotations

import json
import os
import shutil
import signal
from typing import Any

import pytest
import torch
import yaml

from coref_k8s.model.load import load_masked_lm
from coref_k8s.study.order import Order
from coref_k8s.study.spec import PurposeSpec
from coref_k8s.trial.signals import StopSignal
from coref_k8s.trial.task import open_task
from coref_k8s.wording import Message
from tests.trial.conftest import LENGTH, PARAMS, House


def _preempted_in_the_middle() -> None:
    """Tell this process to stop once its first evaluation is made, after half the steps."""
    from coref_k8s.trial.training import Trainer

    evaluate = Trainer.evaluate

    def evaluate_and_stop(*arguments: Any) -> Any:
        report = evaluate(*arguments)
        os.kill(os.getpid(), signal.SIGTERM)
        return report

    Trainer.evaluate = evaluate_and_stop  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def final(house: House) -> Order:
    """A final training that was ended in the middle and has gone on to its end."""
    purpose = PurposeSpec(kind="train", study="parent", trials=(4,))
    order = house.order("final", spec=house.spec.model_copy(update={"purpose": purpose, "trials": 1}))
    first = house.start(order, before=_preempted_in_the_middle)
    assert first.wait() == 143, first.log
    assert len(house.checkpoints(order)) == 1
    assert not (house.folder(order) / "model").exists()
    second = house.start(order)
    assert second.wait() == 0, second.log
    (begin,) = second.events("trial_begin")
    assert 0 < begin["step"] < begin["steps"]
    assert [event["split"] for event in second.events("eval_stream")][-1] == "test"
    return order


def test_test_is_scored_once_and_against_the_untuned_model(house: House, final: Order) -> None:
    result = house.result(final)
    assert "coref_top5_ci_low" in result["test"]["metrics"]
    against = {
        (str(Message.load(one["against"])), one["split"]): one
        for one in result["comparisons"]
        if one["metric"] == "score"
    }
    assert against.keys() == {("the untuned model", "test"), ("the untuned model", "dev")}
    one = against["the untuned model", "test"]
    assert one["a"] == pytest.approx(result["test"]["score"])
    assert one["low"] <= one["difference"] <= one["high"]
    assert one["verdict"] in str(Message.load(one["sentence"])).lower()
    # whoever has no access to the volume reads the same from the database
    stored = house.trial(final).user_attrs
    assert stored["test"] == result["test"]
    assert stored["comparisons"] == result["comparisons"]


def test_the_folder_opens_in_plain_transformers_with_the_same_logits(house: House, final: Order) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    folder = house.folder(final) / "model"
    plain = AutoModelForMaskedLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert plain.config.max_position_embeddings == tokenizer.model_max_length == LENGTH
    ours = load_masked_lm(str(folder), seq_len=LENGTH)
    ids = torch.randint(10, 200, (2, LENGTH))
    mask = torch.ones_like(ids)
    with torch.no_grad():
        expected = ours(ids, attention_mask=mask).logits
        torch.testing.assert_close(plain(ids, attention_mask=mask).logits, expected, atol=2e-4, rtol=1e-3)


def test_the_card_says_what_the_model_is(house: House, final: Order) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard.load(house.folder(final) / "model/README.md")
    result = house.result(final)
    assert card.data.language == ["ko"]
    assert card.data.license == "other"  # the small model has no card that names one
    assert card.data.pipeline_tag == "fill-mask"
    # six items of a kind are asked for: too few for a number
    assert {"score", "coref_f1", "coref_f1_gain", "lbd_top1"} <= set(result["test"]["not_given"])
    assert not card.data.eval_results
    for said in (
        "Too few test items for a number: Score (weighted), Coref F1, ",
        "gaps:30", "- gaps:30 (coref-k8s): Apache-2.0; keep the licence", f"| learning_rate | {final.params['learning_rate']} |", "the untuned model, test documents", "## Limits",
        f"torch {result['versions']['torch']}", f"coref-k8s train parent --trial 4 --seq-len {LENGTH}", result["prepared"],
    ):  # fmt: skip
        assert said in card.text, said
    for one in result["comparisons"]:
        if one["metric"] == "score":
            assert str(Message.load(one["sentence"])).partition(": ")[2] in card.text
    request = yaml.safe_load(card.text.partition("```yaml\n")[2].partition("```")[0])
    assert request["purpose"] == {"kind": "train", "study": "parent", "trials": [4]}


def test_a_result_that_is_there_is_only_reported(house: House, final: Order) -> None:
    before = (house.folder(final) / "model/model.safetensors").stat().st_mtime_ns
    process = house.start(final)
    assert process.wait() == 0, process.log
    assert process.events("trial_begin") == []
    assert (house.folder(final) / "model/model.safetensors").stat().st_mtime_ns == before
    assert json.loads((house.folder(final) / "untuned-test.json").read_text())["metrics"]


def test_the_untuned_model_has_the_positions_that_it_was_shipped_with(house: House) -> None:
    folder = house.root / "models/near"
    shutil.copytree(house.root / "models/tiny", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_relative_positions": 64}))
    spec = house.spec.model_copy(update={"model": "models/near"})
    order = house.order("near", spec=spec, params={**PARAMS, "position_range": "rescale"})
    task = open_task(order, house.root, StopSignal(), lambda _: None)
    ranges = [task.untrained(untuned=untuned).config.max_relative_positions for untuned in (False, True)]
    assert ranges == [LENGTH, 64]
