"""`cancel` and `delete`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from coref_k8s.cli.console import note, out
from coref_k8s.cli.speech import say
from coref_k8s.cli.where_options import Study, Where, placed
from coref_k8s.client.where import find_study
from coref_k8s.errors import RequestError
from coref_k8s.study.paths import STUDIES
from coref_k8s.wording import Message

Yes = Annotated[bool, typer.Option("--yes", "-y")]


@placed
def cancel(name: Study, *, where: Where) -> None:
    """End a study; what is finished stays."""
    backend, view = find_study(where, name, whole=False)
    if view.ended:
        raise RequestError("client.ended-already", study=name, phase=view.phase.words)
    backend.cancel(name)
    out.print(say("cli.cancelled", study=name), soft_wrap=True)


@placed
def delete(name: Study, *, yes: Yes = False, where: Where) -> None:
    """Delete a study with its trials, models and logs."""
    backend, view = find_study(where, name, whole=False)
    if not yes:
        if not sys.stdin.isatty():
            raise RequestError("cli.delete-needs-yes", study=name)
        code = "cli.delete-ended" if view.ended else "cli.delete-running"
        what = Message.of("cli.all-of-it" if backend.here else "cli.all-but-files")
        typer.confirm(say(code, study=name, what=what), abort=True)
    backend.delete(name)
    out.print(say("cli.deleted", study=name))
    if not backend.here:
        note(say("cli.files-stay", folder=f"{backend.root}{STUDIES}/{name}"), style="dim")
