"""Trials of the task `coreference` as processes: trained, killed and gone on with, and what they leave."""

from __future__ import annotations

import json
import os
import random
import signal
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from coref_k8s import Resolver
from coref_k8s.store import Store
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order
from coref_k8s.study.spec import DatasetConfig, DataSpec, PurposeSpec
from coref_k8s.trial.final import as_it_came
from coref_k8s.trial.session import trainer_of
from coref_k8s.trial.signals import StopSignal
from coref_k8s.trial.task import open_task
from coref_k8s.trial.training import never
from coref_k8s.wording import Message
from tests.trial.conftest import LENGTH, RESOURCES, House
from tests.trial.test_preemption import disturb

STEPS = 16
PARAMS = {"learning_rate": 3e-3, "head_learning_rate": 3e-3, "head_epochs": 2.0, "head_dropout": 0.1}


@pytest.fixture(scope="module")
def people(house: House) -> House:
    """The same data folder with documents of people prepared."""
    spec = house.spec.model_copy(
        update={
            "task": "coreference",
            "data": DataSpec(sources=(DatasetConfig(source="people:24"),), dev_share=0.2, test_share=0.2),
            "training": house.spec.training.model_copy(update={"max_steps": STEPS}),
            "objective": type(house.spec.objective)(weights={"conll_f1": 0.5, "mention_f1": 0.5}),
        }
    )
    Store(house.storage).create_study("", "p", spec)
    order = Order(kind=Kind.PREPARE, study="p", spec=spec, resources=RESOURCES, workdir="studies/p/prepare")
    process = house.start(order)
    assert process.wait() == 0, process.log
    return House(house.root, house.result(order)["prepared"], house.storage, spec, house.processes)


@pytest.fixture(scope="module")
def undisturbed(people: House) -> Order:
    """A trial that ran through."""
    order = people.order("chains", params=PARAMS)
    process = people.start(order)
    assert process.wait() == 0, process.log
    return order


def outcome(house: House, order: Order) -> tuple[Any, ...]:
    """Every loss, the weights of encoder and head, and the scores."""
    folder = house.folder(order)
    metrics = {k: v for k, v in house.result(order)["metrics"].items() if "seconds" not in k}
    weights = [
        (folder / "model" / name).read_bytes() for name in ("model.safetensors", "coref_head.safetensors")
    ]
    return json.loads((folder / "losses.json").read_text()), weights, metrics


def test_a_trial_ends_with_scores_and_a_model_that_resolves(people: House, undisturbed: Order) -> None:
    result = people.result(undisturbed)
    metrics = result["metrics"]
    assert metrics["score"] == pytest.approx(0.5 * metrics["conll_f1"] + 0.5 * metrics["mention_f1"])
    assert {"lea_f1", "gold_conll_f1", "gold_equal_conll_f1", "conll_f1_ci_low"} <= metrics.keys()
    assert result["steps"] > STEPS, "the head's own steps come after those of the request"
    assert [one["step"] for one in result["evaluations"]][-1] == result["steps"]
    losses = json.loads((people.folder(undisturbed) / "losses.json").read_text())
    assert sum(losses[-4:]) < sum(losses[:4])
    folder = people.folder(undisturbed) / "model"
    assert AutoModel.from_pretrained(folder).config.model_type == "deberta-v2"
    found = Resolver.from_pretrained(folder)("민수는 책을 샀다. 그는 그 책을 읽었다.")
    assert found.text
    config = json.loads((folder / "coref.json").read_text())
    items = json.loads((people.folder(undisturbed) / "items-dev.json").read_text())
    assert config["thresholds"] == items["thresholds"]


def test_it_is_killed_and_gone_on_with_bit_for_bit(people: House, undisturbed: Order) -> None:
    order = people.order("chains-sigterm", params=PARAMS)
    rng = random.Random(5)
    times = disturb(people, undisturbed, order, rng, signal.SIGTERM)
    assert outcome(people, order) == outcome(people, undisturbed), f"after {times} signals"


def _stopped_while_the_head_learns() -> None:
    """Patch this process: it is told to stop once the first step over whole documents is taken."""
    from coref_k8s.trial.training import Trainer

    step = Trainer._step

    def step_and_stop(self: Trainer, feed: Any) -> None:
        step(self, feed)
        if self.progress.step == STEPS + 1:
            os.kill(os.getpid(), signal.SIGTERM)

    Trainer._step = step_and_stop  # type: ignore[method-assign]


