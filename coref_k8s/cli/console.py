"""Where commands write: results on stdout, remarks and errors on stderr. Nothing that is printed is read as markup."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Container, Iterable
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from coref_k8s.cli.speech import said, say
from coref_k8s.wording import Message

#: Results; what a pipe or a redirect receives.
out = Console(soft_wrap=False, markup=False, emoji=False, highlight=False)
#: Remarks: what to type next, progress, warnings.
err = Console(stderr=True, markup=False, emoji=False, highlight=False)


def write(text: str) -> None:
    """Write machine-readable text as it is: no wrapping, no colours."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


def note(text: str, **more: Any) -> None:
    """Write a remark, on stderr, so that it never mixes with a result."""
    err.print(text, soft_wrap=True, **more)


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
    """Say what can be typed next: commands of ours, without their first word."""
    note(say("cli.next", steps="   ".join(f"coref-k8s {command}" for command in commands)), style="dim")


def titled(title: str | None = None) -> Table:
    """Return an empty table in the one style that all commands use."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )


def headed(
    *codes: str, left: Container[str] = (), wrapped: Container[str] = (), title: str | None = None
) -> Table:
    """Return a table with these headings (codes; an empty one is no heading): numbers to the right, `left` for text."""
    table = titled(title)
    for code in codes:
        justify: Any = "left" if code in left else "right"
        table.add_column(say(code) if code else "", justify=justify, no_wrap=code not in wrapped)
    return table


def dump(data: Any, form: str) -> str:
    """Return plain data as YAML or JSON."""
    if form == "json":
        return json.dumps(data, ensure_ascii=False, indent=2)
    from coref_k8s.study import yaml12

    return yaml12.write(data)
