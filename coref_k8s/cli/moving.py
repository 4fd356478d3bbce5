"""`export` and `import`: a study as one file, from one database to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coref_k8s.cli.console import note, suggest, write
from coref_k8s.cli.strings import locale_lang
from coref_k8s.cli.where_options import DataDir, Storage, Study, Where, placed, typed
from coref_k8s.client.where import find_study, open_local
from coref_k8s.errors import RequestError


@placed
def export(
    name: Study,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default NAME.study.")
    ] = None,
    where: Where,
) -> None:
    """Write a study to one file, to import it into another database.

    Request, trials, attempts and outcome are in it; models, checkpoints, logs and prepared data are not.
    """
    from coref_k8s.client.moving import export_study

    backend, view = find_study(where, name)
    path = output or Path(f"{name}.study")
    export_study(view, path)
    note(f"{len(view.trials)} trials of study {name} from {backend.place}; elsewhere: coref-k8s import FILE")
    if not view.ended:
        note("the study has not ended: what it does from now on is not in the file", style="yellow")
    write(str(path))


def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `export` has written.", show_default=False)
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NEW", help="Another name for the study.")
    ] = None,
    data_dir: DataDir = None,
    storage: Storage = None,
    for_namespace: Annotated[
        str | None,
        typer.Option(
            "--for-namespace",
            metavar="NAME",
            help="Make it a study of this namespace of the cluster whose database --storage names.",
            rich_help_panel="Where",
        ),
    ] = None,
) -> None:
    """Take a study from a file into a database: of this machine, or the one that --storage names.

    It goes on there: `resume` when it had not succeeded, `extend` for more trials. Its data are prepared again.
    """
    from coref_k8s.client.moving import import_study

    if for_namespace is not None and storage is None:
        raise RequestError("--for-namespace needs --storage, the URL of the cluster's database")
    there = open_local(Where(data_dir=data_dir, storage=storage))
    view = import_study(file, there.settings.storage_url, name=name, namespace=for_namespace or "")
    note(f"study {view.name} is there, with {len(view.trials)} trials ({view.phase.value.lower()})")
    if for_namespace is not None:
        note(
            f"Next: apply a CorefStudy {view.name} with the same request in {for_namespace}; "
            "the controller takes the study up",
            style="dim",
        )
    else:
        suggest(locale_lang(), f"results {view.name}{typed(there.where)}")
