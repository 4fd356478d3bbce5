"""Peak memory of one training step, in parts, from a model's shape; pure arithmetic.

The lean path keeps no (query, key) matrix and computes the head at masked positions only, in chunks, so
activations grow with tokens, not with their square.
"""

from __future__ import annotations

from dataclasses import dataclass

from coref_k8s.sizing.shape import ModelShape

#: Bytes kept per token and layer for the backward pass under bf16 autocast: 33.2 per hidden unit and 4
#: per intermediate unit (GELU's input and output).
KEPT_PER_HIDDEN = 33.2
KEPT_PER_INTERMEDIATE = 4.0
#: Masked positions whose logits exist at one time (tokens).
HEAD_CHUNK = 1024
#: CUDA context, cuBLAS workspaces and allocator fragmentation (bytes).
OVERHEAD = int(1.2 * 2**30)


@dataclass(frozen=True)
class MemoryEstimate:
    """Peak bytes by part."""

    weights: int
    gradients: int
    optimiser: int
    activations: int
    temporary: int

    @property
    def total(self) -> int:
        """Sum of all parts (bytes)."""
        return self.weights + self.gradients + self.optimiser + self.activations + self.temporary


def estimate(
    shape: ModelShape, seq_len: int, batch_size: int, *, checkpointing: bool, bf16: bool = True
) -> MemoryEstimate:
    """Return the peak memory of a step of `batch_size` sequences of `seq_len` tokens (bytes)."""
    tokens = seq_len * batch_size
    width = 1.0 if bf16 else 2.0
    layer = tokens * (KEPT_PER_HIDDEN * shape.hidden + KEPT_PER_INTERMEDIATE * shape.intermediate) * width
    boundary = tokens * shape.hidden * 4
    kept = boundary * shape.layers + layer if checkpointing else layer * shape.layers
    head = 3 * min(tokens, HEAD_CHUNK) * shape.vocabulary * 4
    return MemoryEstimate(
        weights=4 * shape.parameters,
        gradients=4 * shape.parameters,
        optimiser=8 * shape.parameters,
        activations=int(kept),
        temporary=int(head) + OVERHEAD,
    )
