"""Disentangled attention in row blocks: the numbers of Hugging Face, nothing of size L×L kept.

For query i and key j of one head (DeBERTa, He et al. 2020, equation 4; `row(d)` is the bucket table):

    score[i, j] = (q_i·k_j + q_i·pos_key[row(i-j)] + k_j·pos_query[row(i-j)]) / scale

The forward pass walks over tiles of (heads, query rows) and keeps only its output; the backward pass
computes each tile again, with the same dropout mask.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .compiled_tiles import tile_kind
from .layout import Layout
from .tiling import Terms, Tiling


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
        kind = tile_kind(query, layout)
        logsum = query.new_empty(query.shape[:3]) if kind.keeps_logsum else None
        tiling = Tiling((query, key, value, pos_key, pos_query), terms, layout, seed, kind)
        for group in tiling.heads():
            for tile in group.tiles():
                probabilities = tile.attend(logsum)
                context = tiling.workspace.bmm("context", probabilities.to(value.dtype), group.value)
                output[tile.place] = context.flip(1)
        if tiling.dropout is not None:
            output *= tiling.dropout.scale
        ctx.save_for_backward(query, key, value, pos_key, pos_query, output, logsum)
        ctx.settings = (terms, layout, seed, kind)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, output, logsum = ctx.saved_tensors
        tiling = Tiling(tuple(tensors), *ctx.settings)
        scale = tiling.terms.scale
        survivors = tiling.dropout.scale if tiling.dropout is not None else 1.0
        # Per row sum of dP·P, the softmax's own term, from the output (FlashAttention, Dao et al. 2022).
        delta = (grad_output * output).sum(3, keepdim=True, dtype=tiling.wide)
        grads: list[Any] = [torch.zeros_like(tensor) if tensor is not None else None for tensor in tensors]
        grad_query, grad_key, grad_value, grad_pos_key, grad_pos_query = grads
        for group in tiling.heads():
            # Transposed, (heads, size, keys): their products are a third faster this way round.
            into_key, into_value = _turned_zeros(group.key), _turned_zeros(group.value)
            into_pos_key = into_products = None
            if group.pos_key is not None:
                into_pos_key = _turned_zeros(group.pos_key)
            if group.key_products is not None:
                into_products = tiling.workspace.take("key gradient", group.key_products.shape, tiling.wide)
                into_products.zero_()
            for tile in group.tiles():
                upstream = grad_output[tile.place].flip(1) * survivors
                grad = tiling.workspace.bmm("gradient", upstream, group.value.transpose(1, 2))
                dropped, grad = tile.differentiate(grad, delta[tile.place].flip(1), logsum)
                into_value.baddbmm_(upstream.transpose(1, 2), dropped.to(upstream.dtype))
                narrow = grad.to(upstream.dtype)
                into_query = tiling.workspace.bmm("context", narrow, group.key)
                into_key.baddbmm_(tile.query.transpose(1, 2), narrow)
                products = None
                if group.pos_key is not None:
                    shape = (*tile.shape[:2], group.pos_key.shape[1])
                    products = tiling.workspace.take("query gradient", shape, tiling.wide).zero_()
                tile.gradients(grad, products, into_products)
                if products is not None and into_pos_key is not None and group.pos_key is not None:
                    products = products.to(upstream.dtype)
                    into_query.baddbmm_(products, group.pos_key)
                    into_pos_key.baddbmm_(tile.query.transpose(1, 2), products)
                grad_query[tile.place] = into_query.flip(1) / scale
            grad_key[group.place] = into_key.transpose(1, 2)
            grad_value[group.place] = into_value.transpose(1, 2)
            if into_pos_key is not None:
                grad_pos_key[group.heads] += into_pos_key.transpose(1, 2)
            if into_products is not None and group.pos_query is not None:
                products = tiling.kind.restored(into_products).to(group.key.dtype)
                grad_key[group.place] += torch.bmm(products, group.pos_query)
                turned = torch.bmm((group.key / scale).transpose(1, 2), products)
                grad_pos_query[group.heads] += turned.transpose(1, 2)[:, : grad_pos_query.shape[1]]
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
