"""The one way in which commands show rows and columns.

A column that has no room is left out whole, and named below; a number, a word or an interval is never cut. Columns that
may go are marked as `spare`. Where not even the others have room, each row becomes a list of its values.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from coref_k8s.cli.speech import say

#: Blanks between two columns.
_GAP = 2
#: Cells of a column of text that wraps, or of a name, below which it is not squeezed.
_LEAST = 16


@dataclass(frozen=True)
class Column:
    """One column: numbers stand to the right, text to the left; only text that wraps takes more than one line."""

    heading: str
    left: bool = False
    wrapped: bool = False
    spare: int | None = None
    """Place in the order in which columns are left out; None: never."""


class Sheet:
    """A table that fits the width it is given."""

    def __init__(self, title: str | None = None) -> None:
        self._title = title
        self._columns: list[Column] = []
        self._rows: list[tuple[list[Text], str]] = []

    def column(
        self, heading: str, *, left: bool = False, wrapped: bool = False, spare: int | None = None
    ) -> None:
        """Add a column."""
        self._columns.append(Column(heading, left or wrapped, wrapped, spare))

    def row(self, *cells: str | Text, style: str = "") -> None:
        """Add a row: a cell for each column."""
        self._rows.append(([cell if isinstance(cell, Text) else Text(cell) for cell in cells], style))

    def least(self) -> int:
        """Return the cells that all columns need together."""
        return self._needed(range(len(self._columns)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield title, table and the names of columns that are left out."""
        width = options.max_width
        shown, left_out = self._chosen(width)
        if self._title is not None:
            yield Text(self._title, style="bold")
        yield self._table(shown, width) if self._needed(shown, squeezed=True) <= width else self._list(shown)
        if left_out:
            names = ", ".join(dict.fromkeys(_one_line(name) for name in left_out if name))
            if names:
                yield Text(say("cli.left-out", columns=names), style="dim")

    def _chosen(self, width: int) -> tuple[list[int], list[str]]:
        """Return the columns that have room, and the headings of the others."""
        shown = list(range(len(self._columns)))
        spare = sorted((one.spare, n) for n, one in enumerate(self._columns) if one.spare is not None)
        gone: list[int] = []
        for _, number in spare:
            if self._needed(shown) <= width:
                break
            shown.remove(number)
            gone.append(number)
        # what went early may have room where a wide column went after it
        for number in reversed(gone[:-1]):
            if self._needed([*shown, number]) <= width:
                shown = sorted([*shown, number])
                gone.remove(number)
        return shown, [self._columns[n].heading for n in sorted(gone)]

    def _natural(self, number: int) -> int:
        """Return the cells that the longest line of a column takes."""
        texts = [self._columns[number].heading, *(cells[number].plain for cells, _ in self._rows)]
        return max(cell_len(line) for text in texts for line in (text.splitlines() or [""]))

    def _floor(self, number: int, squeezed: bool) -> int:
        column, natural = self._columns[number], self._natural(number)
        return min(natural, _LEAST) if column.wrapped or (squeezed and column.left) else natural

    def _needed(self, numbers: Sequence[int], *, squeezed: bool = False) -> int:
        return sum(self._floor(n, squeezed) for n in numbers) + _GAP * max(0, len(numbers) - 1)

    def _table(self, shown: list[int], width: int) -> Table:
        squeezed = self._needed(shown) > width
        room = width - self._needed(shown, squeezed=squeezed)
        table = Table(
            show_header=any(self._columns[n].heading for n in shown),
            header_style="bold", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True,
        )  # fmt: skip
        for number, cells in self._widths(shown, squeezed, room).items():
            column = self._columns[number]
            table.add_column(
                column.heading, width=cells, overflow="fold", justify="left" if column.left else "right"
            )
        for cells_of, style in self._rows:
            table.add_row(*(cells_of[n] for n in shown), style=style)
        return table

    def _widths(self, shown: list[int], squeezed: bool, room: int) -> dict[int, int]:
        """Return the cells of each column: its least, and what is left over to those that could use it, evenly."""
        widths = {n: self._floor(n, squeezed) for n in shown}
        while wanting := [n for n in shown if room and widths[n] < self._natural(n)]:
            share = max(1, room // len(wanting))
            for number in wanting:
                more = min(share, room, self._natural(number) - widths[number])
                widths[number] += more
                room -= more
        return widths

    def _list(self, shown: list[int]) -> Table:
        """Return each row as lines of heading, where there are any, and value."""
        headed = any(self._columns[number].heading for number in shown)
        table = Table.grid(padding=(0, _GAP))
        if headed:
            table.add_column(style="bold", overflow="fold")
        table.add_column(overflow="fold")
        for place, (cells, style) in enumerate(self._rows):
            if place:
                table.add_row()
            for number in shown:
                heading = [_one_line(self._columns[number].heading)] if headed else []
                if headed or cells[number]:
                    table.add_row(*heading, cells[number], style=style)
        return table


def _one_line(heading: str) -> str:
    return heading.replace("_\n", "_").replace("\n", " ")


def headed(
    *codes: str,
    left: Container[str] = (),
    wrapped: Container[str] = (),
    spare: Sequence[str] = (),
    title: str | None = None,
) -> Sheet:
    """Return a sheet with these headings (codes; an empty one is no heading), `left` for text, `wrapped` for sentences.

    `spare` are left out where there is no room, in this order.
    """
    sheet = Sheet(title)
    for code in codes:
        place = spare.index(code) if code in spare else None
        sheet.column(say(code) if code else "", left=code in left, wrapped=code in wrapped, spare=place)
    return sheet


class FirstThatFits:
    """Shows the first of several sheets that has room, or the last."""

    def __init__(self, *sheets: Sheet) -> None:
        self._sheets = sheets

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield it."""
        yield next((one for one in self._sheets if one.least() <= options.max_width), self._sheets[-1])
