"""`extend`: more trials, finalists, time or patience for a study that runs or has ended, here or in a cluster."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from coref_k8s.cli.console import note, out
from coref_k8s.cli.where_options import Study, Where, option, placed, typed
from coref_k8s.client.extending import FIELDS, extension
from coref_k8s.client.where import find_study


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
        typer.Option("--parallelism", metavar="N", help="Trials at once; fewer lets running ones end first."),
    ] = None,
    finalists: Annotated[
        int | None,
        typer.Option(
            "--finalists",
            metavar="K",
            help="Run the best K trials of each length again with fresh seeds before a winner is named, "
            "also of a study that has ended without.",
        ),
    ] = None,
    finalist_seeds: Annotated[
        int | None, typer.Option("--finalist-seeds", metavar="N", help="Fresh seeds for each finalist.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            "--patience", metavar="N", help="Trials in a row without a better score that are borne."
        ),
    ] = None,
    min_gain: Annotated[
        float | None,
        typer.Option(
            "--min-gain", metavar="SCORE", help="Expected improvement below which a length begins no more."
        ),
    ] = None,
    max_gpu_hours: Annotated[
        float | None,
        typer.Option("--max-gpu-hours", metavar="HOURS", help="GPU time of the study's whole life."),
    ] = None,
    max_duration: Annotated[
        float | None,
        typer.Option("--max-duration", metavar="SECONDS", help="Time, counted from when the study goes on."),
    ] = None,
    where: Where,
) -> None:
    """Give a study more trials, finalists, time or patience, or run more of it at once.

    A study that has ended goes on with what is new; on this machine `coref-k8s resume NAME` runs it. Nothing that is
    finished is lost.
    """
    given = dict(zip(FIELDS, (
        trials, parallelism, finalists, finalist_seeds, patience, min_gain, max_gpu_hours, max_duration,
    ), strict=True))  # fmt: skip
    backend, view = find_study(where, name)
    found = extension(view, given, spelled=option)
    backend.extend(name, found.changes, goes_on=found.goes_on)
    words = (f"{key} {_shown(before)} → {_shown(after)}" for key, (before, after) in found.told.items())
    out.print(f"study {name}: {', '.join(words)}", highlight=False)
    if found.in_vain:
        options = " or ".join(map(option, found.in_vain))
        note(f"{view.message}: there it begins more trials only with another {options}", style="yellow")
    if (found.goes_on or not view.ended) and not backend.is_running(name):
        note(f"coref-k8s resume {name}{typed(backend.where)} goes on with it", style="dim")


def _shown(value: Any) -> str:
    return "none" if value is None else f"{value:g}"
