"""Opens an encoder, with its masked-LM head or without, and makes it ready for long sequences.

DeBERTa-v2 runs on the project's own engine; any other architecture is left to its own Hugging Face code.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, AutoModelForMaskedLM
from transformers.utils import logging

from coref_k8s.errors import ModelError
from coref_k8s.sizing.shape import LEAN
from coref_k8s.sizing.suitable import positions_of
from coref_k8s.wording import Message

from .convert import convert
from .files import check_files, first_line
from .flash import use_flash
from .positions import apply_position_range

logger = logging.get_logger(__name__)

ATTENTIONS = ("auto", "blocked", "eager", "flash")


def load_masked_lm(name_or_path: str, **arguments: Any) -> nn.Module:
    """A masked LM for sequences of up to `seq_len` tokens; the arguments are those of `load_encoder`.

    A head that the checkpoint lacks starts random, with a warning. Raises ModelError when the model cannot be opened,
    or cannot hold `seq_len`.
    """
    return _load(AutoModelForMaskedLM, name_or_path, **arguments)


def load_encoder(name_or_path: str, **arguments: Any) -> nn.Module:
    """The encoder of a model, or of a masked LM, for sequences of up to `seq_len` tokens, in float32 on the CPU.

    `position_range`: see `positions.py`; it says nothing to architectures other than DeBERTa-v2. `attention`:
    "blocked" computes DeBERTa-v2's attention in tiles,
    on the CPU and on a GPU alike, "eager" is Hugging Face untouched, "flash" demands the kernel of
    disentangled-flash on `device` (the CPU by default), and "auto" takes the kernel when `device` is a
    GPU and the library agrees there with "blocked" (see `flash.py`), else "blocked".
    Architectures other than DeBERTa-v2 load as they are. `checkpointing` recomputes each layer in the
    backward pass. `save_pretrained` of the result writes a plain Hugging Face folder.

    Raises ModelError when the model cannot be opened, lacks weights, or cannot hold `seq_len`.
    """
    with quiet():  # of a masked LM's head, which an encoder has no use for
        return _load(AutoModel, name_or_path, **arguments)


def _load(
    opener: Any,
    name_or_path: str,
    *,
    seq_len: int,
    position_range: str = "clamp",
    attention: str = "auto",
    checkpointing: bool = False,
    revision: str | None = None,
    device: torch.device | None = None,
) -> nn.Module:
    if attention not in ATTENTIONS:
        raise ModelError("model.unknown-attention", attention=attention, known=list(ATTENTIONS))
    model = _open(opener, name_or_path, revision)
    most = positions_of(model.config.to_dict())
    if most is not None and seq_len > most:
        raise ModelError("model.too-few-positions", model=name_or_path, most=most, seq_len=seq_len)
    kind = model.config.model_type
    if kind == LEAN:
        apply_position_range(model, position_range, seq_len)
        if attention != "eager":
            convert(model)
        device = device or torch.device("cpu")
        if attention == "flash" or (attention == "auto" and device.type == "cuda"):
            use_flash(model, device, demanded=attention == "flash")
    elif attention not in ("auto", "eager"):
        raise ModelError("model.other-attention", model=name_or_path, kind=kind, attention=attention)
    elif position_range != "clamp":
        # sampled where the model's config could not be seen
        logger.warning(Message.of("model.position-range-unused", model=name_or_path, kind=kind))
    if checkpointing:
        enable_checkpointing(model)
    return model


def enable_checkpointing(model: Any) -> None:
    """Each layer keeps only its input in training, and computes the rest again in the backward pass."""
    if not model.supports_gradient_checkpointing:
        logger.warning(Message.of("model.keeps-layers", kind=type(model).__name__))
        return
    arguments = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable(arguments)
    else:  # transformers before 5.20
        model.gradient_checkpointing_enable(arguments)


def _open(opener: Any, name_or_path: str, revision: str | None) -> Any:
    """The Hugging Face model, with the head that its weights are for."""
    check_files(name_or_path)
    # code of the model's own is never run, nor asked for at a prompt
    arguments: dict[str, Any] = {
        "output_loading_info": True, "trust_remote_code": False, "dtype": torch.float32, "revision": revision,
    }  # fmt: skip
    try:
        model, info = opener.from_pretrained(name_or_path, **arguments)
        if hasattr(model, "cls") and any(
            name.startswith("lm_predictions.") for name in info["unexpected_keys"]
        ):
            # Microsoft's own checkpoints hold the other of DeBERTa-v2's two heads.
            model, info = opener.from_pretrained(name_or_path, legacy=False, **arguments)
    except Exception as error:  # each library that reads weights fails in its own ways
        raise ModelError("model.cannot-be-opened", model=name_or_path, why=first_line(error)) from error
    missing = sorted(key for key in info["missing_keys"] if "pooler" not in key)
    bare = type(model).base_model_prefix
    encoder = [key for key in missing if not hasattr(model, bare) or key.startswith(f"{bare}.")]
    if encoder:
        raise ModelError("model.weights-missing", model=name_or_path, n=len(encoder), first=encoder[0])
    if missing:
        logger.warning(Message.of("model.no-weights", model=name_or_path, names=missing))
    return model.eval()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from telling which weights of a masked LM an encoder has no use for."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
