"""Disentangled attention in row blocks: the numbers of Hugging Face, nothing of size L×L kept.

For query i and key j of one head (DeBERTa, He et al. 2020, equation 4; `row(d)` is the bucket table):

    score[i, j] = (q_i·k_j + q_i·pos_key[row(i-j)] + k_j·pos_query[row(i-j)]) / scale

The forward pass walks over tiles of (heads, query rows) and keeps only its output; the backward pass
computes each tile again, with the same dropout mask. Inside a tile the queries stand in descending
order: the bucket of (i, j) is then `table[start + i' + j']`, a view with strides (1, 1) on a table of
2L - 1 numbers, and no index matrix is built either. Where every distance is in the last bucket, the
bias is one number per query plus one per key.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .buckets import BucketTable
from .dropout import SeededDropout

#: Numbers in one tile of scores. On a CPU a tile should stay in the second-level cache; on a GPU it
#: must be large enough to fill the device.
TILE_ELEMENTS_CPU = 1 << 18
TILE_ELEMENTS_GPU = 1 << 25


@dataclass(frozen=True)
class Span:
    """Tokens `start..end` of row `row` of the batch, which attend to each other and to nothing else."""

    row: int
    start: int
    end: int


@dataclass(frozen=True)
class Layout:
    """Who attends to whom.

    `spans` holds the documents when they are contiguous and known on the host. Otherwise it holds whole
    rows, and `segments` (batch, length; 0 is padding) masks pairs of different documents.
    """

    spans: tuple[Span, ...]
    segments: Tensor | None = None
    #: (batch, length) boolean, True at padding; None when there is none or `segments` takes care of it.
    padding: Tensor | None = None


@dataclass(frozen=True)
class Terms:
    """The settings of one attention module that do not change between calls."""

    scale: float
    table: BucketTable | None
    dropout: float


@dataclass(frozen=True)
class _Tile:
    number: int
    row: int
    heads: slice
    queries: slice
    keys: slice


def _tiles(layout: Layout, heads: int, device: torch.device) -> Iterator[_Tile]:
    on_cpu = device.type == "cpu"
    budget = TILE_ELEMENTS_CPU if on_cpu else TILE_ELEMENTS_GPU
    number = 0
    for span in layout.spans:
        length = span.end - span.start
        group = 1 if on_cpu else max(1, min(heads, budget // max(1, length * min(length, 128))))
        rows = max(16, min(length, budget // (group * length)))
        blocks = -(-length // rows)
        rows = -(-length // blocks)
        for head in range(0, heads, group):
            for start in range(span.start, span.end, rows):
                yield _Tile(
                    number,
                    span.row,
                    slice(head, min(heads, head + group)),
                    slice(start, min(span.end, start + rows)),
                    slice(span.start, span.end),
                )
                number += 1


class _Bias:
    """Adds the position terms to a tile of scores, and takes their gradients from it."""

    def __init__(self, table: BucketTable, tile: _Tile):
        self.table = table
        self.tile = tile
        first, last = tile.queries.start, tile.queries.stop - 1
        keys = tile.keys
        width = keys.stop - keys.start
        # Columns left of `low` are far behind every query of the tile; those from `high` far ahead.
        self.low = max(0, min(width, first - table.far + 1 - keys.start))
        self.high = max(self.low, min(width, last + table.far - keys.start))
        rows = tile.queries.stop - tile.queries.start
        start = table.length - tile.queries.stop + keys.start + self.low
        self.by_query = table.reversed_rows.as_strided((rows, self.high - self.low), (1, 1), start)
        self.by_key = table.reversed_rows.as_strided((self.high - self.low, rows), (1, 1), start)

    def add_by_query(self, scores: Tensor, products: Tensor) -> None:
        """`scores` (heads, rows, keys) += content-to-position; `products` (heads, rows, 2·span)."""
        low, high, table = self.low, self.high, self.table
        index = self.by_query.expand(products.shape[0], -1, -1)
        scores[:, :, low:high] += products.gather(2, index)
        if low:
            scores[:, :, :low] += products[:, :, table.far_row, None]
        if high < scores.shape[2]:
            scores[:, :, high:] += products[:, :, table.near_row, None]

    def add_by_key(self, scores: Tensor, products: Tensor) -> None:
        """`scores` (heads, rows, keys) += position-to-content; `products` (heads, keys, 2·span)."""
        low, high, table = self.low, self.high, self.table
        index = self.by_key.expand(products.shape[0], -1, -1)
        gathered = products[:, low:high].gather(2, index)
        scores[:, :, low:high] += gathered.transpose(1, 2)
        if low:
            scores[:, :, :low] += products[:, None, :low, table.far_row]
        if high < scores.shape[2]:
            scores[:, :, high:] += products[:, None, high:, table.near_row]

    def gradient_by_query(self, grad: Tensor, out: Tensor) -> None:
        """Adds to `out` (heads, rows, 2·span) what `grad` (heads, rows, keys) sends to its products."""
        low, high, table = self.low, self.high, self.table
        out.scatter_add_(2, self.by_query.expand(grad.shape[0], -1, -1), grad[:, :, low:high])
        if low:
            out[:, :, table.far_row] += grad[:, :, :low].sum(2)
        if high < grad.shape[2]:
            out[:, :, table.near_row] += grad[:, :, high:].sum(2)

    def gradient_by_key(self, grad: Tensor, out: Tensor) -> None:
        """Adds to `out` (heads, keys, 2·span) what `grad` (heads, rows, keys) sends to its products."""
        low, high, table = self.low, self.high, self.table
        near = grad[:, :, low:high].transpose(1, 2).contiguous()
        out[:, low:high].scatter_add_(2, self.by_key.expand(grad.shape[0], -1, -1), near)
        if low:
            out[:, :low, table.far_row] += grad[:, :, :low].sum(1)
        if high < grad.shape[2]:
            out[:, high:, table.near_row] += grad[:, :, high:].sum(1)


class _BlockedAttention(torch.autograd.Function):
    """Forward and backward over tiles. Shapes: q, k, v (batch, heads, length, size)."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        pos_key: Tensor | None,
        pos_query: Tensor | None,
        terms: Terms,
        layout: Layout,
        seed: int,
    ) -> Tensor:
        output = torch.zeros_like(query)
        dropout = SeededDropout(terms.dropout, seed, query.device) if terms.dropout else None
        key_products = None
        for tile in _tiles(layout, query.shape[1], query.device):
            q = query[tile.row, tile.heads, tile.queries].flip(1) / terms.scale
            v = value[tile.row, tile.heads, tile.keys]
            if pos_query is not None and tile.queries.start == tile.keys.start:
                key_products = _key_products(key, pos_query, terms, tile)
            probabilities = _probabilities(q, key, key_products, pos_key, terms, layout, tile)
            if dropout is not None:
                probabilities *= dropout.keep(tuple(probabilities.shape), tile.number)
            context = torch.bmm(probabilities.to(v.dtype), v)
            if dropout is not None:
                context *= dropout.scale
            output[tile.row, tile.heads, tile.queries] = context.flip(1)
        ctx.save_for_backward(query, key, value, pos_key, pos_query, output)
        ctx.terms, ctx.layout, ctx.seed = terms, layout, seed
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, pos_key, pos_query, output = ctx.saved_tensors
        terms, layout = ctx.terms, ctx.layout
        dropout = SeededDropout(terms.dropout, ctx.seed, query.device) if terms.dropout else None
        # Per row sum of dP·P, the softmax's own term, from the output (FlashAttention, Dao et al. 2022).
        delta = (grad_output * output).sum(3, keepdim=True)
        scaled = grad_output * dropout.scale if dropout is not None else grad_output
        grad_query = torch.zeros_like(query)
        # Transposed (size, length): the products below are a third faster this way round.
        grad_key = torch.zeros_like(key.transpose(2, 3), memory_format=torch.contiguous_format)
        grad_value = torch.zeros_like(grad_key)
        grad_pos_key = torch.zeros_like(pos_key) if pos_key is not None else None
        grad_pos_query = torch.zeros_like(pos_query) if pos_query is not None else None
        key_products = grad_key_products = None
        for tile in _tiles(layout, query.shape[1], query.device):
            q = query[tile.row, tile.heads, tile.queries].flip(1) / terms.scale
            k = key[tile.row, tile.heads, tile.keys]
            v = value[tile.row, tile.heads, tile.keys]
            upstream = scaled[tile.row, tile.heads, tile.queries].flip(1)
            if pos_query is not None and tile.queries.start == tile.keys.start:
                key_products = _key_products(key, pos_query, terms, tile)
                grad_key_products = torch.zeros_like(key_products)
            probabilities = _probabilities(q, key, key_products, pos_key, terms, layout, tile)
            grad_scores = torch.bmm(upstream, v.transpose(1, 2)).to(probabilities.dtype)
            if dropout is not None:
                keep = dropout.keep(tuple(probabilities.shape), tile.number)
                grad_scores *= keep
                dropped = probabilities * keep
            else:
                dropped = probabilities
            _accumulate(
                grad_value[tile.row, tile.heads, :, tile.keys], upstream.transpose(1, 2), dropped.to(v.dtype)
            )
            grad_scores -= delta[tile.row, tile.heads, tile.queries].flip(1)
            grad_scores *= probabilities
            narrow = grad_scores.to(k.dtype)
            grad_q = torch.bmm(narrow, k)
            _accumulate(grad_key[tile.row, tile.heads, :, tile.keys], q.transpose(1, 2), narrow)
            if terms.table is not None:
                bias = _Bias(terms.table, tile)
                if pos_key is not None and grad_pos_key is not None:
                    products = grad_scores.new_zeros((*q.shape[:2], pos_key.shape[1]))
                    bias.gradient_by_query(grad_scores, products)
                    products = products.to(q.dtype)
                    grad_q += torch.bmm(products, pos_key[tile.heads])
                    grad_pos_key[tile.heads] += torch.bmm(products.transpose(1, 2), q)
                if pos_query is not None and grad_key_products is not None:
                    bias.gradient_by_key(grad_scores, grad_key_products)
            grad_query[tile.row, tile.heads, tile.queries] = grad_q.flip(1) / terms.scale
            if grad_pos_query is not None and tile.queries.stop == tile.keys.stop:
                products = (grad_key_products / terms.scale).to(k.dtype)
                grad_key[tile.row, tile.heads, :, tile.keys] += torch.bmm(
                    products, pos_query[tile.heads]
                ).transpose(1, 2)
                grad_pos_query[tile.heads] += torch.bmm(products.transpose(1, 2), k)
        return (
            grad_query,
            grad_key.transpose(2, 3),
            grad_value.transpose(2, 3),
            grad_pos_key,
            grad_pos_query,
            None,
            None,
            None,
        )


