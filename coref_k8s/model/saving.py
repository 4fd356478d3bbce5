"""Writes a trained model as plain Hugging Face loads it, with its length in the configuration."""

from pathlib import Path
from typing import Any

from .positions import effective_range


def save_at_length(model: Any, tokenizer: Any, folder: Path, seq_len: int) -> None:
    """Write model and tokeniser; configuration and tokeniser say that it was trained up to `seq_len` tokens.

    `max_position_embeddings` of a DeBERTa-v2 without a table of absolute positions does two things: it names the
    length, and it is the range of relative positions where none is given. The range is therefore written down
    beside it as it was trained, and the logits stay what they are.
    """
    config = model.config
    if config.model_type == "deberta-v2" and not getattr(config, "position_biased_input", True):
        if getattr(config, "relative_attention", False):
            config.max_relative_positions = effective_range(config)
        config.max_position_embeddings = seq_len
    model.save_pretrained(folder)
    tokenizer.model_max_length = seq_len
    tokenizer.save_pretrained(folder)
