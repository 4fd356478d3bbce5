"""Opens a masked LM from the Hub or a folder and makes it ready for long sequences."""

from typing import Any

import torch
from torch import nn
from transformers import AutoModelForMaskedLM
from transformers.utils import logging

from coref_k8s.errors import ModelError

from .convert import convert
from .flash import use_flash
from .positions import apply_position_range

logger = logging.get_logger(__name__)

ATTENTIONS = ("auto", "blocked", "eager", "flash")


def load_masked_lm(
    name_or_path: str,
    *,
    seq_len: int,
    position_range: str = "clamp",
    attention: str = "auto",
    checkpointing: bool = False,
    revision: str | None = None,
    device: torch.device | None = None,
) -> nn.Module:
    """A masked LM for sequences of up to `seq_len` tokens, in evaluation mode, on the CPU.

    `position_range`: see `positions.py`. `attention`: "blocked" computes DeBERTa-v2's attention in tiles,
    on the CPU and on a GPU alike, "eager" is Hugging Face untouched, "flash" demands the kernel of
    disentangled-flash on `device` (the CPU by default), and "auto" takes the kernel when `device` is a
    GPU and the library agrees there with "blocked" (see `flash.py`), else "blocked".
    Architectures other than DeBERTa-v2 load as they are. `checkpointing` recomputes each layer in the
    backward pass. `save_pretrained` of the result writes a plain Hugging Face folder.

    Raises ModelError when the model cannot be opened, or cannot hold `seq_len`.
    """
    if attention not in ATTENTIONS:
        raise ModelError(f"Attention {attention!r} is unknown; choose one of {', '.join(ATTENTIONS)}.")
    model = _open(name_or_path, revision)
    if model.config.model_type == "deberta-v2":
        apply_position_range(model, position_range, seq_len)
        if attention != "eager":
            convert(model)
        device = device or torch.device("cpu")
        if attention == "flash" or (attention == "auto" and device.type == "cuda"):
            use_flash(model, device, demanded=attention == "flash")
    elif attention not in ("auto", "eager"):
        raise ModelError(
            f"{name_or_path} is a {model.config.model_type}, and attention={attention!r} is for deberta-v2;"
            " use attention='auto'."
        )
    elif position_range != "clamp":
        raise ModelError(
            f"{name_or_path} is a {model.config.model_type}: it has no range of relative positions;"
            " use position_range='clamp'."
        )
    _check_length(model, name_or_path, seq_len)
    if checkpointing:
        enable_checkpointing(model)
    return model


def enable_checkpointing(model: Any) -> None:
    """Each layer keeps only its input in training, and computes the rest again in the backward pass."""
    arguments = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable(arguments)
    else:  # transformers before 5.20
        model.gradient_checkpointing_enable(arguments)


def _open(name_or_path: str, revision: str | None) -> Any:
    """The Hugging Face model, with the head that its weights are for."""
    arguments: dict[str, Any] = {"output_loading_info": True}
    if revision is not None:
        arguments["revision"] = revision
    try:
        model, info = AutoModelForMaskedLM.from_pretrained(name_or_path, **arguments)
        if any(name.startswith("lm_predictions.") for name in info["unexpected_keys"]):
            # Microsoft's own checkpoints hold the other of DeBERTa-v2's two heads.
            model, info = AutoModelForMaskedLM.from_pretrained(name_or_path, legacy=False, **arguments)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise ModelError(
            f"The model {name_or_path} cannot be opened ({reason});"
            " give a Hub id or a folder with a masked LM."
        ) from error
    if info["missing_keys"]:
        logger.warning(
            "%s has no weights for %s: they start random.",
            name_or_path,
            ", ".join(sorted(info["missing_keys"])),
        )
    return model.eval()


def _check_length(model: Any, name: str, seq_len: int) -> None:
    """Raises ModelError when a table of absolute positions ends before `seq_len`."""
    relative_only = getattr(model.config, "position_biased_input", None) is False
    limit = getattr(model.config, "max_position_embeddings", None)
    if not relative_only and limit is not None and seq_len > limit:
        raise ModelError(
            f"{name} has absolute positions for {limit} tokens only; ask for lengths up to that, or take a"
            " model with relative positions alone."
        )
