"""A model saved at its length is opened by plain Hugging Face, at that length, and is the same model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from coref_k8s.corpus.shipped import shipped_tokenizer
from coref_k8s.model.load import load_masked_lm
from coref_k8s.model.saving import save_at_length
from coref_k8s.model.small import create_small_model

LENGTH = 1024


@pytest.mark.parametrize("position_range", ["clamp", "rescale", "grow"])
def test_the_configuration_says_the_length_and_the_logits_stay(position_range: str, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(shipped_tokenizer())
    create_small_model(tmp_path / "base", tokenizer, layers=1, hidden=32, heads=2, intermediate=32)
    model = load_masked_lm(str(tmp_path / "base"), seq_len=LENGTH, position_range=position_range)
    # the small model's own range must be shorter, or there would be nothing to keep
    assert AutoModelForMaskedLM.from_pretrained(tmp_path / "base").config.max_position_embeddings < LENGTH
    with torch.no_grad():  # far rows that differ, so that a range read wrongly shows
        model.deberta.encoder.rel_embeddings.weight.normal_(std=2.0)
    ids = torch.randint(10, 200, (1, LENGTH))
    mask = torch.ones_like(ids)
    with torch.no_grad():
        expected = model(ids, attention_mask=mask).logits
    save_at_length(model, tokenizer, tmp_path / "saved", LENGTH)
    plain = AutoModelForMaskedLM.from_pretrained(tmp_path / "saved").eval()
    assert plain.config.max_position_embeddings == LENGTH
    assert AutoTokenizer.from_pretrained(tmp_path / "saved").model_max_length == LENGTH
    with torch.no_grad():
        found = plain(ids, attention_mask=mask).logits
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-3)
    # and to us it is the same model again, whichever choice it was trained with
    again = load_masked_lm(str(tmp_path / "saved"), seq_len=LENGTH, position_range=position_range)
    with torch.no_grad():
        torch.testing.assert_close(again(ids, attention_mask=mask).logits, expected)
