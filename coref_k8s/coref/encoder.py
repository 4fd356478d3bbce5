"""Encoders under the head: DeBERTa-v2 by the project's own engine, any other by its own Hugging Face code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from coref_k8s.model.load import load_encoder
from coref_k8s.model.tokeniser import open_tokenizer as open_any
from coref_k8s.text.alignment import check_offsets

#: Special tokens around a window.
SPECIALS = 2


def open_encoder(name: str, seq_len: int, **arguments: Any) -> nn.Module:
    """Open an encoder, or the encoder of a masked LM, for windows of `seq_len` tokens; `load_encoder`'s arguments.

    Raises ModelError when it cannot be opened or does not hold that many tokens.
    """
    model: Any = load_encoder(name, seq_len=seq_len, **arguments)
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # nobody reads it, and an optimiser would decay it
    encoder: nn.Module = model
    return encoder


def open_tokenizer(name: str | Path, revision: str | None = None) -> Any:
    """Open the tokeniser of an encoder. Raises ModelError when it cannot be opened or gives no offsets."""
    tokenizer = open_any(str(name), revision)
    check_offsets(tokenizer)
    return tokenizer