def test_it_is_killed_while_the_head_learns_alone(people: House, undisturbed: Order) -> None:
    order = people.order("chains-late", params=PARAMS)
    first = people.start(order, before=_stopped_while_the_head_learns)
    assert first.wait() == 143, first.log
    second = people.start(order)
    assert second.wait() == 0, second.log
    (begin,) = second.events("trial_begin")
    assert begin["step"] == STEPS + 1
    assert outcome(people, order) == outcome(people, undisturbed)


def test_the_untuned_encoder_is_scored_with_a_head_that_learns_over_it(people: House) -> None:
    order = people.order("chains-untuned", kind=Kind.FINALIST, trial_id=None, untuned=True, params={})
    process = people.start(order)
    assert process.wait() == 0, process.log
    result = people.result(order)
    assert result["steps"] > 0
    assert 0 <= result["test"]["metrics"]["conll_f1"] <= 1
    assert not (people.folder(order) / "model").exists()


def test_a_final_training_has_a_card_and_is_compared_with_the_untuned_encoder(people: House) -> None:
    purpose = PurposeSpec(kind="train", study="parent", trials=(4,))
    spec = people.spec.model_copy(update={"purpose": purpose, "trials": 1})
    order = people.order("chains-final", spec=spec, params=PARAMS)
    process = people.start(order)
    assert process.wait() == 0, process.log
    folder = people.folder(order) / "model"
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "from coref_k8s import Resolver" in text
    assert "zero anaphora" in text
    assert "masked" not in text
    assert all(heading in text for heading in ("CoNLL F1", "LEA", "mentions found", "gold mentions"))
    rows = people.result(order)["comparisons"]
    assert {(row["split"], row["metric"]) for row in rows} >= {("test", "score"), ("dev", "score")}


def test_an_ensemble_averages_weights_and_link_scores(people: House) -> None:
    for number in (0, 1):
        member = people.order("", params=PARAMS, seed=number).model_copy(
            update={"workdir": f"studies/chained/{LENGTH}/{number}"}
        )
        assert (process := people.start(member)).wait() == 0, process.log
    purpose = PurposeSpec(kind="ensemble", study="chained", trials=(0, 1))
    spec = people.spec.model_copy(update={"purpose": purpose, "trials": 1})
    order = people.order("chained-joined", spec=spec, params={})
    process = people.start(order)
    assert process.wait() == 0, process.log
    rows = people.result(order)["ensemble"]
    assert len(rows) == 5  # two models, two soups, and the mean of what they think likely
    assert Message.load(rows[-1]["way"]).say() == "link score average"
    best = max(row["score"] for row in rows[:2])
    assert people.result(order)["score"] >= best


def test_a_study_begins_with_what_another_task_has_tuned(people: House, house: House) -> None:
    tuned = house.order("fills-masks", spec=house.training(max_steps=4))
    assert (process := house.start(tuned)).wait() == 0, process.log
    model = f"{tuned.workdir}/model"
    order = people.order(
        "chains-on-mentions", spec=people.spec.model_copy(update={"model": model}), params=PARAMS
    )
    assert (process := people.start(order)).wait() == 0, process.log
    before = load_file(house.root / model / "model.safetensors")
    after = load_file(people.folder(order) / "model/model.safetensors")
    shared = {name.removeprefix("deberta."): value for name, value in before.items()}
    assert any(name in shared and shared[name].shape == value.shape for name, value in after.items())
    assert not any(torch.isnan(value).any() for value in after.values())


def test_training_goes_on_from_a_coreference_model(people: House, undisturbed: Order) -> None:
    model = f"{undisturbed.workdir}/model"
    order = people.order("chains-again", spec=people.spec.model_copy(update={"model": model}), params=PARAMS)
    assert (process := people.start(order)).wait() == 0, process.log
    again = json.loads((people.folder(order) / "losses.json").read_text())
    first = json.loads((people.folder(undisturbed) / "losses.json").read_text())
    assert again[0] < first[0], "the head is taken over, too"


def test_the_untuned_encoder_is_not_judged_by_what_was_trained_before_it(people: House) -> None:
    order = people.order("chains-twice", params=PARAMS)
    task = open_task(order, people.root, StopSignal(), lambda _: None)
    trained = trainer_of(task)
    trained.run(never, lambda _: True)
    before = {name: value.clone() for name, value in trained.model.state_dict().items()}
    fresh, after_training = (
        as_it_came(open_task(order, people.root, StopSignal(), lambda _: None)),
        as_it_came(task),
    )
    for name, value in fresh.state_dict().items():
        assert torch.equal(value, after_training.state_dict()[name]), name
    assert any(not torch.equal(value, before[name]) for name, value in fresh.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in trained.model.state_dict().items())
