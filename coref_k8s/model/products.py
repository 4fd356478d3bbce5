"""Matrix products on the CPU through oneDNN where PyTorch would take MKL, which is slower on AMD.

Same arithmetic, float32 throughout; every call falls back to PyTorch's own.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def _probe() -> Any:
    """PyTorch's oneDNN linear, an internal operator: taken only when it gives the right product."""
    try:
        operator = torch.ops.mkldnn._linear_pointwise.default
        left, right = torch.eye(3), torch.arange(6.0).view(2, 3)
        if torch.equal(operator(left, right, None, "none", [], ""), right.T):
            return operator
    except (AttributeError, RuntimeError):
        pass
    return None


_ONEDNN = _probe()


def usable(*tensors: Tensor) -> bool:
    """Whether all of `tensors` can go through oneDNN here."""
    return _ONEDNN is not None and all(
        tensor.device.type == "cpu" and tensor.dtype == torch.float32 and tensor.numel() for tensor in tensors
    )


def linear(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`states @ weight.T + bias`; the arguments must be `usable`."""
    if not (weight.is_contiguous() or weight.T.is_contiguous()):
        # With gaps between its rows oneDNN falls to its reference loop, a hundred times slower.
        weight = weight.contiguous()
    product: Tensor = _ONEDNN(states.contiguous(), weight, bias, "none", [], "")
    return product


class _LinearFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(states, weight)
        return linear(states, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        states, weight = ctx.saved_tensors
        rows = grad.reshape(-1, grad.shape[-1])
        into_states = linear(rows, weight.T).view_as(states) if ctx.needs_input_grad[0] else None
        into_weight = rows.T @ states.reshape(-1, states.shape[-1]) if ctx.needs_input_grad[1] else None
        into_bias = rows.sum(0) if ctx.needs_input_grad[2] else None
        return into_states, into_weight, into_bias


class FastLinear(nn.Linear):
    """`nn.Linear` through oneDNN on the CPU in float32, itself everywhere else."""

    def forward(self, states: Tensor) -> Tensor:
        """`states` (..., in) to (..., out)."""
        compiling = torch.compiler.is_compiling()  # inductor has its own way to linear layers
        if compiling or torch.is_autocast_enabled(states.device.type) or not usable(states, self.weight):
            return super().forward(states)
        result: Tensor = _LinearFunction.apply(states, self.weight, self.bias)
        return result
