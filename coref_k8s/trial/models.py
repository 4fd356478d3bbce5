"""Finding and opening a study's model and tokeniser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from coref_k8s.errors import ModelError

if TYPE_CHECKING:
    from torch import nn


def model_path(name: str, data_dir: Path) -> str:
    """Return a model's folder when the data folder holds one of that name, else the name (a hub id or path)."""
    folder = data_dir / name
    return str(folder) if (folder / "config.json").is_file() else name


def load_tokenizer(name: str, revision: str | None) -> Any:
    """Return the model's tokeniser; raise ModelError when it cannot be opened or has no mask token."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"the tokeniser of {name} cannot be opened ({reason}); give a hub id or a folder with a masked LM"
        ) from error
    if tokenizer.mask_token_id is None or tokenizer.pad_token_id is None:
        raise ModelError(f"the tokeniser of {name} has no mask or no padding token; use that of a masked LM")
    return tokenizer


def compile_layers(model: nn.Module) -> None:
    """Compile each encoder layer in place: one layer's worth of compiling, and names stay as they are."""
    for name, module in model.named_modules():
        if name.rpartition(".")[0].endswith("encoder.layer"):
            module.compile()
