"""Joining models: what the weights become, what is kept, and what is left on the disk.

The models are real and tiny; how good one is decides a judge that looks at one of its weights, so that every case
there is can be made in seconds.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.trial import TrialState
from safetensors.torch import load_file

from coref_k8s.errors import TrialError
from coref_k8s.evaluation.result import EvaluationResult, ItemScores
from coref_k8s.model.load import load_masked_lm
from coref_k8s.settings import Settings
from coref_k8s.study.order import Order
from coref_k8s.study.spec import PurposeSpec
from coref_k8s.telemetry.bus import Bus
from coref_k8s.trial import mentions
from coref_k8s.trial.job import run_training
from coref_k8s.trial.signals import StopSignal
from coref_k8s.trial.soup import ProbabilityMean
from coref_k8s.wording import Message
from tests.trial.conftest import LENGTH, House

DOCUMENTS = 60
#: The weight that the judge likes best; a model is worse the further it is from it.
IDEAL = 0.5


def mark_of(model: Any) -> float:
    """The weight that the judge looks at."""
    return float(model.cls.predictions.bias[7].detach())


class Judge:
    """Stands for `Evaluator`: the better a model's mark, the more documents it gets right."""

    averaging = 0.0
    """Share of the documents that averaged probabilities get right."""

    @classmethod
    def of(cls, *_: Any, **__: Any) -> Judge:
        return cls()

    def __call__(
        self,
        model: Any,
        items: Any,
        *,
        full: bool,
        thresholds: dict[str, float] | None = None,
        together: None = None,
    ) -> EvaluationResult:
        if isinstance(model, ProbabilityMean):
            share = self.averaging
        else:
            share = max(0.0, 1 - 1.5 * abs(mark_of(model) - IDEAL))
        names = [f"d{n}" for n in range(DOCUMENTS)]
        right = [float(n < round(share * DOCUMENTS)) for n in range(DOCUMENTS)]
        score = sum(right) / DOCUMENTS
        return EvaluationResult(
            metrics={"score": score, "lbd_top1": score, "lbd_top1_ci_low": 0.0, "lbd_top1_ci_high": 1.0},
            counts={"lambada": DOCUMENTS},
            buckets=[],
            thresholds=thresholds or {"tau": 0.0},
            warnings=[],
            item_scores={"lambada": ItemScores(names, names, {"lbd_top1": right})},
            items_sha256=items.sha256,
            tokenizer="t",
            seq_len=LENGTH,
            weights={"lbd_top1": 1.0},
            full=full,
        )


Join = Callable[..., tuple[Order, dict[str, Any]]]


@pytest.fixture
def join(house: House, monkeypatch: pytest.MonkeyPatch) -> Join:
    """Return a function that makes trials with these marks, best first, and joins them."""
    monkeypatch.setattr(mentions, "Evaluator", Judge)

    def run(name: str, *marks: float, averaging: float = 0.0, grown: int | None = None) -> Any:
        monkeypatch.setattr(Judge, "averaging", averaging)
        for number, mark in enumerate(marks):
            folder = house.root / f"studies/{name}/{LENGTH}/{number}/model"
            shutil.copytree(house.root / "models/tiny", folder)
            model = load_masked_lm(str(folder), seq_len=LENGTH)
            torch.manual_seed(number)
            with torch.no_grad():
                for weight in model.parameters():
                    weight += 0.1 * torch.randn_like(weight)
                model.cls.predictions.bias[7] = mark
            if number == grown:
                model.config.max_relative_positions = 4096
            model.save_pretrained(folder)
        purpose = PurposeSpec(kind="ensemble", study=name, trials=tuple(range(len(marks))))
        order = house.order(
            f"{name}-joined", spec=house.spec.model_copy(update={"purpose": purpose, "trials": 1}), params={}
        )
        settings = Settings(data_dir=house.root, storage_url=house.storage, bus=None)
        assert run_training(order, settings, Bus(None), StopSignal()) == 0
        stored = house.trial(order)
        assert stored.state is TrialState.COMPLETE
        assert stored.user_attrs["ensemble"] == house.result(order)["ensemble"]
        rows = [
            {**row, "way": str(Message.load(row["way"])), "verdict": str(Message.load(row["verdict"]))}
            for row in stored.user_attrs["ensemble"]
        ]
        return order, {row["way"]: row for row in rows}

    return run


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_a_soup_is_the_mean_of_its_members_and_is_kept_when_it_is_better(house: House, join: Join) -> None:
    order, rows = join("soup", 0.2, 0.8, 0.9)
    # 0.2 and 0.8 make 0.5, which is ideal; 0.9 would spoil it
    assert rows["greedy soup"]["members"] == [0, 1]
    assert rows["greedy soup"]["score"] == 1.0
    assert rows["uniform soup"]["members"] == [0, 1, 2]
    assert rows["greedy soup"]["score"] >= max(rows[f"trial {n}"]["score"] for n in range(3))
    assert rows["greedy soup"]["verdict"] == rows["uniform soup"]["verdict"] == "kept"
    assert rows["probability average"]["verdict"] == "not kept: worse"
    # of two soups that are kept the better one is delivered, and only that one was shown the test documents
    assert "test" in rows["greedy soup"]
    assert not {"test"} & (rows["uniform soup"].keys() | rows["probability average"].keys())
    folder = house.folder(order) / "model"
    found = weights(folder)
    one, other = (weights(house.root / f"studies/soup/{LENGTH}/{n}/model") for n in (0, 1))
    assert found.keys() == one.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, (one[name] + other[name]) / 2)
    assert house.result(order)["score"] == 1.0
    assert not (house.folder(order) / "ensemble").exists()
    card = (folder / "README.md").read_text()
    assert "greedy soup of 2 models of study `soup` (its trials 0 and 1)" in card
    assert "this model is better than it: score 1.000" in card
    from transformers import AutoModelForMaskedLM

    assert AutoModelForMaskedLM.from_pretrained(folder).config.max_position_embeddings == LENGTH


