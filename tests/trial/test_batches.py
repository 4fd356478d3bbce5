"""Which sequences make a step, and the tensors they become."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coref_k8s.model.loss import masked_lm_loss
from coref_k8s.trial.batches import StepPlan
from coref_k8s.trial.hyperparameters import Hyperparameters
from tests.trial.synthetic import PAD, SEQ_LEN, model, source


@given(rows=st.integers(1, 90), size=st.integers(1, 9), seed=st.integers(0, 9))
def test_every_sequence_comes_once_an_epoch(rows: int, size: int, seed: int) -> None:
    lengths = np.random.default_rng(seed).integers(8, 64, rows)
    plan = StepPlan(lengths, size, seed)
    # steps come shuffled within windows of 16; whole windows hold whole stretches of the stream
    steps = 16 * -(-rows // 16)
    seen = np.concatenate([plan.rows(step) for step in range(steps)])
    counts = np.bincount(seen, minlength=rows)
    assert counts.max() - counts.min() <= 1
    assert plan.steps(1.0) == -(-rows // size)


def test_a_step_is_the_same_whenever_it_is_asked_for() -> None:
    lengths = np.random.default_rng(0).integers(8, 64, 300)
    plan, again = StepPlan(lengths, 4, 7), StepPlan(lengths, 4, 7)
    forwards = [plan.rows(step) for step in range(40)]
    backwards = [again.rows(step) for step in reversed(range(40))][::-1]
    assert all((a == b).all() for a, b in zip(forwards, backwards, strict=True))
    other = StepPlan(lengths, 4, 8)
    assert any((a != other.rows(step)).any() for step, a in enumerate(forwards))


def test_padding_is_little_on_uneven_lengths() -> None:
    lengths = np.random.default_rng(0).integers(100, 2048, 2000)
    plan = StepPlan(lengths, 8, 0)
    real = padded = 0
    for step in range(200):
        rows = lengths[plan.rows(step)]
        real += rows.sum()
        padded += 8 * rows.max()
    assert padded / real < 1.12


@pytest.mark.parametrize("batch_size", [1, 2, 3, 6])
def test_however_a_step_is_cut_its_loss_and_gradients_are_the_same(tmp_path: Path, batch_size: int) -> None:
    steps, _ = source(Hyperparameters(), effective_batch=6)
    data = steps.step(3)
    net = model(tmp_path, dropout=0.0)

    def backward(size: int) -> tuple[float, torch.Tensor]:
        net.zero_grad()
        total = 0.0
        for batch, weight in data.batches(size):
            loss = masked_lm_loss(net, batch) * weight
            loss.backward()
            total += loss.item()
        return total, torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])

    whole, whole_gradient = backward(6)
    cut, cut_gradient = backward(batch_size)
    assert cut == pytest.approx(whole, rel=1e-5)
    assert torch.allclose(cut_gradient, whole_gradient, atol=1e-5)
    assert sum(weight for _, weight in data.batches(batch_size)) == pytest.approx(1.0)


def test_batches_hold_what_the_loss_reads() -> None:
    steps, _ = source(Hyperparameters(), effective_batch=8)
    packed = plain = 0
    for step in range(20):
        for batch, _ in steps.step(step).batches(2):
            rows, length = batch["input_ids"].shape
            assert length % 8 == 0
            assert length <= SEQ_LEN
            assert batch["labels"].shape == (rows, length)
            found = torch.nonzero(batch["labels"].flatten() != -100).flatten()
            assert torch.equal(found, batch["masked_positions"])
            real = batch["input_ids"] != PAD
            if "segment_ids" in batch:
                packed += 1
                assert torch.equal(batch["segment_ids"] > 0, real)
                assert "attention_mask" not in batch
            else:
                plain += 1
                mask = batch.get("attention_mask")
                assert torch.equal(mask.bool(), real) if mask is not None else real.all()
    assert packed
    assert plain