def _accumulate(target: Tensor, left: Tensor, right: Tensor) -> None:
    target += torch.bmm(left, right)


def _key_products(key: Tensor, pos_query: Tensor, terms: Terms, tile: _Tile) -> Tensor:
    """k_j·pos_query / scale for all keys of the tile's span: (heads, keys, 2·span)."""
    return torch.bmm(
        key[tile.row, tile.heads, tile.keys], (pos_query[tile.heads] / terms.scale).transpose(1, 2)
    )


def _probabilities(
    q: Tensor,
    key: Tensor,
    key_products: Tensor | None,
    pos_key: Tensor | None,
    terms: Terms,
    layout: Layout,
    tile: _Tile,
) -> Tensor:
    """Softmax over the keys of one tile (heads, rows, keys), at least float32, before dropout."""
    k = key[tile.row, tile.heads, tile.keys]
    scores = torch.bmm(q, k.transpose(1, 2))
    if terms.table is not None:
        bias = _Bias(terms.table, tile)
        if pos_key is not None:
            bias.add_by_query(scores, torch.bmm(q, pos_key[tile.heads].transpose(1, 2)))
        if key_products is not None:
            bias.add_by_key(scores, key_products)
    if layout.segments is not None:
        ours = layout.segments[tile.row, tile.queries].flip(0)[:, None]
        theirs = layout.segments[tile.row, tile.keys][None, :]
        scores.masked_fill_((ours != theirs) | (theirs == 0), torch.finfo(scores.dtype).min)
    return torch.softmax(scores, 2, dtype=torch.promote_types(scores.dtype, torch.float32))


