"""Dropout whose mask is a function of a seed, so that it is drawn again in the backward pass.

Sixteen random bits an element: on a CPU this is several times faster than `bernoulli_`, which draws
one Mersenne number for each (docs/engine.md has the measurement). There the bits come from numpy's SFC64, at
half the cost of torch's generator.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

_STEPS = 1 << 16
#: 2**64 over the golden ratio: its multiples differ in all their bits (Weyl's sequence).
_GOLDEN = 0x9E3779B97F4A7C15


class SeededDropout:
    """Masks of one dropout rate; the mask of tile `n` depends only on the seed and `n`."""

    def __init__(self, rate: float, seed: int, device: torch.device):
        dropped = round(rate * _STEPS)
        self._threshold = dropped - _STEPS // 2
        #: Survivors are multiplied by this; exact for the rate that 16 bits can express.
        self.scale = _STEPS / (_STEPS - dropped)
        self._seed = seed
        self._device = device

    def stream(self, number: int) -> tuple[Any, Any]:
        """(seed, threshold) of a stream of random bits, the `number`th: 32 bits below the threshold drop a number.

        Unsigned numpy scalars, of 64 and 32 bits, for the loops of `kernels.py`, which draw the bits themselves.
        """
        seed = (self._seed + number * _GOLDEN) % (1 << 64)
        return np.uint64(seed), np.uint32((self._threshold + _STEPS // 2) << 16)

    def keep(self, out: Tensor, tile: int) -> Tensor:
        """Fills `out` (contiguous, floating) with the mask of tile number `tile`: 1 survives, 0 does not."""
        count = math.prod(out.shape)
        bits = self._draw((count + 3) // 4, (self._seed + tile) % (1 << 63))
        # Straight into a floating tensor: a boolean one would cost as much again to multiply with.
        return torch.ge(bits.view(torch.int16)[:count].view(out.shape), self._threshold, out=out)

    def _draw(self, words: int, seed: int) -> Tensor:
        """64 random bits for each of `words`, int64."""
        if self._device.type == "cpu":
            return torch.from_numpy(np.random.SFC64(seed).random_raw(words).view(np.int64))
        generator = torch.Generator(device=self._device).manual_seed(seed)
        bits = torch.empty(words, dtype=torch.int64, device=self._device)
        return bits.random_(-(1 << 63), None, generator=generator)


@torch.compiler.disable
def draw_seed() -> int:
    """A seed from torch's default CPU generator, so that a restored RNG state restores the masks."""
    return int(torch.randint(0, 1 << 62, ()))
