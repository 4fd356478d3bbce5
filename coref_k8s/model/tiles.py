"""Tiles of the score matrix: their sizes, their buffers, and the position terms inside one.

Inside a tile the queries stand in descending order. The bucket of (i', j') is then
`table[start + i' + j']`: a view with strides (1, 1) on a table of 2L - 1 numbers, so that no index matrix
is built. Where every distance of a column is in the last bucket, its bias is one number per query plus
one per key.
"""

import math

import torch
from torch import Tensor

from .buckets import BucketTable

#: Numbers in one tile of scores. On a CPU a tile should stay near the second-level cache; on a GPU it
#: must be large enough to fill the device.
TILE_ELEMENTS_CPU = 1 << 19
TILE_ELEMENTS_GPU = 1 << 25


def tile_shape(heads: int, length: int, device: torch.device) -> tuple[int, int]:
    """(heads, query rows) of a tile whose keys are `length` tokens."""
    if device.type == "cpu":
        group, budget = 1, TILE_ELEMENTS_CPU
    else:
        budget = TILE_ELEMENTS_GPU
        group = max(1, min(heads, budget // (length * min(length, 128))))
    rows = max(16, min(length, budget // (group * length)))
    return group, math.ceil(length / math.ceil(length / rows))


class Workspace:
    """Named buffers that every tile of a pass writes into.

    Fresh memory for each tile would cost more in page faults than the products computed in it.
    """

    def __init__(self, device: torch.device):
        self._device = device
        self._buffers: dict[str, Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A contiguous tensor of `shape`, with whatever the last user of `name` left in it."""
        count = math.prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.numel() < count or buffer.dtype != dtype:
            buffer = self._buffers[name] = torch.empty(count, dtype=dtype, device=self._device)
        return buffer[:count].view(shape)

    def bmm(self, name: str, left: Tensor, right: Tensor) -> Tensor:
        """`torch.bmm` into the buffer `name`."""
        shape = (*left.shape[:2], right.shape[2])
        return torch.bmm(left, right, out=self.take(name, shape, left.dtype))


class TileBias:
    """Adds the position terms to a tile of scores (heads, rows, keys), and takes their gradients.

    `queries` and `keys` count in the same row of the batch. `at` (rows), descending, names the queries
    when they are not all of `queries`.
    """

    def __init__(
        self, table: BucketTable, queries: slice, at: Tensor | None, keys: slice, workspace: Workspace
    ):
        self.table = table
        self.workspace = workspace
        first, last = queries.start, queries.stop - 1
        width = keys.stop - keys.start
        # Columns left of `low` are far behind every query of the tile; those from `high` far ahead.
        self.low = max(0, min(width, first - table.far + 1 - keys.start))
        self.high = max(self.low, min(width, last + table.far - keys.start))
        self.rows = len(at) if at is not None else queries.stop - queries.start
        self.near = self.high - self.low
        if at is not None:
            offset = table.length - 1 + keys.start
            columns = torch.arange(offset + self.low, offset + self.high, device=at.device)
            self._by_query = table.reversed_rows[columns - at[:, None]]
            self._by_key = self._by_query.T
            return
        start = table.length - queries.stop + keys.start + self.low
        self._by_query = table.reversed_rows.as_strided((self.rows, self.near), (1, 1), start)
        self._by_key = table.reversed_rows.as_strided((self.near, self.rows), (1, 1), start)

    def _buffers(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        heads, dtype = scores.shape[0], scores.dtype
        upright = self.workspace.take("near", (heads, self.rows, self.near), dtype)
        turned = self.workspace.take("near turned", (heads, self.near, self.rows), dtype)
        return upright, turned

    def add_by_query(self, scores: Tensor, products: Tensor) -> None:
        """`scores` += content-to-position; `products` (heads, rows, 2·span) are q·pos_key."""
        low, high, table = self.low, self.high, self.table
        near, _ = self._buffers(scores)
        torch.gather(products, 2, self._by_query.expand(scores.shape[0], -1, -1), out=near)
        scores[:, :, low:high] += near
        if low:
            scores[:, :, :low] += products[:, :, table.far_row, None]
        if high < scores.shape[2]:
            scores[:, :, high:] += products[:, :, table.near_row, None]

    def add_by_key(self, scores: Tensor, products: Tensor, ends: tuple[Tensor, Tensor]) -> None:
        """`scores` += position-to-content; `products` (heads, keys, 2·span) are k·pos_query.

        `ends` are its columns `far_row` and `near_row`, (heads, keys) each.
        """
        low, high = self.low, self.high
        near, turned = self._buffers(scores)
        index = self._by_key.expand(scores.shape[0], -1, -1)
        torch.gather(products[:, low:high], 2, index, out=turned)
        _transpose(turned, near)
        scores[:, :, low:high] += near
        if low:
            scores[:, :, :low] += ends[0][:, None, :low]
        if high < scores.shape[2]:
            scores[:, :, high:] += ends[1][:, None, high:]

    def gradient_by_query(self, grad: Tensor, out: Tensor) -> None:
        """`out` (heads, rows, 2·span) += what `grad` (heads, rows, keys) sends to q·pos_key."""
        low, high, table = self.low, self.high, self.table
        out.scatter_add_(2, self._by_query.expand(grad.shape[0], -1, -1), grad[:, :, low:high])
        if low:
            out[:, :, table.far_row] += grad[:, :, :low].sum(2)
        if high < grad.shape[2]:
            out[:, :, table.near_row] += grad[:, :, high:].sum(2)

    def gradient_by_key(self, grad: Tensor, out: Tensor) -> None:
        """`out` (heads, keys, 2·span) += what `grad` (heads, rows, keys) sends to k·pos_query."""
        low, high, table = self.low, self.high, self.table
        near, turned = self._buffers(grad)
        near.copy_(grad[:, :, low:high])
        _transpose(near, turned)
        out[:, low:high].scatter_add_(2, self._by_key.expand(grad.shape[0], -1, -1), turned)
        if low:
            out[:, :low, table.far_row] += grad[:, :, :low].sum(1)
        if high < grad.shape[2]:
            out[:, high:, table.near_row] += grad[:, :, high:].sum(1)


def _transpose(source: Tensor, out: Tensor) -> None:
    """`out[g] = source[g].T`, both contiguous."""
    if source.shape[0] == 1:
        # PyTorch's cache-blocked transposition on the CPU wants exactly two dimensions: six times faster.
        out[0].copy_(source[0].T)
    else:
        out.copy_(source.transpose(1, 2))
