"""`doctor`, `controller` (what the Deployment starts), `version` and `help`."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.text import Text

from coref_k8s import __version__
from coref_k8s.cli.console import out
from coref_k8s.cli.speech import said
from coref_k8s.cli.where_options import Context, Namespace, Where, name_place
from coref_k8s.client.where import open_cluster
from coref_k8s.errors import RequestError

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red"), "unknown": ("?", "dim")}


def doctor(
    study: Annotated[str | None, typer.Argument(metavar="[NAME]")] = None,
    namespace: Namespace = None,
    context: Context = None,
) -> int:
    """Check a cluster: API, definition, controller, rights, GPUs, volume, database."""
    from coref_k8s.cluster.doctor import Grade, examine
    from coref_k8s.study.spec import StudySpec

    where = Where(namespace=namespace, context=context)
    name_place(where)
    backend = open_cluster(where)
    spec = backend.get(study).spec if study else StudySpec()
    failed = False
    for finding in examine(backend.api, spec, study):
        failed = failed or finding.grade is Grade.FAILED
        out.print(Text.assemble(_MARKS[finding.grade.value], " ", said(finding.what)), soft_wrap=True)
        if finding.remedy:
            out.print(Text(f"  → {said(finding.remedy)}", "dim"), soft_wrap=True)
    return 1 if failed else 0


def controller(
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", metavar="NAME")] = None,
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces")] = False,
    context: Annotated[str | None, typer.Option("--context", metavar="NAME")] = None,
    settings: Annotated[Path | None, typer.Option("--settings", metavar="YAML")] = None,
    port: Annotated[int | None, typer.Option("--port", metavar="PORT")] = None,
    log_level: Annotated[Literal["debug", "info", "warning", "error"], typer.Option("--log-level")] = "info",
) -> None:
    """Run the controller: turns CorefStudy resources into Jobs."""
    from coref_k8s.cluster.api import ClusterApi
    from coref_k8s.cluster.names import FIELD_MANAGER
    from coref_k8s.cluster.service import ControllerService
    from coref_k8s.cluster.settings import ClusterSettings, own_namespace
    from coref_k8s.controller.logs import log_as_json
    from coref_k8s.settings import Settings

    process = Settings.from_env()
    if not process.storage_url.startswith("postgresql"):
        raise RequestError("cli.controller-needs-postgres")
    named = os.environ.get("COREF_CLUSTER_SETTINGS")
    chosen = ClusterSettings.load(settings or (Path(named) if named else None))
    if port is not None:
        chosen = chosen.model_copy(update={"port": port})
    log_as_json(log_level)
    options = {"namespace": namespace or own_namespace()} if namespace or not context else {}
    api = ClusterApi.connect(context, field_manager=FIELD_MANAGER, **options)
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    ControllerService(api, chosen, process.storage_url, all_namespaces=all_namespaces).run(end)


def version() -> None:
    """Print the version."""
    out.print(f"coref-k8s {__version__}", highlight=False)


def help_() -> None:
    """Show the help of a command: taken as `COMMAND --help` before it comes here."""
