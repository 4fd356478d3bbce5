"""`controller`: runs studies on a cluster; what the Deployment starts."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Annotated, Literal

import typer

from coref_k8s.errors import RequestError


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
