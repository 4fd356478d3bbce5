"""Opens a masked LM from the Hub or a folder and makes it ready for long sequences."""

from typing import Any

import torch
from torch import nn
from transformers import AutoModelForMaskedLM
from transformers.utils import logging

from coref_k8s.errors import ModelError
from coref_k8s.sizing.suitable import positions_of
from coref_k8s.wording import Message

from .convert import convert
from .files import check_files, first_line
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
        raise ModelError("model.unknown-attention", attention=attention, known=list(ATTENTIONS))
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
            "model.other-attention", model=name_or_path, kind=model.config.model_type, attention=attention
        )
    elif position_range != "clamp":
        raise ModelError("model.no-position-range", model=name_or_path, kind=model.config.model_type)
    most = positions_of(model.config.to_dict())
    if most is not None and seq_len > most:
        raise ModelError("model.too-few-positions", model=name_or_path, most=most, seq_len=seq_len)
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
    check_files(name_or_path)
    # code of the model's own is never run, nor asked for at a prompt
    arguments: dict[str, Any] = {"output_loading_info": True, "trust_remote_code": False}
    if revision is not None:
        arguments["revision"] = revision
    try:
        model, info = AutoModelForMaskedLM.from_pretrained(name_or_path, **arguments)
        if any(name.startswith("lm_predictions.") for name in info["unexpected_keys"]):
            # Microsoft's own checkpoints hold the other of DeBERTa-v2's two heads.
            model, info = AutoModelForMaskedLM.from_pretrained(name_or_path, legacy=False, **arguments)
    except Exception as error:  # each library that reads weights fails in its own ways
        raise ModelError("model.cannot-be-opened", model=name_or_path, why=first_line(error)) from error
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        logger.warning(Message.of("model.no-weights", model=name_or_path, names=missing))
    return model.eval()
