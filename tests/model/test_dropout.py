"""Dropout inside the blocked attention: right rate, right scale, the same mask in the backward pass."""

import pytest
import torch

from coref_k8s.model import tiles
from coref_k8s.model.attention import Terms, blocked_attention
from coref_k8s.model.buckets import bucket_table
from coref_k8s.model.dropout import SeededDropout
from coref_k8s.model.layout import layout_of


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5])
def test_rate_and_scale(rate):
    dropout = SeededDropout(rate, 7, torch.device("cpu"))
    kept = torch.stack([dropout.keep(torch.empty(400, 501), tile) for tile in range(5)]).double()
    # Five standard deviations of a million draws; every one of the four lanes of a random word.
    deviation = 5 * (rate * (1 - rate) / (kept.numel() / 4)) ** 0.5
    for lane in range(4):
        assert abs(float(kept.flatten(1)[:, lane::4].mean()) - (1 - rate)) < deviation
    assert dropout.scale == pytest.approx(1 / (1 - rate), rel=1e-4)


def test_masks_depend_on_seed_and_tile_alone():
    one, two = (SeededDropout(0.3, 11, torch.device("cpu")) for _ in range(2))
    first = one.keep(torch.empty(3, 50), 4)
    assert torch.equal(first, two.keep(torch.empty(3, 50), 4))
    assert not torch.equal(first, two.keep(torch.empty(3, 50), 5))
    assert not torch.equal(first, SeededDropout(0.3, 12, torch.device("cpu")).keep(torch.empty(3, 50), 4))


def test_gradients_are_those_of_the_function_that_was_computed(monkeypatch):
    """Central differences through the very same masks, in float64."""
    monkeypatch.setattr(tiles, "TILE_ELEMENTS_CPU", 400)
    torch.manual_seed(0)
    length, heads, size = 40, 2, 3
    table = bucket_table(length, 8, 16, torch.device("cpu"))
    terms = Terms(scale=2.0, table=table, dropout=0.3)
    shapes = [(1, heads, length, size)] * 3 + [(heads, 16, size)] * 2
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    documents = torch.tensor([[1] * 23 + [2] * 14 + [0] * 3])
    layout = layout_of(documents, 1, length)

    def run(*tensors):
        return blocked_attention(*tensors, terms, layout, seed=5)

    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)
    assert not torch.equal(run(*inputs), blocked_attention(*inputs, terms, layout, seed=6))


def test_the_mean_over_masks_is_the_output_without_dropout():
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, 2, 24, 4) for _ in range(3))
    layout = layout_of(None, 1, 24)
    exact = blocked_attention(query, key, value, None, None, Terms(2.0, None, 0.0), layout)
    total = sum(
        blocked_attention(query, key, value, None, None, Terms(2.0, None, 0.2), layout, seed=seed * 1000)
        for seed in range(800)
    )
    assert float((total / 800 - exact).abs().max()) < 0.12