def blocked_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pos_key: Tensor | None,
    pos_query: Tensor | None,
    terms: Terms,
    layout: Layout,
    seed: int = 0,
) -> Tensor:
    """Context (batch, heads, length, size) of disentangled attention, exact, with O(L) memory.

    `query`, `key`, `value`: (batch, heads, length, size). `pos_key`, `pos_query`: (heads, 2·span, size),
    None when that term is absent. Padding rows get the mean of all values, as in Hugging Face, whose
    softmax over nothing but masked scores is uniform.
    """
    with torch.autocast(query.device.type, enabled=False):
        context = _BlockedAttention.apply(query, key, value, pos_key, pos_query, terms, layout, seed)
        if layout.padding is not None:
            uniform = value.mean(2, keepdim=True)
            context = torch.where(layout.padding[:, None, :, None], uniform, context)
    return context


def layout_of(segments: Tensor | None, batch: int, length: int) -> Layout:
    """The layout for `segments` (batch, length): document numbers, 0 at padding; None: no padding.

    On the host, contiguous documents become spans and nothing needs a mask; on a GPU, where looking at
    the values would make the host wait, whole rows with a mask.
    """
    rows = tuple(Span(row, 0, length) for row in range(batch))
    if segments is None:
        return Layout(rows)
    if segments.device.type != "cpu":
        return Layout(rows, segments=segments)
    spans = []
    for row in range(batch):
        values, counts = torch.unique_consecutive(segments[row], return_counts=True)
        seen: set[int] = set()
        start = 0
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            if value in seen:
                return Layout(rows, segments=segments)
            if value:
                seen.add(value)
                spans.append(Span(row, start, start + count))
            start += count
    padding = segments == 0
    return Layout(tuple(spans), padding=padding if bool(padding.any()) else None)
