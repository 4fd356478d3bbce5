"""`report`: a study as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coref_k8s.cli.console import note, write
from coref_k8s.cli.speech import lang, say
from coref_k8s.cli.where_options import Study, Where, placed
from coref_k8s.client.where import find_study


@placed
def report(
    name: Study,
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE")] = None,
    where: Where,
) -> None:
    """Write a study as one HTML file that works offline."""
    from coref_k8s.client.moving import write_whole
    from coref_k8s.report.page import report as page

    _, view = find_study(where, name)
    path = output or Path(f"{name}.html")
    write_whole(path, page(view, lang()).encode())
    note(say("cli.open-report"), style="dim")
    write(str(path))
