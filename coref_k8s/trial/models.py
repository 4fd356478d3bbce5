"""Finding and opening a study's model and tokeniser."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coref_k8s.errors import ModelError, TrialError
from coref_k8s.model.tokeniser import open_tokenizer
from coref_k8s.study.paths import MODEL_FILE
from coref_k8s.wording import Message

if TYPE_CHECKING:
    from torch import nn


def model_path(name: str, data_dir: Path) -> str:
    """Return a model's folder when the data folder holds one of that name, else the name (a hub id or path).

    Raises TrialError for a path that can be no hub id and does not exist: another start would not find it either.
    """
    folder = data_dir / name
    if (folder / MODEL_FILE).is_file():
        return str(folder)
    if name.startswith(("/", ".")) and not Path(name).is_dir():
        raise TrialError("trial.no-model-folder", name=name)
    return name


def load_tokenizer(name: str, revision: str | None) -> Any:
    """Return the model's tokeniser; raise ModelError when it cannot be opened or has no mask token."""
    tokenizer = open_tokenizer(name, revision)
    if tokenizer.mask_token_id is None or tokenizer.pad_token_id is None:
        raise ModelError("model.no-mask-or-padding", name=name)
    return tokenizer


def missing_compiler(device_type: str) -> Message | None:
    """Return what torch.compile lacks for a device ("cpu", "cuda") on this machine; None when all is there."""
    if device_type == "cuda" and find_spec("triton") is None:
        return Message.verbatim("Triton")
    # inductor's own choice on the CPU; on a GPU Triton builds its launchers with a C compiler
    wanted = os.environ.get("CC", "gcc") if device_type == "cuda" else os.environ.get("CXX", "g++")
    return None if shutil.which(wanted) else Message.of("trial.compiler", name=wanted)


def compile_layers(model: nn.Module, device_type: str, warn: Callable[[Message], None]) -> None:
    """Compile each encoder layer in place: one layer's worth of compiling, and names stay as they are.

    The attention's walk over tiles stays as it is; what is compiled is all around it. Warns, and leaves
    the model alone, where there is no compiler.
    """
    missing = missing_compiler(device_type)
    if missing is not None:
        warn(Message.of("trial.uncompiled", missing=missing))
        return
    for name, module in model.named_modules():
        if re.search(r"\blayers?\.\d+$", name):  # ModernBERT's are `layers`
            module.compile()
