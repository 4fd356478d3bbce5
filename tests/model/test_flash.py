"""The library's kernel behind our attention: same numbers, checked before use, refused when it differs."""

import copy
import importlib

import pytest
import torch
from reference import assert_equal_step, assert_same_gradients, make_batch, make_pair

from coref_k8s.errors import ModelError
from coref_k8s.model import flash
from coref_k8s.model.load import load_masked_lm
from coref_k8s.model.loss import masked_lm_loss

CPU = torch.device("cpu")


@pytest.fixture
def calls(monkeypatch):
    """How often the library's attention was called since."""
    library = importlib.import_module("disentangled_flash._torch").TorchTrainingDisentangledSelfAttention
    seen, forward = [], library.forward

    def counted(*arguments, **named):
        seen.append(1)
        return forward(*arguments, **named)

    monkeypatch.setattr(library, "forward", counted)
    return seen


@pytest.mark.parametrize("share", [True, False], ids=["shared", "own"])
def test_a_step_through_the_library_is_hugging_faces(share, calls):
    theirs, ours = make_pair(num_hidden_layers=3, share_att_key=share)
    assert flash.use_flash(ours, CPU, demanded=True)
    calls.clear()
    assert_equal_step(theirs, ours, make_batch([90, 61]))
    # two layers in the loss (the last one asks for a few queries only), three in the full logits
    assert len(calls) == 5


def test_packed_documents_go_the_blocked_way(calls):
    _, blocked = make_pair(num_hidden_layers=3)
    ours = copy.deepcopy(blocked)
    flash.use_flash(ours, CPU, demanded=True)
    calls.clear()
    batch = make_batch([80])
    packed = {
        "input_ids": batch["input_ids"],
        "labels": batch["labels"],
        "segment_ids": torch.tensor([[1] * 30 + [2] * 50]),
    }
    for model in (blocked, ours):
        masked_lm_loss(model, packed).backward()
    assert_same_gradients(ours, blocked)
    assert not calls


def test_the_weights_keep_their_one_name(small_folder, tmp_path):
    model = load_masked_lm(str(small_folder), seq_len=128, attention="flash")
    plain = load_masked_lm(str(small_folder), seq_len=128, attention="eager")
    masked_lm_loss(model, make_batch([100]))
    assert model.state_dict().keys() == plain.state_dict().keys()
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.zero_()
    ids = make_batch([100])["input_ids"]
    assert torch.allclose(model(ids).logits, plain(ids).logits, atol=1e-5)


def test_a_library_that_computes_something_else_is_not_used(small_folder, monkeypatch):
    attention = importlib.import_module("disentangled_flash._torch")
    right = attention._torch_disentangled_attention

    def wrong(*arguments, **named):
        return right(*arguments, **named | {"scale": 1.1 * named["scale"]})

    monkeypatch.setattr(attention, "_torch_disentangled_attention", wrong)
    with pytest.raises(ModelError, match=r"differ by .*attention='auto'"):
        load_masked_lm(str(small_folder), seq_len=128, attention="flash")
    model = load_masked_lm(str(small_folder), seq_len=128)
    assert not flash.use_flash(model, CPU, demanded=False)
    assert not any(isinstance(module, flash.FlashSelfAttention) for module in model.modules())


def test_without_the_library_the_way_to_it_is_said(small_folder, monkeypatch):
    monkeypatch.setattr(flash, "LIBRARY", "disentangled_flash_that_is_not_here")
    with pytest.raises(ModelError, match=r"not installed; pip install 'coref-k8s\[flash\]'"):
        load_masked_lm(str(small_folder), seq_len=128, attention="flash")
