"""Dropout whose mask is a function of a seed, so that it is drawn again in the backward pass.

Sixteen random bits an element: on a CPU this is several times faster than `bernoulli_`, which draws
one Mersenne number for each (docs/engine.md has the measurement).
"""

import math

import torch
from torch import Tensor

_STEPS = 1 << 16


class SeededDropout:
    """Masks of one dropout rate; the mask of tile `n` depends only on the seed and `n`."""

    def __init__(self, rate: float, seed: int, device: torch.device):
        dropped = round(rate * _STEPS)
        self._threshold = dropped - _STEPS // 2
        #: Survivors are multiplied by this; exact for the rate that 16 bits can express.
        self.scale = _STEPS / (_STEPS - dropped)
        self._seed = seed
        self._generator = torch.Generator(device=device)
        self._bits = torch.empty(0, dtype=torch.int64, device=device)

    def keep(self, out: Tensor, tile: int) -> Tensor:
        """Fills `out` (contiguous, floating) with the mask of tile number `tile`: 1 survives, 0 does not."""
        count = math.prod(out.shape)
        words = (count + 3) // 4
        if self._bits.numel() < words:
            self._bits = torch.empty(words, dtype=torch.int64, device=self._bits.device)
        bits = self._bits[:words]
        self._generator.manual_seed((self._seed + tile) % (1 << 63))
        bits.random_(-(1 << 63), None, generator=self._generator)
        # Straight into a floating tensor: a boolean one would cost as much again to multiply with.
        return torch.ge(bits.view(torch.int16)[:count].view(out.shape), self._threshold, out=out)


@torch.compiler.disable
def draw_seed() -> int:
    """A seed from torch's default CPU generator, so that a restored RNG state restores the masks."""
    return int(torch.randint(0, 1 << 62, ()))
