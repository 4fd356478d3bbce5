"""`report`, `export` and `import`: a study as one file, for people or for another database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coref_k8s.cli.console import note, suggest, write
from coref_k8s.cli.speech import lang, say
from coref_k8s.cli.where_options import DataDir, Storage, Study, Where, name_place, placed
from coref_k8s.client.where import find_study, open_local
from coref_k8s.errors import RequestError


@placed
def report(
    name: Study,
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE")] = None,
    where: Where,
) -> None:
    """Write a study as one HTML file that works offline."""
    from coref_k8s.client.reporting import write_report

    backend, view = find_study(where, name)
    path = output or Path(f"{name}.html")
    write_report(backend, view, path, lang())
    note(say("cli.open-report"), style="dim")
    write(str(path))


@placed
def export(
    name: Study,
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE")] = None,
    where: Where,
) -> None:
    """Write a study to one file, to import it into another database."""
    from coref_k8s.client.moving import write_whole
    from coref_k8s.controller.portable import to_file

    backend, view = find_study(where, name)
    path = output or Path(f"{name}.study")
    write_whole(path, to_file(view))
    note(say("cli.exported", study=name, n=len(view.trials), place=backend.place))
    if not view.ended:
        note(say("cli.exported-early"), style="yellow")
    write(str(path))


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    name: Annotated[str | None, typer.Option("--name", metavar="NEW")] = None,
    data_dir: DataDir = None,
    storage: Storage = None,
    for_namespace: Annotated[
        str | None, typer.Option("--for-namespace", metavar="NAME", rich_help_panel="help.panel-where")
    ] = None,
) -> None:
    """Take a study from a file into a database: of this machine, or the one that --storage names."""
    from coref_k8s.client.moving import import_study

    if for_namespace is not None and storage is None:
        raise RequestError("cli.namespace-without-storage")
    where = Where(data_dir=data_dir, storage=storage)
    name_place(where)
    there = open_local(where)
    view = import_study(file, there.settings.storage_url, name=name, namespace=for_namespace or "")
    note(say("cli.imported", study=view.name, n=len(view.trials), phase=view.phase.words))
    if for_namespace is not None:
        note(say("cli.imported-next", study=view.name, namespace=for_namespace), style="dim")
    else:
        suggest(f"results {view.name}")
