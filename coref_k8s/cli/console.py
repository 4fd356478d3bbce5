"""Where commands write: results on stdout, remarks and errors on stderr."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from coref_k8s.cli.strings import Lang, say

#: Results; what a pipe or a redirect receives.
out = Console(soft_wrap=False)
#: Remarks: what to type next, progress, warnings.
err = Console(stderr=True)


def write(text: str) -> None:
    """Write machine-readable text as it is: no wrapping, no colours, no markup."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


def note(text: str, **more: Any) -> None:
    """Write a remark, on stderr, so that it never mixes with a result."""
    err.print(text, highlight=False, soft_wrap=True, **more)


def suggest(lang: Lang, *commands: str) -> None:
    """Say what can be typed next: commands of ours, without their first word."""
    note(say(lang, "next", steps="   ".join(f"coref-k8s {command}" for command in commands)), style="dim")


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


def dump(data: Any, form: str) -> str:
    """Return plain data as YAML or JSON."""
    if form == "json":
        return json.dumps(data, ensure_ascii=False, indent=2)
    import yaml

    return yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=110)
