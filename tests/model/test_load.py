"""Opening models: what loads, what is refused, and that a saved model is Hugging Face's own."""

import json

import pytest
import torch
from reference import make_batch
from transformers import AutoModelForMaskedLM

from coref_k8s.errors import ModelError
from coref_k8s.model.convert import is_lean
from coref_k8s.model.load import load_masked_lm
from coref_k8s.model.loss import masked_lm_loss


def test_weights_and_names_are_unchanged(small_folder, tmp_path):
    model = load_masked_lm(str(small_folder), seq_len=128)
    assert is_lean(model)
    model.save_pretrained(tmp_path)
    plain = AutoModelForMaskedLM.from_pretrained(small_folder).state_dict()
    saved = AutoModelForMaskedLM.from_pretrained(tmp_path).state_dict()
    assert plain.keys() == saved.keys()
    assert all(torch.equal(plain[name], saved[name]) for name in plain)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["DebertaV2ForMaskedLM"]


def test_eager_is_hugging_face_untouched(small_folder):
    eager = load_masked_lm(str(small_folder), seq_len=128, attention="eager")
    lean = load_masked_lm(str(small_folder), seq_len=128)
    assert not is_lean(eager)
    batch = make_batch([90, 128])
    assert masked_lm_loss(eager, batch).item() == pytest.approx(eager(**batch).loss.item(), rel=1e-6)
    assert masked_lm_loss(lean, batch).item() == pytest.approx(eager(**batch).loss.item(), rel=1e-5)


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(ModelError, match="cannot be opened"):
        load_masked_lm(str(tmp_path / "nothing"), seq_len=64)


def test_an_unknown_attention_is_refused(small_folder):
    with pytest.raises(ModelError, match="auto, blocked, eager and flash"):
        load_masked_lm(str(small_folder), seq_len=64, attention="sdpa")
