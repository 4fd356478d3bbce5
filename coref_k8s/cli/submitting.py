"""`plan`, `submit` and `resume`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from coref_k8s.cli.console import Wide, dump, note, out, suggest, tell, write
from coref_k8s.cli.expanding import expand, keyword
from coref_k8s.cli.next_steps import suggest_next, tell_if_left
from coref_k8s.cli.planning import as_tables
from coref_k8s.cli.requesting import File, Name, Set, read_request
from coref_k8s.cli.spec_options import SpecOption, spec_options
from coref_k8s.cli.speech import said, say
from coref_k8s.cli.watching import followed
from coref_k8s.cli.where_options import Study, Where, placed
from coref_k8s.cli.winners import print_best
from coref_k8s.client.backend import Backend, DryRun
from coref_k8s.client.checks import check_choices
from coref_k8s.client.expecting import measured_there, outlook, plan_here, views_of
from coref_k8s.client.local import LocalBackend
from coref_k8s.client.models import as_found_here, names_result
from coref_k8s.client.planning import as_data, plan_study
from coref_k8s.client.power import power_of
from coref_k8s.client.study import check_resumable, made_up_name
from coref_k8s.client.where import find_study, open_local, open_place
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import CorefError
from coref_k8s.store.records import Phase
from coref_k8s.study.spec import StudySpec

Output = Annotated[Literal["table", "yaml", "json"], typer.Option("--output", "-o")]

MetricsPort = Annotated[
    int | None,
    typer.Option("--metrics-port", metavar="PORT", min=1, max=65535, rich_help_panel="help.panel-where"),
]


@spec_options
@placed
def plan(
    *,
    file: File = None,
    settings: Set = None,
    price: Annotated[float | None, typer.Option("--gpu-hour-price", metavar="PRICE", min=0)] = None,
    output: Output = "table",
    where: Where,
    wide: Wide = False,
    flags: dict[SpecOption, Any],
) -> None:
    """Show what a study would do, how long it would take and what it would cost, without doing it."""
    _, spec = read_request(file, None, settings, flags)
    this = open_local(where)
    spec = as_found_here(spec, this)
    views = _studies(where, this) if where.here or spec.search.finalists else []
    seen = plan_here(this, spec, views) if where.here else outlook(spec, measured_there(where))
    check_choices(seen.spec)
    power = power_of(seen.spec, views)
    if output == "table":
        out.print(as_tables(seen, power, price))
    else:
        data = as_data(seen.spec, dict(seen.plans), power)
        write(dump(data | {"here" if where.here else "there": seen.as_data(price)}, output))


def _studies(where: Where, this: LocalBackend) -> list[StudyView]:
    """Return the studies of this machine, whose finalists tell what others can show; none where they cannot be read."""
    try:
        return [] if where.there else views_of(this)
    except CorefError:
        if where.here:
            raise
        return []


@dataclass(frozen=True)
class How:
    """The options that say how a study is started."""

    wait: bool
    dry_run: DryRun | None
    output: Literal["yaml", "json"] | None
    metrics_port: int | None


_CLUSTER = "help.panel-cluster"
_HOW = [
    keyword("wait", Annotated[bool, typer.Option("--wait", rich_help_panel=_CLUSTER)], False),
    keyword("dry_run", Annotated[DryRun | None, typer.Option("--dry-run", rich_help_panel=_CLUSTER)]),
    keyword(
        "output",
        Annotated[Literal["yaml", "json"] | None, typer.Option("--output", "-o", rich_help_panel=_CLUSTER)],
    ),
    keyword("metrics_port", MetricsPort),
]


def launching(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say how a study is started; it receives them as `how`."""
    return expand(function, "how", _HOW, lambda values: How(**values))


@spec_options
@placed
@launching
def submit(
    *,
    file: File = None,
    name: Name = None,
    settings: Set = None,
    where: Where,
    how: How,
    flags: dict[SpecOption, Any],
) -> int:
    """Start a study: prepare data, run trials, find the best."""
    named, spec = read_request(file, name, settings, flags)
    if not (where.here or names_result(spec.model)):
        plan_study(spec)  # a GPU that holds no batch is refused without asking where the study would run
    return launch(open_place(where), named or made_up_name(), spec, how)


def launch(backend: Backend, study: str, spec: StudySpec, how: How) -> int:
    """Start a study and return the exit code: at once where a controller works on it, else (or `wait`) when it ends."""
    backend.refuse(dry_run=how.dry_run, output=how.output, metrics_port=how.metrics_port)
    spec, found = backend.fit(spec)
    spec, warnings = backend.check(spec)
    resource = backend.submit(study, spec, dry_run=how.dry_run)
    tell(warnings)
    if found:
        note(said(found))
    if how.dry_run or how.output:
        write(dump(resource, how.output or "yaml"))
    if how.dry_run:
        return 0
    if backend.is_running(study):
        if not how.output:
            out.print(say("cli.created", study=study, place=backend.place))
        tell_if_left(backend, study)
        suggest(f"status {study}", f"watch {study}", f"logs {study} -f")
        if not how.wait:
            return 0
    else:
        note(say("cli.in-foreground", study=study), style="dim")
    return conclude(backend, followed(backend, study, how.metrics_port, warnings))


@placed
def resume(name: Study, *, where: Where, metrics_port: MetricsPort = None) -> int:
    """Go on with a study that was interrupted, cancelled or has failed; finished trials are kept."""
    backend, view = find_study(where, name, whole=False)
    check_resumable(view)
    backend.refuse(dry_run=None, output=None, metrics_port=metrics_port)
    backend.resume(name)
    if backend.is_running(name):
        out.print(say("cli.goes-on", study=name, place=backend.place))
        tell_if_left(backend, name)
        return 0
    return conclude(backend, followed(backend, name, metrics_port))


def conclude(backend: Backend, view: StudyView) -> int:
    """Say how a followed study stands, what is best and what to type next; return the exit code."""
    out.print()
    if not view.ended and backend.is_running(view.name):
        note(say("cli.left-running", study=view.name, place=backend.place))
        return 130
    if not view.ended:
        note(say("cli.left-stopped", study=view.name))
        return 130
    if any(one.best for one in view.lengths):
        print_best(view, backend.root)
    if view.phase is Phase.SUCCEEDED:
        suggest_next(backend, view, after="best")
        return 0
    stands = [said(view.phase.words).lower(), said(view.message)]
    note(f"{view.name}: {', '.join(part for part in stands if part)}", style="red")
    suggest_next(backend, view, after="best")
    return 1
