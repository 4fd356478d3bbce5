"""Masked-LM loss and logits that touch the head only where it is read.

The head of a 130,000-token vocabulary costs more than several layers of the encoder: on 15 % of the
positions it costs 15 % of that.
"""

from typing import Any

import torch
from torch import Tensor, nn

from coref_k8s.errors import ModelError

from .convert import is_lean
from .head import TiedGradient, chunked_cross_entropy, tied_lookup

#: The label of a position that is not predicted, as in Hugging Face and `CrossEntropyLoss`.
IGNORED = -100


def masked_lm_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Mean cross-entropy (scalar) over the positions with a label; equals Hugging Face's `loss`.

    `batch` holds `input_ids` (batch, length), `labels` (batch, length; -100 where nothing is predicted)
    and at most one of `attention_mask` (batch, length; 0 at padding) and `segment_ids` (batch, length;
    0 at padding, equal numbers for one document: packed rows). `masked_positions` (count), the flat
    indices of the labels, spares a GPU one wait. A batch without any label gives 0, where Hugging Face
    gives NaN.
    """
    labels = batch["labels"].flatten()
    positions = batch.get("masked_positions")
    if positions is None:
        positions = torch.nonzero(labels != IGNORED).flatten()
    else:
        positions = positions.sort().values
    parts = _head_parts(model)
    table = model.get_input_embeddings()  # type: ignore[operator]
    labels = labels[positions]
    if parts is None:
        logits = _own_logits(model, batch, positions)
        return nn.functional.cross_entropy(logits.float(), labels) if labels.numel() else logits.sum()
    share = is_lean(model) and parts[1] is table.weight
    # Without gradients there is nothing to carry, and a head without rows has a gradient of zeros.
    tied = TiedGradient() if share and torch.is_grad_enabled() and table.weight.requires_grad else None
    states = _encode(model, batch, positions, tied)
    transform, weight, bias = parts
    return chunked_cross_entropy(transform(states), weight, bias, labels, tied)


def masked_logits(
    model: nn.Module, input_ids: Tensor, attention_mask: Tensor | None, positions: Tensor
) -> Tensor:
    """Logits (count, vocabulary) at `positions` (count, 2): rows of (batch index, token index)."""
    batch = {"input_ids": input_ids}
    if attention_mask is not None:
        batch["attention_mask"] = attention_mask
    flat = positions[:, 0] * input_ids.shape[1] + positions[:, 1]
    wanted, place = torch.unique(flat, return_inverse=True)
    parts = _head_parts(model)
    if parts is None:
        return _own_logits(model, batch, wanted)[place]
    transform, weight, bias = parts
    return nn.functional.linear(transform(_encode(model, batch, wanted)[place]), weight, bias)


def _encode(
    model: Any, batch: dict[str, Tensor], positions: Tensor, tied: TiedGradient | None = None
) -> Tensor:
    """Last hidden states (count, hidden) at `positions` (count; flat, ascending)."""
    input_ids, segments = batch["input_ids"], batch.get("segment_ids")
    if is_lean(model):
        packed = segments is not None
        if not packed:
            segments = batch.get("attention_mask")
        return _encode_lean(model, input_ids, segments, packed, positions, tied)
    _refuse_segments(batch)
    states: Tensor = model.base_model(input_ids, attention_mask=batch.get("attention_mask"))[0]
    return states.flatten(0, 1)[positions]


def _refuse_segments(batch: dict[str, Tensor]) -> None:
    if "segment_ids" in batch:
        raise ModelError("model.packed")


def _encode_lean(
    model: Any,
    input_ids: Tensor,
    segments: Tensor | None,
    packed: bool,
    asked: Tensor,
    tied: TiedGradient | None,
) -> Tensor:
    base = model.deberta
    if segments is not None:
        segments = segments.to(torch.long if packed else torch.bool)
        if segments.device.type == "cpu" and bool((segments == 1).all()):
            segments = None
    positions = None
    if segments is not None and base.embeddings.position_embeddings is not None:
        positions = _positions_in_documents(segments)
    real = None if segments is None else segments > 0
    words = base.embeddings.word_embeddings
    looked_up = words(input_ids) if tied is None else tied_lookup(words, input_ids, tied)
    states = base.embeddings(inputs_embeds=looked_up, position_ids=positions, mask=real)
    if base.encoder.conv is not None and segments is not None and base.encoder.training:
        _refuse_packed(segments)
    found: Tensor = base.encoder.at(states, segments, asked)
    return found


def _refuse_packed(segments: Tensor) -> None:
    if bool((segments > 1).any()):
        raise ModelError("model.packed-convolution")


def _positions_in_documents(segments: Tensor) -> Tensor:
    """Position of each token in its own document (batch, length), for absolute position tables."""
    index = torch.arange(segments.shape[1], device=segments.device).expand_as(segments)
    starts = torch.ones_like(segments, dtype=torch.bool)
    starts[:, 1:] = segments[:, 1:] != segments[:, :-1]
    return index - torch.where(starts, index, 0).cummax(1).values


def _head_parts(model: Any) -> tuple[nn.Module, Tensor, Tensor] | None:
    """(transform, weight, bias) of a DeBERTa's masked-LM head; None for other architectures."""
    if hasattr(model, "cls") and hasattr(model.cls, "predictions") and hasattr(model, "deberta"):
        head = model.cls.predictions
        return head.transform, head.decoder.weight, head.decoder.bias
    if hasattr(model, "lm_predictions"):
        head = model.lm_predictions.lm_head
        transform = nn.Sequential(head.dense, _Call(head.transform_act_fn), head.LayerNorm)
        return transform, model.deberta.embeddings.word_embeddings.weight, head.bias
    return None


class _Call(nn.Module):
    def __init__(self, function: Any):
        super().__init__()
        self.function = function

    def forward(self, states: Tensor) -> Tensor:
        result: Tensor = self.function(states)
        return result


def _own_logits(model: Any, batch: dict[str, Tensor], positions: Tensor) -> Tensor:
    """Logits (count, vocabulary) at `positions` (count; flat) by the model's own code, whatever its head is called.

    Between encoder and head all states but those are dropped: no head of a masked LM looks at neighbours.
    """
    _refuse_segments(batch)

    def pick(module: nn.Module, inputs: Any, output: Any) -> Any:
        output["last_hidden_state"] = output[0].flatten(0, 1)[positions][None]
        return output

    handle = model.base_model.register_forward_hook(pick)
    try:
        result = model(
            input_ids=batch["input_ids"], attention_mask=batch.get("attention_mask"), return_dict=True
        )
    finally:
        handle.remove()
    logits: Tensor = result.logits[0]
    return logits
