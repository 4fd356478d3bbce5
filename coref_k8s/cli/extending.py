"""`extend`: more trials, finalists, time or patience for a study that runs or has ended, here or in a cluster."""

from __future__ import annotations

from functools import reduce
from operator import getitem
from typing import Annotated, Any

import typer

from coref_k8s.cli.backend import Study, Where, find_study, placed
from coref_k8s.cli.console import note, out
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import RequestError
from coref_k8s.store.records import Phase
from coref_k8s.study.reading import amended
from coref_k8s.study.spec import StudySpec

#: Where each option's value stands in the request, in the order in which they are told.
_PATHS = {
    "--trials": ("trials",),
    "--parallelism": ("parallelism",),
    "--finalists": ("search", "finalists"),
    "--finalist-seeds": ("search", "finalistSeeds"),
    "--patience": ("search", "patience"),
    "--min-gain": ("search", "minGain"),
    "--max-gpu-hours": ("limits", "maxGpuHours"),
    "--max-duration": ("limits", "maxDuration"),
}


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
    values: list[Any] = [
        trials, parallelism, finalists, finalist_seeds, patience, min_gain, max_gpu_hours, max_duration,
    ]  # fmt: skip
    given = {option: value for option, value in zip(_PATHS, values, strict=True) if value is not None}
    if not given:
        raise RequestError(
            "say what is to change: --trials +10, --finalists 3, --parallelism 8 or another option"
        )
    backend, view = find_study(where, name)
    if trials is not None:
        given["--trials"] = _new_count(trials, view)
    changes: dict[str, Any] = {}
    for option, value in given.items():
        *outer, key = _PATHS[option]
        (changes.setdefault(outer[0], {}) if outer else changes)[key] = value
    spec = amended(view.spec, changes, names={path: option for option, path in _PATHS.items()})
    before, after = _values(view.spec), _values(spec)
    told = [option for option in given if after[option] != before[option]]
    if not told:
        raise RequestError(f"study {name!r} has all of that already; coref-k8s status {name} shows it")
    more = view.ended and any(_more(option, before[option], after[option]) for option in told)
    if more:
        _check_hours(view, spec)
    backend.extend(name, changes, goes_on=more)
    words = (f"{_PATHS[one][-1]} {_shown(before[one])} → {_shown(after[one])}" for one in told)
    out.print(f"study {name}: {', '.join(words)}", highlight=False)
    _warn(view, told)
    if backend.in_foreground and not backend.is_running(name) and (more or not view.ended):
        note(f"coref-k8s resume {name}{backend.options} goes on with it", style="dim")


def new_count(text: str, now: int) -> int:
    """Return the number that `12` or `+10` means, given that there are `now`. Raises RequestError."""
    more = text.startswith("+")
    if not text.removeprefix("+").isdecimal():
        raise RequestError(f"--trials {text!r}: give a number such as 40, or +10 for ten more")
    count = int(text.removeprefix("+")) + (now if more else 0)
    if count < 1:
        raise RequestError("--trials: a study has at least one trial")
    return count


def _new_count(text: str, view: StudyView) -> int:
    count = new_count(text, view.spec.trials)
    begun, seq_len = max((one.done + len(one.open), one.seq_len) for one in view.lengths)
    if count < begun:
        raise RequestError(
            f"--trials {text}: study {view.name!r} has begun {begun} trials of {seq_len} tokens already; give {begun} or more"
        )
    return count


def _values(spec: StudySpec) -> dict[str, Any]:
    """Return what a request says of each option."""
    request = spec.model_dump(mode="json", by_alias=True)
    return {option: reduce(getitem, path, request) for option, path in _PATHS.items()}


def _more(option: str, before: Any, after: Any) -> bool:
    """Whether a change lets a study that has ended do more than it has done."""
    if before is None or option == "--parallelism":
        return False
    return bool(after < before if option == "--min-gain" else after > before)


def _check_hours(view: StudyView, spec: StudySpec) -> None:
    """Raise RequestError when the study would go on only to end: GPU-hours count over its whole life."""
    most, used = spec.limits.max_gpu_hours, view.gpu_seconds / 3600
    if most is not None and used >= most:
        raise RequestError(
            f"study {view.name!r} has used {used:.2f} GPU-hours, and limits.maxGpuHours is {most:g}: "
            "nothing would begin; give it more with --max-gpu-hours"
        )


def _warn(view: StudyView, told: list[str]) -> None:
    """Say when a length has ended for a reason that more trials do not change."""
    search = view.spec.search
    reasons = {"--patience": search.patience, "--min-gain": search.min_gain}
    early = any(one.done < one.planned for one in view.lengths)
    if view.phase is Phase.SUCCEEDED and early and "--trials" in told:
        options = " or ".join(one for one, value in reasons.items() if value is not None and one not in told)
        if options:
            note(f"{view.message}: there it begins more trials only with another {options}", style="yellow")


def _shown(value: Any) -> str:
    return "none" if value is None else f"{value:g}"
