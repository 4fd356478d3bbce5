"""`plan`, `submit` and `resume`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from coref_k8s.cli import tables
from coref_k8s.cli.console import dump, note, out, suggest, write
from coref_k8s.cli.planning import as_tables
from coref_k8s.cli.requesting import File, Name, Set, read_request
from coref_k8s.cli.spec_options import SpecOption, spec_options
from coref_k8s.cli.strings import Lang, LangOption, locale_lang, say
from coref_k8s.cli.watching import followed
from coref_k8s.cli.where_options import Study, Where, placed, typed
from coref_k8s.cli.winners import best_tables
from coref_k8s.client.backend import Backend, DryRun
from coref_k8s.client.checks import check_choices
from coref_k8s.client.planning import as_data, plan_study
from coref_k8s.client.study import check_resumable, made_up_name
from coref_k8s.client.where import find_study, open_place
from coref_k8s.controller.view import StudyView
from coref_k8s.report.messages import told
from coref_k8s.store.records import Phase
from coref_k8s.study.spec import StudySpec

Output = Annotated[
    Literal["table", "yaml", "json"], typer.Option("--output", "-o", help="Form of the answer.")
]

MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port",
        metavar="PORT",
        min=1,
        max=65535,
        help="Serve Prometheus metrics of a local study at http://127.0.0.1:PORT/metrics.",
        rich_help_panel="Where",
    ),
]


@spec_options
def plan(
    *,
    file: File = None,
    settings: Set = None,
    lang: LangOption = None,
    output: Output = "table",
    flags: dict[SpecOption, Any],
) -> None:
    """Show what a study would do, without doing it.

    Batch, memory, pods and search space of every length. Takes the options of `submit`.
    """
    _, spec = read_request(file, None, settings, flags)
    plans = plan_study(spec)
    check_choices(spec)
    if output == "table":
        out.print(as_tables(spec, plans, lang or locale_lang()))
    else:
        write(dump(as_data(spec, plans), output))


Wait = Annotated[
    bool,
    typer.Option("--wait", help="In a cluster: follow the study to its end; exits non-zero when it fails."),
]
DryRunOption = Annotated[
    DryRun | None,
    typer.Option(
        "--dry-run", help="In a cluster: print what would be created; `server` lets the cluster check it."
    ),
]
ResourceForm = Annotated[
    Literal["yaml", "json"] | None,
    typer.Option("--output", "-o", help="In a cluster: print the created resource."),
]


@spec_options
@placed
def submit(
    *,
    file: File = None,
    name: Name = None,
    settings: Set = None,
    lang: LangOption = None,
    where: Where,
    wait: Wait = False,
    dry_run: DryRunOption = None,
    output: ResourceForm = None,
    metrics_port: MetricsPort = None,
    flags: dict[SpecOption, Any],
) -> int:
    """Start a study: prepare data, run trials, find the best.

    With --local it runs here and now, with a live view: Ctrl-C stops it, `coref-k8s resume NAME` goes on.
    Without, it runs in the cluster that the kubeconfig names.
    """
    named, spec = read_request(file, name, settings, flags)
    plan_study(spec)  # a GPU that holds no batch is refused before anything is created
    return launch(
        open_place(where),
        named or made_up_name(),
        spec,
        lang=lang,
        wait=wait,
        dry_run=dry_run,
        output=output,
        metrics_port=metrics_port,
    )


def launch(
    backend: Backend,
    study: str,
    spec: StudySpec,
    *,
    lang: Lang | None,
    wait: bool,
    dry_run: DryRun | None,
    output: Literal["yaml", "json"] | None,
    metrics_port: int | None,
) -> int:
    """Start a study and return the exit code: at once where a controller works on it, else (or `wait`) when it ends."""
    chosen = lang or locale_lang()
    backend.refuse(dry_run=dry_run, output=output, metrics_port=metrics_port)
    spec, warnings = backend.check(spec)
    for warning in warnings:
        note(f"warning: {warning}", style="yellow")
    resource = backend.submit(study, spec, dry_run=dry_run)
    if dry_run or output:
        write(dump(resource, output or "yaml"))
    if dry_run:
        return 0
    if backend.is_running(study):
        if not output:
            out.print(say(chosen, "created", study=study, place=backend.place), highlight=False)
        where = typed(backend.where)
        suggest(chosen, f"status {study}{where}", f"logs {study} -f{where}")
        if not wait:
            return 0
    else:
        note(say(chosen, "in_foreground", study=study, resume=f"coref-k8s resume {study}"), style="dim")
    return conclude(backend, followed(backend, study, chosen, metrics_port), chosen)


@placed
def resume(
    name: Study,
    *,
    lang: LangOption = None,
    where: Where,
    metrics_port: MetricsPort = None,
) -> int:
    """Go on with a study that was interrupted, cancelled or has failed; finished trials are kept.

    Of a study that had ended, limits on duration, failures and disruptions count afresh from here; GPU-hours count
    over its whole life.
    """
    backend, view = find_study(where, name)
    check_resumable(view)
    backend.refuse(dry_run=None, output=None, metrics_port=metrics_port)
    backend.resume(name)
    chosen = lang or locale_lang()
    if backend.is_running(name):
        out.print(say(chosen, "goes_on", study=name, place=backend.place), highlight=False)
        return 0
    return conclude(backend, followed(backend, name, chosen, metrics_port), chosen)


def conclude(backend: Backend, view: StudyView, lang: Lang = "en") -> int:
    """Say how a followed study stands, what is best and what to type next; return the exit code."""
    out.print()
    where = typed(backend.where)
    named = f"{view.name}{where}"
    if not view.ended and backend.is_running(view.name):
        status = f"coref-k8s status {named}"
        note(say(lang, "left_running", study=view.name, place=backend.place, status=status))
        return 130
    if not view.ended:
        note(say(lang, "left_stopped", study=view.name, resume=f"coref-k8s resume {named}"))
        return 130
    if any(one.best for one in view.lengths):
        out.print(best_tables(view, backend.root, lang), end="")
    if view.phase is Phase.SUCCEEDED:
        steps = [f"results {named}", f"best {named} --output yaml"]
        steps += [f"{step}{where}" for step in tables.after(view)]
        suggest(lang, *steps)
        return 0
    why = f", {told(view.why, lang)}" if view.why else ""
    note(f"{view.name}: {tables.phase_word(view.phase, lang).lower()}{why}", style="red")
    suggest(lang, f"status {named}", f"logs {named}", f"resume {named}")
    return 1
