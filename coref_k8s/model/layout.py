"""Who attends to whom in a batch: whole rows, padded rows, packed documents."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Span:
    """Tokens `start..end` of row `row` of the batch, which attend to each other and to nothing else."""

    row: int
    start: int
    end: int


@dataclass(frozen=True)
class Layout:
    """Who attends to whom.

    `spans` holds the documents when they are contiguous and known on the host. Otherwise it holds whole
    rows, and `segments` (batch, length; 0 is padding) masks pairs of different documents; boolean when
    every row holds one document.
    """

    spans: tuple[Span, ...]
    segments: Tensor | None = None
    #: (batch, length) boolean, True at padding; None when there is none or `segments` takes care of it.
    padding: Tensor | None = None
    #: Flat positions (count), ascending, when only these are queries; then `picked` has, for each span, the
    #: first and the last plus one of them that lie in it.
    positions: Tensor | None = None
    picked: tuple[tuple[int, int], ...] = ()

    def rows_mask(self, states: Tensor) -> Tensor | None:
        """(batch, length) boolean, True at real tokens, for `states` (batch, length, ...).

        None when a row may hold several documents, or only some tokens are queries.
        """
        if self.positions is not None or len({span.row for span in self.spans}) < len(self.spans):
            return None
        if self.segments is not None:
            return self.segments if self.segments.dtype == torch.bool else None
        if self.padding is not None:
            return ~self.padding
        return torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)

    def only(self, positions: Tensor, length: int) -> "Layout":
        """The same layout with queries at `positions` (count; flat, ascending, on the host) alone."""
        edges = [span.row * length + edge for span in self.spans for edge in (span.start, span.end)]
        found = torch.searchsorted(positions, torch.tensor(edges, dtype=torch.long)).tolist()
        picked = tuple(zip(found[::2], found[1::2], strict=True))
        return replace(self, positions=positions, picked=picked)


def layout_of(segments: Tensor | None, batch: int, length: int) -> Layout:
    """The layout for `segments` (batch, length): document numbers, 0 at padding; None: no padding.

    Boolean for one document a row.
    On the host, contiguous documents become spans and nothing needs a mask; on a GPU, where looking at
    the values would make the host wait, whole rows with a mask.
    """
    rows = tuple(Span(row, 0, length) for row in range(batch))
    if segments is None:
        return Layout(rows)
    if segments.device.type != "cpu":
        return Layout(rows, segments=segments)
    spans = []
    for row in range(batch):
        values, counts = torch.unique_consecutive(segments[row], return_counts=True)
        seen: set[int] = set()
        start = 0
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            if value in seen:
                return Layout(rows, segments=segments)
            if value:
                seen.add(value)
                spans.append(Span(row, start, start + count))
            start += count
    padding = segments == 0
    return Layout(tuple(spans), padding=padding if bool(padding.any()) else None)
