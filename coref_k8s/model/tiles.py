"""Tiles of the score matrix: their sizes and their buffers."""

import math

import torch
from torch import Tensor

#: Numbers in one tile of scores. On a CPU a tile should stay near the second-level cache; on a GPU it
#: must be large enough to fill the device.
TILE_ELEMENTS_CPU = 1 << 19
TILE_ELEMENTS_GPU = 1 << 25


def tile_shape(heads: int, length: int, device: torch.device) -> tuple[int, int]:
    """(heads, query rows) of a tile whose keys are `length` tokens."""
    if device.type == "cpu":
        group, budget = 1, TILE_ELEMENTS_CPU
    else:
        budget = TILE_ELEMENTS_GPU
        group = max(1, min(heads, budget // (length * min(length, 128))))
    rows = max(16, min(length, budget // (group * length)))
    return group, math.ceil(length / math.ceil(length / rows))


class Workspace:
    """Named buffers that every tile of a pass writes into.

    Fresh memory for each tile would cost more in page faults than the products computed in it.
    """

    def __init__(self, device: torch.device):
        self._device = device
        self._buffers: dict[str, Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A contiguous tensor of `shape`, with whatever the last user of `name` left in it."""
        count = math.prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.numel() < count or buffer.dtype != dtype:
            buffer = self._buffers[name] = torch.empty(count, dtype=dtype, device=self._device)
        return buffer[:count].view(shape)

    def bmm(self, name: str, left: Tensor, right: Tensor) -> Tensor:
        """`torch.bmm` into the buffer `name`."""
        shape = (*left.shape[:2], right.shape[2])
        return torch.bmm(left, right, out=self.take(name, shape, left.dtype))
