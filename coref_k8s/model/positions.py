"""The range of relative positions: what distances beyond the pretrained ones read.

kf-deberta-base has no absolute position table; its 256 log buckets a side end at distance 511. Three
choices, all expressed in two fields that plain Hugging Face honours (`position_buckets`,
`max_relative_positions`), so that a saved model gives the same logits in `AutoModelForMaskedLM`:

* `clamp`: as shipped. Every distance of 512 or more reads the last bucket.
* `rescale`: the same table; the log buckets span the new length. Distances beyond half the buckets
  (128) read other rows than in pretraining, and no two far distances that differ much share one.
* `grow`: a larger table, so that no bucket is coarser than it was. Every new row starts from the row
  its distance read before: those beyond 511 from the last one.
"""

import math
from typing import Any, Literal, get_args

import torch
from torch import nn

from coref_k8s.errors import ModelError

from .buckets import bucket_rows, span_of

PositionRange = Literal["clamp", "rescale", "grow"]
POSITION_RANGES: tuple[str, ...] = get_args(PositionRange)

#: Bucket counts are multiples of this, so that the products with the table keep a good shape.
_BUCKET_STEP = 32


def effective_range(config: Any) -> int:
    """The distance from which all positions read the last row (tokens)."""
    configured = int(getattr(config, "max_relative_positions", -1) or -1)
    return configured if configured > 0 else int(config.max_position_embeddings)


def grown_buckets(position_buckets: int, max_relative_positions: int, seq_len: int) -> int:
    """Least bucket count whose log buckets, spread to `seq_len`, are no coarser than before."""

    def growth(buckets: int, reach: int) -> float:
        middle = buckets // 2
        return math.log((reach - 1) / middle) / (middle - 1)

    before = growth(position_buckets, max_relative_positions)
    buckets = position_buckets
    while buckets // 2 < seq_len - 1 and growth(buckets, seq_len) > before:
        buckets += _BUCKET_STEP - buckets % _BUCKET_STEP
    return buckets


def apply_position_range(model: nn.Module, mode: str, seq_len: int) -> None:
    """Sets the position range of a DeBERTa-v2, in place, for lengths up to `seq_len`.

    Applying the same choice again changes nothing, so a saved model can be opened with it. Raises
    ModelError for an unknown choice, and for one that the model cannot have.
    """
    if mode not in POSITION_RANGES:
        raise ModelError("model.unknown-position-range", mode=mode, known=list(POSITION_RANGES))
    config: Any = model.config
    if mode == "clamp" or not getattr(config, "relative_attention", False):
        return
    reach, buckets = effective_range(config), int(getattr(config, "position_buckets", -1))
    if seq_len <= reach:
        return
    if mode == "rescale":
        if buckets <= 0:
            raise ModelError("model.no-buckets")
        _configure(model, buckets, seq_len)
        return
    more = grown_buckets(buckets, reach, seq_len) if buckets > 0 else buckets
    _grow(model, (buckets, reach), (more, seq_len))


def _grow(model: Any, before: tuple[int, int], after: tuple[int, int]) -> None:
    """Replaces the table by one for `after` = (buckets, range), each row started as `before` read it."""
    encoder = encoder_of(model)
    table = encoder.rel_embeddings
    span, reach = span_of(*after), after[1]
    distances = torch.arange(-reach, reach + 1)
    new_rows = bucket_rows(distances, *after)
    old_rows = bucket_rows(distances, *before)
    # A new bucket may straddle two old ones: it takes the row of its distance nearest to zero.
    source = torch.empty(2 * span, dtype=torch.long)
    source[0], source[-1] = old_rows[0], old_rows[-1]
    order = torch.argsort(distances.abs(), descending=True)
    for index in order.tolist():
        source[new_rows[index]] = old_rows[index]
    grown = nn.Embedding(2 * span, table.embedding_dim, device=table.weight.device, dtype=table.weight.dtype)
    with torch.no_grad():
        grown.weight.copy_(table.weight[source.to(table.weight.device)])
    grown.weight.requires_grad_(table.weight.requires_grad)
    encoder.rel_embeddings = grown
    _configure(model, *after)


def encoder_of(model: Any) -> Any:
    """The layers of a DeBERTa-v2, be it a masked LM or the bare model."""
    return getattr(model, "deberta", model).encoder


def _configure(model: Any, buckets: int, reach: int) -> None:
    """Writes the two fields into the configuration and into the modules that copied them."""
    model.config.position_buckets = buckets
    model.config.max_relative_positions = reach
    encoder = encoder_of(model)
    for module in (encoder, *(layer.attention.self for layer in encoder.layer)):
        module.position_buckets = buckets
        module.max_relative_positions = reach
    for layer in encoder.layer:
        layer.attention.self.pos_ebd_size = span_of(buckets, reach)
