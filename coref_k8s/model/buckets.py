"""Which row of the relative-position table a distance reads: DeBERTa-v2's bucket map, as a 1-D table.

Hugging Face builds this map as an L×L matrix; it depends on the distance `i - j` alone, so 2L - 1
numbers say all of it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position


@dataclass(frozen=True)
class BucketTable:
    """Rows of the relative-position table for every distance up to `length - 1`.

    `reversed_rows[u]` (int64, 2·length - 1) is the row of distance `d = length - 1 - u`: reversed, so
    that a tile with its queries in descending order reads it with two positive strides.
    Distances of at least `far` (and at most `-far`) all read `far_row` (`near_row` for negative ones),
    so their bias is one number per query plus one per key.
    """

    length: int
    span: int
    reversed_rows: Tensor
    far: int
    far_row: int
    near_row: int


def span_of(position_buckets: int, max_relative_positions: int) -> int:
    """Half the rows of the relative-position table: buckets when there are any, else distances."""
    return position_buckets if position_buckets > 0 else max_relative_positions


def bucket_rows(distances: Tensor, position_buckets: int, max_relative_positions: int) -> Tensor:
    """Row (int64) for each distance `i - j`, by Hugging Face's own formula and clamping.

    Exact up to half the buckets, logarithmic to `max_relative_positions`, clamped beyond
    (DeBERTa-v3, He et al. 2021; the code of DeBERTa-v2).
    """
    positions = distances
    if position_buckets > 0 and max_relative_positions > 0:
        positions = make_log_bucket_position(distances, position_buckets, max_relative_positions)
    span = span_of(position_buckets, max_relative_positions)
    return (positions.to(torch.long) + span).clamp(0, 2 * span - 1)


def bucket_table(
    length: int, position_buckets: int, max_relative_positions: int, device: torch.device
) -> BucketTable:
    """The table for sequences of up to `length` tokens, on `device`."""
    distances = torch.arange(length - 1, -length, -1)
    rows = bucket_rows(distances, position_buckets, max_relative_positions)
    # The tails: how many leading (most positive) and trailing (most negative) distances share one row.
    changes = torch.nonzero(rows[1:] != rows[:-1]).flatten()
    if changes.numel():
        leading = int(changes[0]) + 1
        trailing = rows.numel() - 1 - int(changes[-1])
        far = length - min(leading, trailing)
    else:
        far = length
    return BucketTable(
        length=length,
        span=span_of(position_buckets, max_relative_positions),
        reversed_rows=rows.to(device),
        far=far,
        far_row=int(rows[0]),
        near_row=int(rows[-1]),
    )
