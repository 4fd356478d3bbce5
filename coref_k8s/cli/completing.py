"""`completion`: what makes a shell complete commands and options."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from coref_k8s.cli.console import note, write
from coref_k8s.cli.speech import say
from coref_k8s.errors import RequestError

_PROGRAM = "coref-k8s"
#: Set by a shell that asks what can follow.
COMPLETING = "_COREF_K8S_COMPLETE"
Shell = Literal["bash", "zsh", "fish"]


def ready() -> None:
    """Make the program answer shells."""
    from typer.completion import completion_init

    completion_init()


def completion(
    shell: Annotated[Shell | None, typer.Argument(metavar="[bash|zsh|fish]", show_default=False)] = None,
    install: Annotated[bool, typer.Option("--install")] = False,
) -> None:
    """Print the script that makes a shell complete commands and options, or install it."""
    import os

    from typer.completion import get_completion_script
    from typer.completion import install as installed

    ready()
    chosen = shell or os.path.basename(os.environ.get("SHELL", ""))
    if chosen not in ("bash", "zsh", "fish"):
        raise RequestError("cli.which-shell")
    if not install:
        write(get_completion_script(prog_name=_PROGRAM, complete_var=COMPLETING, shell=chosen))
        return
    _, path = installed(shell=chosen, prog_name=_PROGRAM, complete_var=COMPLETING)
    note(say("cli.completion-installed", shell=chosen, file=path), style="dim")
