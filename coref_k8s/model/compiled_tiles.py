"""What happens inside a tile on a CPU: one compiled loop for what takes PyTorch many operations (`kernels.py`)."""

import importlib
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.utils import logging

from coref_k8s.wording import Message

from .layout import Layout
from .tiling import LINE, Heads, Tile
from .torch_tiles import TorchTile

logger = logging.get_logger(__name__)


@cache
def _kernels() -> Any:
    """The module of compiled loops; None where numba is missing, with one warning."""
    try:
        return importlib.import_module(".kernels", __package__)
    except ImportError as error:
        logger.warning(Message.of("model.no-numba", why=str(error)))
        return None


def tile_kind(query: Tensor, layout: Layout) -> type[Tile]:
    """The fastest kind of tile for `query`, in this layout: compiled loops are for float32 on a CPU, unmasked."""
    fits = query.device.type == "cpu" and query.dtype == torch.float32 and layout.segments is None
    return CompiledTile if fits and _kernels() is not None else TorchTile


class CompiledTile(Tile):
    """A tile of one head whose passes are the loops of `kernels.py`."""

    keeps_logsum = True

    def __init__(self, group: Heads, queries: slice):
        super().__init__(group, queries)
        tokens = torch.arange(queries.stop - 1, queries.start - 1, -1) if self.at is None else self.at
        self._tokens = (tokens - group.span.start).numpy()
        dropout = self.tiling.dropout
        self._bits = (
            self._tokens,
            *(dropout.stream(group.number) if dropout else (np.uint64(0), np.uint32(0))),
        )
        table = self.tiling.terms.table
        self._places: tuple[Any, ...] = ()
        if table is not None:
            far_row, near_row = np.uint64(table.far_row), np.uint64(table.near_row)
            rows = table.reversed_rows.numpy().astype(np.uint32)
            self._places = (self._tokens, rows, table.far, (far_row, near_row))

    @staticmethod
    def arranged(products: Tensor) -> Tensor:
        """(1, lines, keys, 16): next to a line of one key stands that of the next key, which is read next.

        A diagonal through (keys, columns) would meet another page of memory with every key.
        """
        return products.unflatten(2, (-1, LINE)).transpose(1, 2).contiguous()

    @staticmethod
    def restored(products: Tensor) -> Tensor:
        """As `Tile.restored`."""
        return products.transpose(1, 2).flatten(2)

    def attend(self, logsum: Tensor | None) -> Tensor:
        """As `Tile.attend`; `logsum` is told the logarithm of each row's sum."""
        assert logsum is not None
        scores, normaliser = self._scores(), logsum[self.place][0]
        torch.amax(scores[0], 1, out=normaliser)
        _kernels().attend(_array(scores), normaliser.numpy(), *self._bits)
        return scores

    def differentiate(self, grad: Tensor, delta: Tensor, logsum: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `Tile.differentiate`; with `logsum`, no row has to be read twice."""
        assert logsum is not None
        scores, normaliser = self._scores(), logsum[self.place][0]
        _kernels().differentiate(
            _array(scores), _array(grad), normaliser.numpy(), delta[0, :, 0].numpy(), *self._bits
        )
        return scores, grad

    def gradients(self, grad: Tensor, by_query: Tensor | None, by_key: Tensor | None) -> None:
        """As `Tile.gradients`."""
        if by_query is None and by_key is None:
            return
        ends = None if by_key is None else by_key.new_zeros(2, by_key.shape[2])
        _kernels().gather_gradients(
            _array(grad),
            _array(by_query),
            _array(by_key),
            None if ends is None else ends.numpy(),
            *self._places,
        )
        table = self.tiling.terms.table
        if by_key is not None and ends is not None and table is not None:
            for end, row in zip(ends, (table.far_row, table.near_row), strict=True):
                by_key[0, row // LINE, :, row % LINE] += end

    def _scores(self) -> Tensor:
        """All three terms of the scores (1, rows, keys)."""
        group = self.group
        scores, by_query = self.products()
        if by_query is not None or group.key_products is not None:
            ends = None if group.key_ends is None else group.key_ends[:, 0].numpy()
            _kernels().add_positions(
                _array(scores), _array(by_query), _array(group.key_products), ends, *self._places
            )
        return scores


def _array(tensor: Tensor | None) -> Any:
    """What `tensor` (1, ...) holds of its one head, as a view."""
    return None if tensor is None else tensor[0].numpy()
