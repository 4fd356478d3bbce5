"""Cross-entropy over a large vocabulary without its logits: chunks of rows, gradients on the way.

Each chunk's logits become their own gradient in place and are gone before the next chunk
(Liger kernel, Hsu et al. 2024, does the same on GPUs).
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .products import linear, usable

#: Bytes of float32 logits that exist at once.
CHUNK_BYTES = 1 << 28
#: What gradients are multiplied by in float16 at most: a sum over as many rows still fits.
LARGEST_UNIT = 1024
#: Words of the vocabulary in one of oneDNN's products.
WORDS = 1 << 13


def chunk_rows(vocabulary: int, rows: int) -> int:
    """Rows of logits in one chunk: equal chunks of at most `CHUNK_BYTES`."""
    most = max(1, CHUNK_BYTES // (4 * vocabulary))
    return max(1, -(-rows // max(1, -(-rows // most))))


class TiedGradient:
    """Carries the gradient of a tied table from the head to the lookup, which adds its rows in place.

    Left to autograd, the sum of the two would hold the largest table of the model once more.
    """

    def __init__(self) -> None:
        self.table: Tensor | None = None


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor, padding: int | None, tied: TiedGradient) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.settings = (padding, tied)
        return torch.nn.functional.embedding(ids, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        # After the head's backward pass always: the head's input was made from this lookup.
        (ids,) = ctx.saved_tensors
        padding, tied = ctx.settings
        grad, tied.table = tied.table, None
        rows = grad_output.flatten(0, 1).to(grad.dtype)
        if padding is not None:
            rows = rows * (ids.flatten() != padding)[:, None]
        return grad.index_add_(0, ids.flatten(), rows), None, None, None


def tied_lookup(table: torch.nn.Embedding, ids: Tensor, tied: TiedGradient) -> Tensor:
    """`table(ids)`, for a table that `chunked_cross_entropy` of the same step uses with the same `tied`."""
    found: Tensor = _Lookup.apply(table.weight, ids, table.padding_idx, tied)
    return found


def _logits(states: Tensor, table: Tensor, bias: Tensor) -> Tensor:
    """`states @ table.T + bias`, (rows, vocabulary)."""
    if not usable(states, table):
        return torch.addmm(bias, states, table.T)
    logits = states.new_empty(states.shape[0], table.shape[0])
    # A piece at a time: oneDNN packs a copy of what it multiplies with.
    for start in range(0, table.shape[0], WORDS):
        words = slice(start, start + WORDS)
        logits[:, words] = linear(states, table[words], bias[words])
    return logits


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, tied: Any, differentiate: bool
    ) -> Tensor:
        device = hidden.device.type
        # Under autocast the products are narrow; sums over chunks stay in the weight's own type.
        narrow = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        wide = torch.promote_types(hidden.dtype, torch.float32)
        rows = hidden.shape[0]
        loss = torch.zeros((), dtype=wide, device=hidden.device)
        grads: list[Tensor] = []
        if differentiate:
            into_weight = torch.empty_like if rows and narrow == weight.dtype else torch.zeros_like
            grads = [torch.zeros_like(hidden), into_weight(weight), torch.zeros_like(bias)]
        with torch.autocast(device, enabled=False):
            table = weight.to(narrow)
            chunk = chunk_rows(weight.shape[0], rows)
            # float16 knows nothing below 6e-8: shares of a mean over many rows are made larger while they are narrow
            unit = float(min(rows, LARGEST_UNIT)) if narrow is torch.float16 else 1.0
            for start in range(0, rows, chunk):
                piece = slice(start, start + chunk)
                states, target = hidden[piece].to(narrow), labels[piece, None]
                logits = _logits(states, table, bias.to(narrow)).to(wide)
                largest = logits.amax(1, keepdim=True)
                picked = logits.gather(1, target) - largest
                total = logits.sub_(largest).exp_().sum(1, keepdim=True)
                loss += (total.log() - picked).sum() / rows
                if differentiate:
                    grad = logits.mul_(unit / (rows * total))
                    grad.scatter_add_(1, target, grad.new_full((1, 1), -unit / rows).expand_as(target))
                    grads[2] += grad.sum(0) / unit
                    grad = grad.to(narrow)
                    grads[0][piece] = (grad @ table).to(wide) / unit if unit > 1 else grad @ table
                    if narrow == weight.dtype:
                        # the first chunk makes it, with no zeros to be written and read before
                        grads[1].addmm_(grad.T, states, beta=int(start > 0))
                    else:
                        grads[1] += (grad.T @ states).to(wide) / unit if unit > 1 else grad.T @ states
        ctx.grads, ctx.tied = grads, tied
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        # Handed over, not kept: the table's gradient is as large as the table.
        grads, ctx.grads = ctx.grads, None
        hidden, weight, bias = (grad.mul_(grad_output) for grad in grads)
        if ctx.tied is not None:
            ctx.tied.table, weight = weight, None
        return hidden, weight, bias, None, None, None


def chunked_cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, tied: TiedGradient | None = None
) -> Tensor:
    """Mean cross-entropy (scalar) of `hidden @ weight.T + bias` against `labels`.

    `hidden` (rows, size), `weight` (vocabulary, size), `bias` (vocabulary), `labels` (rows), all valid.
    With `tied`, the gradient of `weight` leaves through `tied_lookup`. One backward pass only. No rows: 0.
    """
    differentiate = torch.is_grad_enabled() and (
        hidden.requires_grad or weight.requires_grad or bias.requires_grad
    )
    loss: Tensor = _ChunkedCrossEntropy.apply(hidden, weight, bias, labels, tied, differentiate)
    return loss