def test_what_is_not_shown_to_be_better_is_not_kept(house: House, join: Join) -> None:
    # averaged probabilities are a little ahead: by luck, for all that 60 documents can say
    order, rows = join("luck", 0.30, 0.31, 0.29, averaging=0.72)
    verdicts = {rows[way]["verdict"] for way in ("uniform soup", "greedy soup", "probability average")}
    assert verdicts <= {"not kept: no difference shown", "not kept: no model made the best one better"}
    assert "not kept: no difference shown" in verdicts
    result = house.result(order)
    assert result["score"] == max(rows[f"trial {n}"]["score"] for n in range(3))
    assert "test" not in result
    assert not (house.folder(order) / "model").exists()
    assert rows["greedy soup"]["score"] >= result["score"]


def test_probabilities_are_averaged_where_that_is_better(
    house: House, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, rows = join("average", 0.2, 0.1, averaging=0.9, grown=1)
    # their position ranges differ: equal weights would mean different things
    assert "uniform soup" not in rows
    assert rows["probability average"]["verdict"] == "kept"
    folder = house.folder(order) / "ensemble"
    members = json.loads((folder / "members.json").read_text())["members"]
    assert members == ["trial-0", "trial-1"]
    # its members are its own, whatever becomes of the study
    shutil.rmtree(house.root / f"studies/average/{LENGTH}")
    readme = (folder / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```", readme, re.S)
    assert code is not None
    space: dict[str, Any] = {}
    monkeypatch.chdir(folder)  # as the card has it
    exec(code.group(1), space)
    found = space["probabilities"]("철수가 [MASK]에 갔다.")
    each = [
        model(**space["tokenizer"]("철수가 [MASK]에 갔다.", return_tensors="pt")) for model in space["models"]
    ]
    torch.testing.assert_close(found, sum(one.logits.softmax(-1) for one in each) / 2)


def test_probability_mean_is_what_the_members_say_on_average(house: House) -> None:
    members = [load_masked_lm(str(house.root / "models/tiny"), seq_len=LENGTH) for _ in range(2)]
    with torch.no_grad():
        members[1].cls.predictions.bias.normal_()
    both = ProbabilityMean(members)
    ids = torch.randint(10, 200, (2, 16))
    positions = torch.tensor([[0, 3], [1, 7]])
    with torch.no_grad():
        expected = sum(m(ids).logits.softmax(-1) for m in members) / 2
        torch.testing.assert_close(both(ids).exp(), expected)
        found = both.masked_logits(ids, None, positions).exp()
    torch.testing.assert_close(found, expected[positions[:, 0], positions[:, 1]], atol=1e-5, rtol=1e-4)


def test_a_member_without_a_model_is_one_sentence(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    purpose = PurposeSpec(kind="ensemble", study="gone", trials=(4, 5))
    order = house.order(
        "gone", spec=house.spec.model_copy(update={"purpose": purpose, "trials": 1}), params={}
    )
    settings = Settings(data_dir=house.root, storage_url=house.storage, bus=None)
    with pytest.raises(TrialError, match="trial 4 of study 'gone' has no model") as error:
        run_training(order, settings, Bus(None), StopSignal())
    assert "\n" not in str(error.value)
