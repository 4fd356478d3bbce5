"""`report`: a study as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coref_k8s.cli.backend import Study, Where, find_study, placed
from coref_k8s.cli.console import note, write
from coref_k8s.cli.strings import LangOption, locale_lang
from coref_k8s.errors import RequestError


@placed
def report(
    name: Study,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default NAME.html.")
    ] = None,
    lang: LangOption = None,
    where: Where,
) -> None:
    """Write a study as one HTML file that works offline."""
    from coref_k8s.report.page import report as page

    _, view = find_study(where, name)
    path = output or Path(f"{name}.html")
    try:
        path.write_text(page(view, lang or locale_lang()), encoding="utf-8")
    except OSError as error:
        raise RequestError(f"{path}: {error.strerror}; choose another file with --output") from error
    note("open it in a browser:", style="dim")
    write(str(path))
