"""Disentangled attention in row blocks: the numbers of Hugging Face, nothing of size L×L kept.

For query i and key j of one head (DeBERTa, He et al. 2020, equation 4; `row(d)` is the bucket table):

    score[i, j] = (q_i·k_j + q_i·pos_key[row(i-j)] + k_j·pos_query[row(i-j)]) / scale

The forward pass walks over tiles of (heads, query rows) and keeps only its output; the backward pass
computes each tile again, with the same dropout mask.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .buckets import BucketTable
from .dropout import SeededDropout
from .layout import Layout, Span
from .tiles import TileBias, Workspace, tile_shape


@dataclass(frozen=True)
class Terms:
    """The settings of one attention module that do not change between calls."""

    scale: float
    table: BucketTable | None
    dropout: float


class _Pass:
    """One walk over the tiles, forward or backward: inputs, buffers, dropout."""

    def __init__(self, tensors: tuple[Tensor | None, ...], terms: Terms, layout: Layout, seed: int):
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
        self._tile = 0

    def heads(self) -> Iterator["_Heads"]:
        count = self.query.shape[1]
        for number, span in enumerate(self.layout.spans):
            queries = slice(span.start, span.end)
            if self.layout.positions is not None:
                queries = slice(*self.layout.picked[number])
            group, rows = tile_shape(count, span.end - span.start, self.query.device)
            for head in range(0, count, group):
                yield _Heads(self, span, slice(head, min(count, head + group)), queries, rows)

    def ends(self, products: Tensor) -> tuple[Tensor, Tensor]:
        """The columns (heads, keys) that far keys read, contiguous: with gaps they would be read one by one."""
        assert self.terms.table is not None
        far, near = self.terms.table.far_row, self.terms.table.near_row
        return products[:, :, far].contiguous(), products[:, :, near].contiguous()

    def next_tile(self) -> int:
        self._tile += 1
        return self._tile


class _Heads:
    """A group of heads on one span: what all of its tiles share. Shapes (heads, tokens, size)."""

    def __init__(self, walk: _Pass, span: Span, heads: slice, queries: slice, rows: int):
        self.walk, self.span, self.heads = walk, span, heads
        #: Indices into the query tensor: tokens of the row, or some of the layout's positions.
        self.queries, self.rows = queries, rows
        self.place = (span.row, heads, slice(span.start, span.end))
        self.key = walk.key[self.place].contiguous()
        self.value = walk.value[self.place].contiguous()
        self.pos_key = walk.pos_key[heads].contiguous() if walk.pos_key is not None else None
        self.pos_query = walk.pos_query[heads] / walk.terms.scale if walk.pos_query is not None else None
        #: k_j·pos_query / scale: (heads, keys, 2·span).
        self.key_products: Tensor | None = None
        if self.pos_query is not None:
            self.key_products = walk.workspace.bmm("key products", self.key, self.pos_query.transpose(1, 2))
            self.key_ends = walk.ends(self.key_products)

    def tiles(self) -> Iterator["_Tile"]:
        for start in range(self.queries.start, self.queries.stop, self.rows):
            yield _Tile(self, slice(start, min(self.queries.stop, start + self.rows)))


class _Tile:
    """Some query rows of a group of heads, against all keys of the span; queries in descending order."""

    def __init__(self, group: _Heads, queries: slice):
        walk = self.walk = group.walk
        self.group = group
        positions, row = walk.layout.positions, group.span.row
        #: Tokens of the row: the queries in descending order, or None when they are all of `tokens`.
        self.at: Tensor | None = None
        self.tokens = queries
        if positions is not None:
            self.at = positions[queries].flip(0) - row * walk.key.shape[2]
            self.tokens = slice(int(self.at[-1]), int(self.at[0]) + 1)
            row = 0
        self.place = (row, group.heads, queries)
        self.number = walk.next_tile()
        self.query = walk.query[self.place].flip(1) / walk.terms.scale
        self.shape = (*self.query.shape[:2], group.key.shape[1])
        table, keys = walk.terms.table, slice(group.span.start, group.span.end)
        self.bias = None
        if table is not None:
            self.bias = TileBias(table, self.tokens, self.at, keys, walk.workspace)

    def buffer(self, name: str, dtype: torch.dtype) -> Tensor:
        return self.walk.workspace.take(name, self.shape, dtype)

    def probabilities(self) -> Tensor:
        """Softmax over the keys (heads, rows, keys), at least float32, before dropout."""
        walk, group = self.walk, self.group
        product = walk.workspace.bmm
        scores = product("scores", self.query, group.key.transpose(1, 2))
        if self.bias is not None and group.pos_key is not None:
            self.bias.add_by_query(
                scores, product("query products", self.query, group.pos_key.transpose(1, 2))
            )
        if self.bias is not None and group.key_products is not None:
            self.bias.add_by_key(scores, group.key_products, group.key_ends)
        if walk.layout.segments is not None:
            segments = walk.layout.segments[group.span.row]
            ours = segments[self.tokens].flip(0) if self.at is None else segments[self.at]
            ours, theirs = ours[:, None], segments[None, group.span.start : group.span.end]
            scores.masked_fill_((ours != theirs) | (theirs == 0), torch.finfo(scores.dtype).min)
        result = self.buffer("probabilities", walk.wide)
        return torch.softmax(scores, 2, dtype=walk.wide, out=result)

    def keep(self) -> Tensor | None:
        """The dropout mask of this tile, 1 or 0; None without dropout."""
        dropout = self.walk.dropout
        return dropout.keep(self.buffer("keep", self.walk.wide), self.number) if dropout else None


def _turned_zeros(tensor: Tensor) -> Tensor:
    """Zeros of the shape of `tensor` (heads, tokens, size) with the last two dimensions swapped."""
    heads, tokens, size = tensor.shape
    return tensor.new_zeros(heads, size, tokens)


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
        walk = _Pass((query, key, value, pos_key, pos_query), terms, layout, seed)
        for group in walk.heads():
            for tile in group.tiles():
                probabilities = tile.probabilities()
                keep = tile.keep()
                if keep is not None:
                    probabilities *= keep
                context = walk.workspace.bmm("context", probabilities.to(value.dtype), group.value)
                output[tile.place] = context.flip(1)
        if walk.dropout is not None:
            output *= walk.dropout.scale
        ctx.save_for_backward(query, key, value, pos_key, pos_query, output)
        ctx.settings = (terms, layout, seed)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, output = ctx.saved_tensors
        walk = _Pass(tuple(tensors), *ctx.settings)
        scale = walk.terms.scale
        survivors = walk.dropout.scale if walk.dropout is not None else 1.0
        # Per row sum of dP·P, the softmax's own term, from the output (FlashAttention, Dao et al. 2022).
        delta = (grad_output * output).sum(3, keepdim=True)
        grads: list[Any] = [torch.zeros_like(tensor) if tensor is not None else None for tensor in tensors]
        grad_query, grad_key, grad_value, grad_pos_key, grad_pos_query = grads
        for group in walk.heads():
            # Transposed, (heads, size, keys): their products are a third faster this way round.
            into_key, into_value = _turned_zeros(group.key), _turned_zeros(group.value)
            into_pos_key = into_products = None
            if group.pos_key is not None:
                into_pos_key = _turned_zeros(group.pos_key)
            if group.key_products is not None:
                into_products = walk.workspace.take("key gradient", group.key_products.shape, walk.wide)
                into_products.zero_()
            for tile in group.tiles():
                upstream = grad_output[tile.place].flip(1) * survivors
                probabilities = tile.probabilities()
                grad = walk.workspace.bmm("gradient", upstream, group.value.transpose(1, 2)).to(walk.wide)
                keep = tile.keep()
                dropped = probabilities
                if keep is not None:
                    dropped = torch.mul(probabilities, keep, out=keep)
                into_value.baddbmm_(upstream.transpose(1, 2), dropped.to(upstream.dtype))
                # P·(dP - delta), with dP the gradient of what was not dropped
                grad *= dropped
                grad.addcmul_(probabilities, delta[tile.place].flip(1), value=-1)
                narrow = grad.to(upstream.dtype)
                into_query = walk.workspace.bmm("context", narrow, group.key)
                into_key.baddbmm_(tile.query.transpose(1, 2), narrow)
                if tile.bias is not None and into_pos_key is not None and group.pos_key is not None:
                    shape = (*tile.shape[:2], group.pos_key.shape[1])
                    products = walk.workspace.take("query gradient", shape, walk.wide).zero_()
                    tile.bias.gradient_by_query(grad, products)
                    products = products.to(upstream.dtype)
                    into_query.baddbmm_(products, group.pos_key)
                    into_pos_key.baddbmm_(tile.query.transpose(1, 2), products)
                if tile.bias is not None and into_products is not None:
                    tile.bias.gradient_by_key(grad, into_products)
                grad_query[tile.place] = into_query.flip(1) / scale
            grad_key[group.place] = into_key.transpose(1, 2)
            grad_value[group.place] = into_value.transpose(1, 2)
            if into_pos_key is not None:
                grad_pos_key[group.heads] += into_pos_key.transpose(1, 2)
            if into_products is not None and group.pos_query is not None:
                products = into_products.to(group.key.dtype)
                grad_key[group.place] += torch.bmm(products, group.pos_query)
                turned = torch.bmm((group.key / scale).transpose(1, 2), products)
                grad_pos_query[group.heads] += turned.transpose(1, 2)
        return (*grads, None, None, None)


@torch.compiler.disable  # a walk over hundreds of tiles: traced, it would be unrolled
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

    `query`, `key`, `value`: (batch, heads, length, size); when the layout has positions, `query` and the
    result are (1, heads, positions, size). `pos_key`, `pos_query`: (heads, 2·span, size),
    None when that term is absent. Padding rows get the mean of all values, as in Hugging Face, whose
    softmax over nothing but masked scores is uniform.
    """
    with torch.autocast(query.device.type, enabled=False):
        context: Tensor = _BlockedAttention.apply(query, key, value, pos_key, pos_query, terms, layout, seed)
        if layout.padding is not None:
            uniform, padding = value.mean(2, keepdim=True), layout.padding
            if layout.positions is not None:
                uniform = uniform[layout.positions // value.shape[2], :, 0].transpose(0, 1)[None]
                padding = padding.flatten()[layout.positions][None]
            context = torch.where(padding[:, None, :, None], uniform, context)
    return context
