"""Encoders under the head: DeBERTa-v2 by the project's own engine, any other by its own Hugging Face code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from coref_k8s.errors import ModelError
from coref_k8s.model.convert import convert
from coref_k8s.model.positions import apply_position_range
from coref_k8s.wording import Message

#: What a folder with a tokeniser has one of.
_TOKENISER_FILES = ("tokenizer.json", "vocab.*", "*.model")
#: Special tokens around a window.
SPECIALS = 2


def open_encoder(
    name: str, seq_len: int, *, revision: str | None = None, position_range: str = "clamp"
) -> nn.Module:
    """Open an encoder, or the encoder of a masked LM, for windows of `seq_len` tokens, on the CPU, in float32.

    Raises ModelError when it cannot be opened or does not hold that many tokens.
    """
    from safetensors import SafetensorError
    from transformers import AutoModel

    arguments: dict[str, Any] = {} if revision is None else {"revision": revision}
    try:
        with quiet():
            model, info = AutoModel.from_pretrained(
                name, dtype=torch.float32, output_loading_info=True, **arguments
            )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise ModelError("coref.encoder-unreadable", model=name, why=reason) from error
    missing = sorted(key for key in info["missing_keys"] if "pooler" not in key)
    if missing:
        raise ModelError("coref.weights-missing", model=name, n=len(missing), first=missing[0])
    limit = longest_window(model.config)
    if limit is not None and seq_len > limit:
        raise ModelError("coref.window-too-long", model=name, tokens=seq_len, limit=limit)
    if model.config.model_type == "deberta-v2":
        apply_position_range(model, position_range, seq_len)
        convert(model)
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # nobody reads it, and an optimiser would decay it
    encoder: nn.Module = model.eval()
    return encoder


def open_tokenizer(name: str | Path, revision: str | None = None) -> Any:
    """Open the tokeniser of an encoder. Raises ModelError when it cannot be opened or gives no offsets."""
    from transformers import AutoTokenizer

    from coref_k8s.text.alignment import check_offsets

    folder = Path(name)
    if folder.is_dir() and not any(any(folder.glob(pattern)) for pattern in _TOKENISER_FILES):
        # transformers would make up an empty one
        why = Message.of("coref.no-tokeniser-file")
        raise ModelError("coref.tokeniser-unreadable", model=str(name), why=why)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            name, **({} if revision is None else {"revision": revision})
        )
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise ModelError("coref.tokeniser-unreadable", model=str(name), why=reason) from error
    check_offsets(tokenizer)
    return tokenizer


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from telling which weights of a masked LM an encoder has no use for."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def longest_window(config: Any) -> int | None:
    """Return the most tokens that an encoder with absolute positions reads at once; None where nothing bounds them."""
    relative = getattr(config, "position_biased_input", None) is False
    limit = getattr(config, "max_position_embeddings", None)
    if relative or limit is None:
        return None
    # RoBERTa and its kin number positions from the padding token's id on
    padded = config.model_type in ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "data2vec-text")
    return int(limit) - (config.pad_token_id + 1 if padded else 0)
