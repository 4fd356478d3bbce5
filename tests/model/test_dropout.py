"""Dropout inside the blocked attention: right rate, right scale, the same mask in the backward pass."""

import pytest
import torch
from reference import relative

from coref_k8s.model import tiles
from coref_k8s.model.attention import blocked_attention
from coref_k8s.model.buckets import bucket_table
from coref_k8s.model.compiled_tiles import CompiledTile, tile_kind
from coref_k8s.model.dropout import SeededDropout
from coref_k8s.model.layout import layout_of
from coref_k8s.model.tiling import Terms


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


def masked_probabilities(query, key, value, terms, layout, kept):
    """Attention in one formula, float64, with the given dropout mask (heads, length, length)."""
    query, key, value, pos_key, pos_query = (t.double() for t in (query, key, value, *terms[1:]))
    settings = terms[0]
    length = query.shape[2]
    distances = torch.arange(length)[:, None] - torch.arange(length)
    rows = settings.table.reversed_rows[settings.table.length - 1 - distances].expand(query.shape[1], -1, -1)
    scores = query[0] @ key[0].mT
    scores = scores + (query[0] @ pos_key.mT).gather(2, rows)
    scores = scores + (key[0] @ pos_query.mT).gather(2, rows.mT).mT
    (span,) = layout.spans
    outside = torch.ones(length, dtype=torch.bool)
    outside[span.start : span.end] = False
    probabilities = (scores / settings.scale).masked_fill(outside, -torch.inf).softmax(2)
    return (probabilities * kept / (1 - settings.dropout)) @ value[0]


def test_compiled_loops_draw_the_same_mask_twice_and_differentiate_through_it(monkeypatch):
    """The mask is read from the output for values that are unit vectors."""
    monkeypatch.setattr(tiles, "TILE_ELEMENTS_CPU", 2000)
    torch.manual_seed(0)
    length = size = 90
    table = bucket_table(length, 8, 16, torch.device("cpu"))
    terms = Terms(scale=30.0, table=table, dropout=0.25)
    inputs = [torch.randn(1, 2, length, size) for _ in range(3)] + [
        torch.randn(2, 16, size) for _ in range(2)
    ]
    inputs = [tensor.requires_grad_() for tensor in inputs]
    query, key, value, pos_key, pos_query = inputs
    layout = layout_of((torch.arange(length) > 6)[None], 1, length)
    assert tile_kind(query, layout) is CompiledTile
    units = torch.eye(length).expand(1, 2, -1, -1)
    kept = blocked_attention(query, key, units, pos_key, pos_query, terms, layout, seed=9)[0].detach() > 0
    kept[:, :7] = True  # padding gets a mean, which no dropout touches
    real = kept[:, 7:, 7:].double()
    assert abs(real.mean() - 0.75) < 5 * (0.25 * 0.75 / real.numel()) ** 0.5
    # one head's mask says nothing about the other's, nor a row's about the next one's
    for one, other in ((real[0], real[1]), (real[:, 1:], real[:, :-1])):
        assert abs(((one - 0.75) * (other - 0.75)).mean()) < 5 * 0.25 * 0.75 / one.numel() ** 0.5
    found = blocked_attention(*inputs, terms, layout, seed=9)
    expected = masked_probabilities(query, key, value, (terms, pos_key, pos_query), layout, kept)[:, 7:]
    assert relative(found[0, :, 7:].detach(), expected.detach()) <= 1e-5
    weights = torch.randn(expected.shape, dtype=torch.float64)
    ours = torch.autograd.grad((found[0, :, 7:] * weights.float()).sum(), inputs)
    theirs = torch.autograd.grad((expected * weights).sum(), inputs)
    for one, other in zip(ours, theirs, strict=True):
        assert relative(one, other) <= 1e-5


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
