"""What happens inside a tile, in PyTorch's own operations: on every device, in every type, with masks.

The queries stand in descending order. The bucket of (i', j') is then `table[start + i' + j']`: a view with
strides (1, 1) on a table of 2L - 1 numbers, so that no index matrix is built. Where every distance of a
column is in the last bucket, its bias is one number per query plus one per key.
"""

import torch
from torch import Tensor

from .buckets import BucketTable
from .tiles import Workspace
from .tiling import Heads, Tile


class TorchTile(Tile):
    """A tile whose passes are PyTorch's operations."""

    def __init__(self, group: Heads, queries: slice):
        super().__init__(group, queries)
        table, keys = self.tiling.terms.table, slice(group.span.start, group.span.end)
        self.bias = None
        if table is not None:
            self.bias = TileBias(table, self.tokens, self.at, keys, self.tiling.workspace)

    def attend(self, logsum: Tensor | None) -> Tensor:
        """As `Tile.attend`."""
        probabilities, keep = self._probabilities(), self._keep()
        if keep is not None:
            probabilities *= keep
        return probabilities

    def differentiate(self, grad: Tensor, delta: Tensor, logsum: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `Tile.differentiate`."""
        probabilities, keep = self._probabilities(), self._keep()
        dropped = probabilities
        if keep is not None:
            dropped = torch.mul(probabilities, keep, out=keep)
        # P·(dP - delta), with dP the gradient of what was not dropped
        grad = grad.to(self.tiling.wide).mul_(dropped)
        return dropped, grad.addcmul_(probabilities, delta, value=-1)

    def gradients(self, grad: Tensor, by_query: Tensor | None, by_key: Tensor | None) -> None:
        """As `Tile.gradients`."""
        if self.bias is not None and by_query is not None:
            self.bias.gradient_by_query(grad, by_query)
        if self.bias is not None and by_key is not None:
            self.bias.gradient_by_key(grad, by_key)

    def _probabilities(self) -> Tensor:
        """Softmax over the keys, before dropout."""
        tiling, group = self.tiling, self.group
        scores, by_query = self.products()
        if self.bias is not None and by_query is not None:
            self.bias.add_by_query(scores, by_query)
        if self.bias is not None and group.key_products is not None and group.key_ends is not None:
            self.bias.add_by_key(scores, group.key_products, group.key_ends)
        if tiling.layout.segments is not None:
            segments = tiling.layout.segments[group.span.row]
            ours = segments[self.tokens].flip(0) if self.at is None else segments[self.at]
            ours, theirs = ours[:, None], segments[None, group.span.start : group.span.end]
            scores.masked_fill_((ours != theirs) | (theirs == 0), torch.finfo(scores.dtype).min)
        result = self.buffer("probabilities", tiling.wide)
        return torch.softmax(scores, 2, dtype=tiling.wide, out=result)

    def _keep(self) -> Tensor | None:
        """The dropout mask of this tile, 1 or 0; None without dropout."""
        dropout = self.tiling.dropout
        return dropout.keep(self.buffer("keep", self.tiling.wide), self.number) if dropout else None


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

    def add_by_key(self, scores: Tensor, products: Tensor, ends: Tensor) -> None:
        """`scores` += position-to-content; `products` (heads, keys, 2·span) are k·pos_query.

        `ends` (2, heads, keys) are its columns `far_row` and `near_row`.
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
