"""`cancel` and `delete`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from coref_k8s.cli.console import out
from coref_k8s.cli.where_options import Study, Where, placed
from coref_k8s.client.where import find_study
from coref_k8s.errors import RequestError

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@placed
def cancel(
    name: Study,
    *,
    where: Where,
) -> None:
    """End a study; what is finished stays."""
    backend, view = find_study(where, name)
    if view.ended:
        raise RequestError("client.ended-already", study=name, phase=view.phase.value)
    backend.cancel(name)
    out.print(f"study {name} is cancelled; coref-k8s resume {name} would go on with it", highlight=False)


@placed
def delete(
    name: Study,
    *,
    yes: Yes = False,
    where: Where,
) -> None:
    """Delete a study with its trials, models and logs."""
    backend, view = find_study(where, name)
    if not yes:
        if not sys.stdin.isatty():
            raise RequestError(f"deleting {name!r} needs --yes where nobody can be asked")
        running = "" if view.ended else ", which has not ended,"
        typer.confirm(
            f"Delete study {name}{running} with {len(view.trials)} trials, their models and logs?", abort=True
        )
    backend.delete(name)
    out.print(f"study {name} is deleted", highlight=False)
