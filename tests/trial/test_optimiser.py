"""Learning rates by layer and by step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coref_k8s.trial.hyperparameters import Hyperparameters
from coref_k8s.trial.optimiser import build_optimiser, parameter_groups, rate_factor, set_rates
from tests.trial.synthetic import model


def rates(net: torch.nn.Module, hyper: Hyperparameters) -> dict[str, tuple[float, float]]:
    """(learning rate, weight decay) of every parameter by name."""
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in parameter_groups(net, hyper)
        for parameter in group["params"]
    }


def test_lower_layers_learn_more_slowly(tmp_path: Path) -> None:
    net = model(tmp_path)
    found = rates(net, Hyperparameters(learning_rate=1e-3, layer_decay=0.5, weight_decay=0.04))
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
    found = rates(model(tmp_path), Hyperparameters(learning_rate=1e-3, layer_decay=1.0))
    assert {rate for rate, _ in found.values()} == {1e-3}


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
    optimiser = build_optimiser(
        net, Hyperparameters(learning_rate=1e-3, layer_decay=0.5), torch.device("cpu")
    )
    for factor in (0.5, 0.1):  # not compounding
        set_rates(optimiser, factor)
        assert optimiser.param_groups[-1]["lr"] == pytest.approx(1e-3 * factor)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(1.25e-4 * 0.1)
