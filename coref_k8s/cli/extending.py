"""`extend`: more trials, or more of them at once, for a study that runs or has ended."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from coref_k8s.cli.backend import Context, Namespace, Study, Where, open_cluster
from coref_k8s.cli.console import out
from coref_k8s.errors import RequestError


def extend(
    name: Study,
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
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Give a study in the cluster more trials, or run more of them at once.

    A study that has succeeded goes on with the new trials. Nothing that is finished is lost.
    """
    from coref_k8s.cli.cluster_backend import ClusterBackend

    if trials is None and parallelism is None:
        raise RequestError("say what is to change: --trials +10, --parallelism 8, or both")
    backend = open_cluster(Where(namespace=namespace, context=context))
    assert isinstance(backend, ClusterBackend)
    spec = backend.view(name).spec
    changed: dict[str, Any] = {}
    if trials is not None:
        changed["trials"] = new_count(trials, spec.trials)
    if parallelism is not None:
        changed["parallelism"] = parallelism
    backend.change(name, changed)
    told = ", ".join(f"{key} {getattr(spec, key)} → {value}" for key, value in changed.items())
    out.print(f"study {name}: {told}", highlight=False)


def new_count(text: str, now: int) -> int:
    """Return the number that `12` or `+10` means, given that there are `now`. Raises RequestError."""
    more = text.startswith("+")
    if not text.removeprefix("+").isdigit():
        raise RequestError(f"--trials {text!r}: give a number such as 40, or +10 for ten more")
    count = int(text.removeprefix("+")) + (now if more else 0)
    if count < 1:
        raise RequestError("--trials: a study has at least one trial")
    return count
