"""Where commands write: results on stdout, remarks and errors on stderr. Nothing that is printed is read as markup."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Annotated, Any

import typer
from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions

from coref_k8s.cli.speech import said, say
from coref_k8s.wording import Message, has
from coref_k8s.wording.commands import typed


class Screen(Console):
    """A console that, asked to be `wide`, has room for everything."""

    wide = False

    @property
    def size(self) -> ConsoleDimensions:
        """Width and height."""
        found = super().size
        if self.is_dumb_terminal and not os.environ.get("COLUMNS"):
            # Rich takes 80 columns for granted there; a terminal that knows no commands has a width all the same
            with suppress(OSError, ValueError):
                columns, lines = os.get_terminal_size(self.file.fileno())
                found = ConsoleDimensions(columns or found.width, lines or found.height)
        return ConsoleDimensions(_ALL, found.height) if self.wide else found

    @size.setter
    def size(self, new: tuple[int, int]) -> None:
        self.width, self.height = new


if not os.environ.get("COLUMNS", "80").strip("0"):
    # as pseudo-terminals without a size have it: Rich would print nothing, and no help
    del os.environ["COLUMNS"]

#: Columns of a table that is to show everything.
_ALL = 10_000
#: Columns over which a command and what it is for are read as one line.
_READABLE = 100
#: Results; what a pipe or a redirect receives.
out = Screen(soft_wrap=False, markup=False, emoji=False, highlight=False)
#: Remarks: what to type next, progress, warnings.
err = Screen(stderr=True, markup=False, emoji=False, highlight=False)


def write(text: str) -> None:
    """Write machine-readable text as it is: no wrapping, no colours."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


#: What is copied from a remark and typed: no line may end inside it.
_TYPED = re.compile(r"coref-k8s |(^|\s)--?[a-z]|`")


def note(text: str, **more: Any) -> None:
    """Write a remark, on stderr, so that it never mixes with a result; on a terminal lines end between words."""
    err.print(text, soft_wrap=not err.is_terminal or bool(_TYPED.search(text)), **more)


def warn(text: str) -> None:
    """Write a warning, on stderr."""
    note(say("words.warning", message=text), style="yellow")


def tell(found: Iterable[Message]) -> None:
    """Write what a check of a request found: remarks as they are, the rest as warnings."""
    from coref_k8s.client.checks import is_remark  # not every command checks one

    for message in found:
        if is_remark(message):
            note(said(message), style="dim")
        else:
            warn(said(message))


class SpokenWarnings(logging.Handler):
    """Writes what is logged as a warning, in the reader's language where it is a message."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write it on stderr."""
        warn(said(record.msg) if isinstance(record.msg, Message) else record.getMessage())


def suggest(*commands: str) -> None:
    """Say what can be typed next: commands of ours, without their first word, each whole and on a line of its own.

    What names the place is put behind them.
    """
    if not commands:
        return
    lines = []
    for command in commands:
        about = f"cli.next-{command.partition(' ')[0]}"
        lines.append((f"  coref-k8s {command}{typed()}", f"  # {say(about)}" if has(about) else ""))
    # a long command has no words beside it, so that those of short ones stay near
    width = min(err.width, _READABLE)
    told_of = sorted((cell_len(line), cell_len(about)) for line, about in lines if about)
    while told_of and told_of[-1][0] + max(about for _, about in told_of) > width:
        told_of.pop()
    longest = told_of[-1][0] if told_of else 0
    told = [
        f"{line}{' ' * (longest - cell_len(line))}{about}" if about and cell_len(line) <= longest else line
        for line, about in lines
    ]
    note("\n".join(["", say("cli.next"), *told]), style="dim")


def _widen(wide: bool) -> bool:
    out.wide = wide
    return wide


#: Option of commands whose tables leave columns out where there is no room for them.
Wide = Annotated[bool, typer.Option("--wide", callback=_widen)]


def dump(data: Any, form: str) -> str:
    """Return plain data as YAML or JSON."""
    if form == "json":
        return json.dumps(data, ensure_ascii=False, indent=2)
    from coref_k8s.study import yaml12

    return yaml12.write(data)
