"""`extend`: more trials, finalists, time or patience for a study that runs or has ended, here or in a cluster."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from coref_k8s.cli.console import note, out
from coref_k8s.cli.next_steps import tell_if_left
from coref_k8s.cli.speech import lang, said, say
from coref_k8s.cli.where_options import Study, Where, option, placed
from coref_k8s.client.extending import FIELDS, extension
from coref_k8s.client.power import power_of
from coref_k8s.client.where import find_study
from coref_k8s.study.reading import amended


@placed
def extend(
    name: Study,
    *,
    trials: Annotated[str | None, typer.Option("--trials", metavar="N")] = None,
    budget: Annotated[float | None, typer.Option("--budget", metavar="TRIALS")] = None,
    parallelism: Annotated[int | None, typer.Option("--parallelism", metavar="N")] = None,
    finalists: Annotated[int | None, typer.Option("--finalists", metavar="K")] = None,
    finalist_seeds: Annotated[int | None, typer.Option("--finalist-seeds", metavar="N")] = None,
    patience: Annotated[int | None, typer.Option("--patience", metavar="N")] = None,
    min_gain: Annotated[float | None, typer.Option("--min-gain", metavar="SCORE")] = None,
    max_gpu_hours: Annotated[float | None, typer.Option("--max-gpu-hours", metavar="HOURS")] = None,
    max_duration: Annotated[float | None, typer.Option("--max-duration", metavar="SECONDS")] = None,
    where: Where,
) -> None:
    """Give a study more trials, finalists, time or patience, or run more of it at once."""
    given = dict(zip(FIELDS, (
        trials, budget, parallelism, finalists, finalist_seeds, patience, min_gain, max_gpu_hours, max_duration,
    ), strict=True))  # fmt: skip
    backend, view = find_study(where, name)
    found = extension(view, given, spelled=option)
    backend.extend(name, found.changes, goes_on=found.goes_on)
    changes = (f"{key} {_shown(before)} → {_shown(after)}" for key, (before, after) in found.told.items())
    out.print(say("cli.extended", study=name, changes=", ".join(changes)))
    power = power_of(amended(view.spec, found.changes), [view])
    if power and {"finalists", "finalistSeeds"} & set(found.told):
        out.print(*(one.say(lang()) for one in power.sentences()), sep="\n")
    if found.in_vain:
        options = " / ".join(map(option, found.in_vain))
        note(say("cli.in-vain", why=said(view.message), options=options), style="yellow")
    if backend.is_running(name):
        tell_if_left(backend, name)
    elif found.goes_on or not view.ended:
        note(say("cli.resume-goes-on", study=name), style="dim")


def _shown(value: Any) -> str:
    return "none" if value is None else f"{value:g}"
