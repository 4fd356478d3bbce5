"""How one pass, forward or backward, goes over the score matrix of an attention module in tiles, and what they share."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from .buckets import BucketTable
from .dropout import SeededDropout
from .layout import Layout, Span
from .tiles import Workspace, tile_shape

#: float32 numbers in a line of a CPU's cache.
LINE = 16


@dataclass(frozen=True)
class Terms:
    """The settings of one attention module that do not change between calls."""

    scale: float
    table: BucketTable | None
    dropout: float


class Tiling:
    """One pass over all tiles: inputs, buffers, dropout."""

    def __init__(
        self,
        tensors: tuple[Tensor | None, ...],
        terms: Terms,
        layout: Layout,
        seed: int,
        kind: type["Tile"],
    ):
        query, key, value, pos_key, pos_query = tensors
        assert query is not None
        assert key is not None
        assert value is not None
        self.query, self.key, self.value = query, key, value
        self.terms, self.layout = terms, layout
        self.pos_key = pos_key if terms.table is not None else None
        self.pos_query = pos_query if terms.table is not None else None
        self.workspace = Workspace(query.device)
        self.dropout = SeededDropout(terms.dropout, seed, query.device) if terms.dropout else None
        #: Of scores and probabilities: Hugging Face's softmax runs in float32 under autocast.
        self.wide = torch.promote_types(query.dtype, torch.float32)
        self.kind = kind
        self._groups = self._tiles = 0

    def heads(self) -> Iterator["Heads"]:
        """The groups of heads of every span."""
        count = self.query.shape[1]
        for number, span in enumerate(self.layout.spans):
            queries = slice(span.start, span.end)
            if self.layout.positions is not None:
                queries = slice(*self.layout.picked[number])
            group, rows = tile_shape(count, span.end - span.start, self.query.device)
            for head in range(0, count, group):
                yield Heads(self, span, slice(head, min(count, head + group)), queries, rows)

    def next_group(self) -> int:
        """The number of one more group of heads."""
        self._groups += 1
        return self._groups

    def next_tile(self) -> int:
        """The number of one more tile."""
        self._tiles += 1
        return self._tiles


class Heads:
    """A group of heads on one span: what all of its tiles share. Shapes (heads, tokens, size)."""

    def __init__(self, tiling: Tiling, span: Span, heads: slice, queries: slice, rows: int):
        self.tiling, self.span, self.heads, self.number = tiling, span, heads, tiling.next_group()
        #: Indices into the query tensor: tokens of the row, or some of the layout's positions.
        self.queries, self.rows = queries, rows
        self.place = (span.row, heads, slice(span.start, span.end))
        self.key = tiling.key[self.place].contiguous()
        self.value = tiling.value[self.place].contiguous()
        self.pos_key = tiling.pos_key[heads].contiguous() if tiling.pos_key is not None else None
        #: (heads, columns, size), already / scale: 2·span rows, and zeros to whole cache lines.
        self.pos_query: Tensor | None = None
        #: k_j·pos_query as the tiles want it (`Tile.arranged`), and the columns of it that far keys read,
        #: (2, heads, keys): contiguous, for with gaps they would be read one by one.
        self.key_products: Tensor | None = None
        self.key_ends: Tensor | None = None
        if tiling.pos_query is not None:
            scaled = tiling.pos_query[heads] / tiling.terms.scale
            self.pos_query = pad(scaled, (0, 0, 0, -scaled.shape[1] % LINE))
            products = tiling.workspace.bmm("key products", self.key, self.pos_query.transpose(1, 2))
            self.key_products = tiling.kind.arranged(products)
            self.key_ends = self._ends(products)

    def _ends(self, products: Tensor) -> Tensor:
        assert self.tiling.terms.table is not None
        columns = [self.tiling.terms.table.far_row, self.tiling.terms.table.near_row]
        return torch.stack([products[:, :, column] for column in columns])

    def tiles(self) -> Iterator["Tile"]:
        """The query rows, a tile of them at a time."""
        for start in range(self.queries.start, self.queries.stop, self.rows):
            yield self.tiling.kind(self, slice(start, min(self.queries.stop, start + self.rows)))


class Tile:
    """Some query rows of a group of heads, against all keys of the span; queries in descending order.

    Shapes (heads, rows, keys). What is done between the matrix products is the subclass's.
    """

    #: Whether `attend` has something to tell `differentiate`.
    keeps_logsum = False

    def __init__(self, group: Heads, queries: slice):
        tiling = self.tiling = group.tiling
        self.group = group
        positions, row = tiling.layout.positions, group.span.row
        #: Tokens of the row: the queries in descending order, or None when they are all of `tokens`.
        self.at: Tensor | None = None
        self.tokens = queries
        if positions is not None:
            self.at = positions[queries].flip(0) - row * tiling.key.shape[2]
            self.tokens = slice(int(self.at[-1]), int(self.at[0]) + 1)
            row = 0
        self.place = (row, group.heads, queries)
        self.number = tiling.next_tile()
        self.query = tiling.query[self.place].flip(1) / tiling.terms.scale
        self.shape = (*self.query.shape[:2], group.key.shape[1])

    def buffer(self, name: str, dtype: torch.dtype) -> Tensor:
        """The workspace's buffer `name`, of this tile's shape."""
        return self.tiling.workspace.take(name, self.shape, dtype)

    def products(self) -> tuple[Tensor, Tensor | None]:
        """q·k (heads, rows, keys) and q·pos_key (heads, rows, 2·span), both / scale; None without that term."""
        bmm, group = self.tiling.workspace.bmm, self.group
        scores = bmm("scores", self.query, group.key.transpose(1, 2))
        if group.pos_key is None:
            return scores, None
        return scores, bmm("query products", self.query, group.pos_key.transpose(1, 2))

    @staticmethod
    def arranged(products: Tensor) -> Tensor:
        """`products` (heads, keys, columns) of keys and positions in the order in which tiles read them."""
        return products

    @staticmethod
    def restored(products: Tensor) -> Tensor:
        """The opposite of `arranged`, for the gradient."""
        return products

    def attend(self, logsum: Tensor | None) -> Tensor:
        """Softmax over the keys, at least float32, with zeros where dropout struck and nothing scaled up for it.

        What `logsum` (batch, heads, queries) is told here, the backward pass gets back.
        """
        raise NotImplementedError

    def differentiate(self, grad: Tensor, delta: Tensor, logsum: Tensor | None) -> tuple[Tensor, Tensor]:
        """What `attend` gave, and the gradient of the scores.

        `grad` is the gradient of what `attend` gave, scaled up for dropout; `delta` (heads, rows, 1) the sum
        over a row of probability times gradient.
        """
        raise NotImplementedError

    def gradients(self, grad: Tensor, by_query: Tensor | None, by_key: Tensor | None) -> None:
        """`by_query` (heads, rows, 2·span) and `by_key`, arranged, += what `grad`, of the scores, sends them."""
        raise NotImplementedError
