"""Finding and opening a study's model and tokeniser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coref_k8s.errors import ModelError, TrialError

if TYPE_CHECKING:
    from torch import nn


#: What a folder with a tokeniser has one of.
_TOKENISER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spm.model",
    "spiece.model",
)


def model_path(name: str, data_dir: Path) -> str:
    """Return a model's folder when the data folder holds one of that name, else the name (a hub id or path).

    Raises TrialError for a path that can be no hub id and does not exist: another start would not find it either.
    """
    folder = data_dir / name
    if (folder / "config.json").is_file():
        return str(folder)
    if name.startswith(("/", ".")) and not Path(name).is_dir():
        raise TrialError(
            f"the model folder {name} does not exist where the trial runs; give a hub id, or a folder on the data volume"
        )
    return name


def load_tokenizer(name: str, revision: str | None) -> Any:
    """Return the model's tokeniser; raise ModelError when it cannot be opened or has no mask token."""
    from transformers import AutoTokenizer

    if Path(name).is_dir() and not any((Path(name) / file).is_file() for file in _TOKENISER_FILES):
        # transformers would make up an empty one
        raise ModelError(
            f"the tokeniser of {name} cannot be opened (the folder has no tokenizer.json); save it beside the model"
        )
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


def missing_compiler(device_type: str) -> str | None:
    """Return what torch.compile lacks for a device ("cpu", "cuda") on this machine; None when all is there."""
    if device_type == "cuda" and find_spec("triton") is None:
        return "Triton"
    # inductor's own choice on the CPU; on a GPU Triton builds its launchers with a C compiler
    wanted = os.environ.get("CC", "gcc") if device_type == "cuda" else os.environ.get("CXX", "g++")
    return None if shutil.which(wanted) else f"a compiler ({wanted})"


def compile_layers(model: nn.Module, device_type: str, warn: Callable[[str], None]) -> None:
    """Compile each encoder layer in place: one layer's worth of compiling, and names stay as they are.

    The attention's walk over tiles stays as it is; what is compiled is all around it. Warns, and leaves
    the model alone, where there is no compiler.
    """
    missing = missing_compiler(device_type)
    if missing is not None:
        warn(
            f"training.compile needs {missing} and there is none here: training goes on uncompiled, "
            "with the same numbers; install it, or set training.compile to false"
        )
        return
    for name, module in model.named_modules():
        if name.rpartition(".")[0].endswith("encoder.layer"):
            module.compile()
