"""`plan`, `submit` and `resume`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from coref_k8s.cli import tables
from coref_k8s.cli.backend import Backend, Study, Where, find_study, open_place, placed
from coref_k8s.cli.checks import check_choices
from coref_k8s.cli.console import dump, note, out, suggest, write
from coref_k8s.cli.planning import as_data, as_tables, plan_study
from coref_k8s.cli.requesting import File, Name, Set, made_up_name, read_request
from coref_k8s.cli.spec_options import SpecOption, spec_options
from coref_k8s.cli.strings import Lang, LangOption, locale_lang, say
from coref_k8s.cli.winners import best_tables
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import RequestError
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
DryRun = Annotated[
    Literal["client", "server"] | None,
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
    dry_run: DryRun = None,
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
    dry_run: Literal["client", "server"] | None,
    output: Literal["yaml", "json"] | None,
    metrics_port: int | None,
) -> int:
    """Start a study and return the exit code: here with a live view, in a cluster at once or (`wait`) when it ends."""
    chosen = lang or locale_lang()
    _check_metrics(backend, metrics_port)
    if backend.in_foreground and (wait or dry_run or output):
        raise RequestError(
            "--wait, --dry-run and --output are for clusters; here coref-k8s plan shows what would be done"
        )
    spec, warnings = backend.check(spec)
    if spec.limits.max_gpu_hours is not None and not spec.pod.gpus:
        warnings.append(
            "a limit of GPU-hours never ends a study without GPUs (--gpus 0); --max-duration does"
        )
    for warning in warnings:
        note(f"warning: {warning}", style="yellow")
    if backend.in_foreground:
        backend.create(study, spec)
    else:
        submit_to_cluster(backend, study, spec, chosen, dry_run=dry_run, output=output)
        if dry_run or not wait:
            return 0
        return conclude(backend, backend.follow(study, lang=chosen), chosen)
    note(say(chosen, "in_foreground", study=study, resume=f"coref-k8s resume {study}"), style="dim")
    return conclude(backend, backend.follow(study, lang=chosen, metrics_port=metrics_port), chosen)


def submit_to_cluster(
    backend: Backend, study: str, spec: StudySpec, lang: Lang, *, dry_run: str | None, output: str | None
) -> None:
    """Create the study's resource, or show what would be created, and say what to type next."""
    from coref_k8s.cli.cluster_backend import ClusterBackend, manifest

    assert isinstance(backend, ClusterBackend)
    if dry_run == "client":
        resource = manifest(study, spec, backend.api.namespace)
    else:
        resource = backend.create(study, spec, dry_run=dry_run == "server")
    if dry_run or output:
        resource.get("metadata", {}).pop("managedFields", None)
        write(dump(resource, output or "yaml"))
    if dry_run:
        return
    if not output:
        out.print(say(lang, "created", study=study, place=backend.place), highlight=False)
    where = backend.options
    suggest(lang, f"status {study}{where}", f"logs {study} -f{where}")


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
    if view.phase is Phase.SUCCEEDED:
        raise RequestError(
            f"study {name!r} has succeeded, nothing is left to do: coref-k8s best {name} shows it, "
            f"coref-k8s extend {name} gives it more trials, finalists or time"
        )
    _check_metrics(backend, metrics_port)
    backend.resume(name)
    chosen = lang or locale_lang()
    if not backend.in_foreground:
        out.print(say(chosen, "goes_on", study=name, place=backend.place), highlight=False)
        return 0
    return conclude(backend, backend.follow(name, lang=chosen, metrics_port=metrics_port), chosen)


def _check_metrics(backend: Backend, port: int | None) -> None:
    if port is not None and not backend.in_foreground:
        raise RequestError(
            "--metrics-port is for local studies; in a cluster the controller and the trial pods serve /metrics"
        )


def conclude(backend: Backend, view: StudyView, lang: Lang = "en") -> int:
    """Say how a followed study stands, what is best and what to type next; return the exit code."""
    out.print()
    named = f"{view.name}{backend.options}"
    if not view.ended and not backend.in_foreground:
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
        steps += [f"{step}{backend.options}" for step in tables.after(view)]
        suggest(lang, *steps)
        return 0
    why = f", {told(view.why, lang)}" if view.why else ""
    note(f"{view.name}: {tables.phase_word(view.phase, lang).lower()}{why}", style="red")
    suggest(lang, f"status {named}", f"logs {named}", f"resume {named}")
    return 1
