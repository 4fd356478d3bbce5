"""What happens inside a tile on a CPU: one compiled loop for what takes PyTorch many operations (`kernels.py`)."""

import importlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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

#: Numbers that are worth a thread: handing over 2^16 takes a tenth of the time that they do.
PART = 1 << 16


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


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="tiles")


# a forked process has none of the threads
os.register_at_fork(after_in_child=_pool.cache_clear)


def threads_for(numbers: int) -> int:
    """Return how many of torch's threads are worth their handing over for so many numbers."""
    return max(1, min(torch.get_num_threads(), numbers // PART))


def in_parts(work: Callable[[slice], None], lines: int, others: int, *, step: int = 1) -> None:
    """Do `work` on parts of so many lines of `others` numbers each, on torch's threads as far as a part is worth one.

    Parts begin at multiples of `step`. The compiled loops let go of Python's lock, so parts run side by side.
    """
    parts = threads_for(lines * others)
    size = -(-lines // (parts * step)) * step
    first, *rest = (slice(begin, min(lines, begin + size)) for begin in range(0, lines, size))
    elsewhere = [_pool().submit(work, part) for part in rest]
    work(first)
    for one in elsewhere:
        one.result()


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
        numbers, sums = _array(scores), normaliser.numpy()
        tokens, *dropping = self._bits

        def rows(part: slice) -> None:
            _kernels().attend(numbers[part], sums[part], tokens[part], *dropping)

        in_parts(rows, *numbers.shape)
        return scores

    def differentiate(self, grad: Tensor, delta: Tensor, logsum: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `Tile.differentiate`; with `logsum`, no row has to be read twice."""
        assert logsum is not None
        scores, normaliser = self._scores(), logsum[self.place][0]
        numbers, into, sums, means = _array(scores), _array(grad), normaliser.numpy(), delta[0, :, 0].numpy()
        tokens, *dropping = self._bits

        def rows(part: slice) -> None:
            _kernels().differentiate(
                numbers[part], into[part], sums[part], means[part], tokens[part], *dropping
            )

        in_parts(rows, *numbers.shape)
        return scores, grad

    def gradients(self, grad: Tensor, by_query: Tensor | None, by_key: Tensor | None) -> None:
        """As `Tile.gradients`."""
        if by_query is None and by_key is None:
            return
        ends = None if by_key is None else by_key.new_zeros(2, by_key.shape[2])
        numbers, queries, keys = _array(grad), _array(by_query), _array(by_key)
        sums = None if ends is None else ends.numpy()
        tokens, *places = self._places

        def gather(rows: slice, columns: slice, by_query: Any, by_key: Any) -> None:
            own = None if by_query is None else by_query[rows]
            sent = None if by_key is None else sums
            _kernels().gather_gradients(
                numbers[rows], own, by_key, sent, columns.start, columns.stop, tokens[rows], *places
            )

        whole = slice(0, numbers.shape[0]), slice(0, numbers.shape[1])
        if threads_for(numbers.size) == 1:
            gather(*whole, queries, keys)  # each number is read once
        else:
            if queries is not None:
                in_parts(lambda part: gather(part, whole[1], queries, None), *numbers.shape)
            if keys is not None:  # what is sent to a key comes from all rows
                step = _kernels().COLUMNS
                in_parts(lambda part: gather(whole[0], part, None, keys), *reversed(numbers.shape), step=step)
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
            numbers, queries, keys = _array(scores), _array(by_query), _array(group.key_products)
            tokens, *places = self._places

            def rows(part: slice) -> None:
                some = None if queries is None else queries[part]
                _kernels().add_positions(numbers[part], some, keys, ends, tokens[part], *places)

            in_parts(rows, *numbers.shape)
        return scores


def _array(tensor: Tensor | None) -> Any:
    """What `tensor` (1, ...) holds of its one head, as a view."""
    return None if tensor is None else tensor[0].numpy()
