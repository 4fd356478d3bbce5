"""Learning rates by layer and by step."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM

from coref_k8s.coref.head import CorefHead, HeadSizes
from coref_k8s.coref.model import CorefConfig, CorefModel
from coref_k8s.trial.optimiser import Rates, build_optimiser, parameter_groups, rate_factor, set_rates
from tests.trial.synthetic import model

SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
    **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0),
}


def rates(net: torch.nn.Module, asked: Rates) -> dict[str, tuple[float, float]]:
    """(learning rate, weight decay) of every parameter by name."""
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in parameter_groups(net, asked)
        for parameter in group["params"]
    }


def test_lower_layers_learn_more_slowly(tmp_path: Path) -> None:
    net = model(tmp_path)
    found = rates(net, Rates(learning_rate=1e-3, layer_decay=0.5, weight_decay=0.04))
    assert set(found) == {name for name, _ in net.named_parameters()}, "every parameter is in one group"
    rate = {name: lr for name, (lr, _) in found.items()}
    assert rate["cls.predictions.transform.dense.weight"] == pytest.approx(1e-3)
    assert rate["deberta.encoder.layer.1.attention.self.query_proj.weight"] == pytest.approx(5e-4)
    assert rate["deberta.encoder.layer.0.output.dense.bias"] == pytest.approx(2.5e-4)
    assert rate["deberta.embeddings.word_embeddings.weight"] == pytest.approx(1.25e-4)
    assert rate["deberta.encoder.rel_embeddings.weight"] == pytest.approx(5e-4)
    decay = {name: decay for name, (_, decay) in found.items()}
    assert decay["deberta.encoder.layer.0.output.dense.weight"] == 0.04
    assert decay["deberta.encoder.layer.0.output.dense.bias"] == 0
    assert decay["deberta.encoder.layer.0.output.LayerNorm.weight"] == 0


def test_no_decay_means_one_rate(tmp_path: Path) -> None:
    found = rates(model(tmp_path), Rates(learning_rate=1e-3, layer_decay=1.0))
    assert {rate for rate, _ in found.values()} == {1e-3}


@pytest.mark.parametrize(
    ("kind", "sizes", "embeddings", "layer", "shared", "head"),
    [
        (
            "bert",
            {},
            "bert.embeddings.position_embeddings",
            "bert.encoder.layer.{}.output.dense",
            None,
            "cls.predictions.transform.dense",
        ),
        (
            "camembert",  # its table's first name is the head's
            {},
            "roberta.embeddings.word_embeddings",
            "roberta.encoder.layer.{}.output.dense",
            None,
            "lm_head.dense",
        ),
        (
            "electra",
            {"embedding_size": 8},
            "electra.embeddings_project",
            "electra.encoder.layer.{}.output.dense",
            None,
            "generator_predictions.dense",
        ),
        (
            "modernbert",
            {},
            "model.embeddings.tok_embeddings",
            "model.layers.{}.mlp.Wo",
            "model.final_norm",
            "head.dense",
        ),
        (
            "distilbert",
            {"dim": 16, "n_layers": 3, "n_heads": 2},
            "distilbert.embeddings.word_embeddings",
            "distilbert.transformer.layer.{}.ffn.lin2",
            None,
            "vocab_transform",
        ),
        (
            "deberta",
            {"relative_attention": True, "pos_att_type": ["c2p"]},
            "deberta.embeddings.word_embeddings",
            "deberta.encoder.layer.{}.output.dense",
            "deberta.encoder.rel_embeddings",
            "cls.predictions.transform.dense",
        ),
        (
            "albert",
            {"embedding_size": 8, "num_hidden_groups": 3},
            "albert.encoder.embedding_hidden_mapping_in",
            "albert.encoder.albert_layer_groups.{}.albert_layers.0.ffn",
            None,
            "predictions.dense",
        ),
    ],
)
def test_the_layers_of_every_architecture_are_known(
    kind: str, sizes: dict, embeddings: str, layer: str, shared: str | None, head: str
) -> None:
    net = AutoModelForMaskedLM.from_config(AutoConfig.for_model(kind, **{**SIZES, **sizes}))
    weight = {id(module.weight): name for name, module in net.named_modules() if hasattr(module, "weight")}
    rate = {
        weight[id(parameter)]: group["lr"]
        for group in parameter_groups(net, Rates(1.0, layer_decay=0.5))
        for parameter in group["params"]
        if id(parameter) in weight
    }
    modules = dict(net.named_modules())

    def rate_of(name: str) -> float:
        return rate[weight[id(modules[name].weight)]]

    assert rate_of(head) == 1.0
    assert [rate_of(layer.format(number)) for number in range(3)] == [0.125, 0.25, 0.5]
    assert rate_of(embeddings) == 0.0625
    assert rate[weight[id(net.get_input_embeddings().weight)]] == 0.0625
    if shared is not None:
        assert rate_of(shared) == 0.5


def test_a_coreference_head_has_a_rate_of_its_own() -> None:
    encoder = AutoModel.from_config(AutoConfig.for_model("modernbert", **SIZES))
    tokenizer = SimpleNamespace(cls_token_id=0, sep_token_id=0)
    net = CorefModel(encoder, CorefHead(HeadSizes(16)), tokenizer, CorefConfig(HeadSizes(16), 32))
    asked = Rates(1e-4, layer_decay=0.5, head_learning_rate=1e-3)
    rate = {name: lr for name, (lr, _) in rates(net, asked).items()}
    assert set(rate) == {name for name, _ in net.named_parameters()}
    assert {lr for name, lr in rate.items() if name.startswith("head.")} == {1e-3}
    assert rate["encoder.final_norm.weight"] == rate["encoder.layers.2.mlp.Wo.weight"] == 1e-4
    assert rate["encoder.layers.0.mlp.Wo.weight"] == 0.25e-4
    assert rate["encoder.embeddings.tok_embeddings.weight"] == 0.125e-4
    net.encoder.requires_grad_(False)
    assert {name.split(".")[0] for name in rates(net, asked)} == {"head"}, "what is at rest is in no group"


@given(steps=st.integers(1, 300), ratio=st.floats(0, 1))
def test_the_rate_rises_then_falls_and_is_never_zero(steps: int, ratio: float) -> None:
    factors = [rate_factor(step, steps, ratio) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
    top = factors.index(max(factors))
    assert factors[top] == 1.0
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    assert abs(top - ratio * steps) <= 1


def test_rates_are_set_from_their_peaks(tmp_path: Path) -> None:
    net = model(tmp_path)
    optimiser = build_optimiser(net, Rates(learning_rate=1e-3, layer_decay=0.5), torch.device("cpu"))
    for factor in (0.5, 0.1):  # not compounding
        set_rates(optimiser, factor)
        assert optimiser.param_groups[-1]["lr"] == pytest.approx(1e-3 * factor)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(1.25e-4 * 0.1)
