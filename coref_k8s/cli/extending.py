"""`extend`: more trials, or more of them at once, for a study that runs or has ended, here or in a cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from coref_k8s.cli.backend import Study, Where, find_study, placed
from coref_k8s.cli.console import note, out
from coref_k8s.errors import RequestError


@placed
def extend(
    name: Study,
    *,
    trials: Annotated[
        str | None,
        typer.Option("--trials", metavar="N", help="Trials per length: a number, or `+10` for ten more."),
    ] = None,
    parallelism: Annotated[
        int | None,
        typer.Option(
            "--parallelism", metavar="N", min=1, help="Trials at once; fewer lets running ones end first."
        ),
    ] = None,
    where: Where,
) -> None:
    """Give a study more trials, or run more of them at once.

    A study that has succeeded goes on with the new trials; on this machine `coref-k8s resume NAME` runs them.
    Nothing that is finished is lost.
    """
    if trials is None and parallelism is None:
        raise RequestError("say what is to change: --trials +10, --parallelism 8, or both")
    backend, view = find_study(where, name)
    spec = view.spec
    changed: dict[str, int] = {}
    if trials is not None:
        changed["trials"] = new_count(trials, spec.trials)
    if parallelism is not None:
        changed["parallelism"] = parallelism
    backend.extend(name, changed)
    told = ", ".join(f"{key} {getattr(spec, key)} → {value}" for key, value in changed.items())
    out.print(f"study {name}: {told}", highlight=False)
    if backend.in_foreground and not backend.is_running(name):
        note(f"coref-k8s resume {name} goes on with it", style="dim")


def new_count(text: str, now: int) -> int:
    """Return the number that `12` or `+10` means, given that there are `now`. Raises RequestError."""
    more = text.startswith("+")
    if not text.removeprefix("+").isdigit():
        raise RequestError(f"--trials {text!r}: give a number such as 40, or +10 for ten more")
    count = int(text.removeprefix("+")) + (now if more else 0)
    if count < 1:
        raise RequestError("--trials: a study has at least one trial")
    return count
