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
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace", "-n", metavar="NAME", help="Namespace of the studies (default: the pod's own)."
        ),
    ] = None,
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", help="Studies of all namespaces; needs cluster-wide rights.")
    ] = False,
    context: Annotated[
        str | None,
        typer.Option("--context", metavar="NAME", help="Context of the kubeconfig, outside of a cluster."),
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            metavar="YAML",
            help="How pods run here: image, volume, secrets (default: the file that COREF_CLUSTER_SETTINGS names).",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", metavar="PORT", help="Port of health, metrics and results; 0 takes a free one."
        ),
    ] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        typer.Option("--log-level", help="Least severity that is logged."),
    ] = "info",
) -> None:
    """Run the controller: turns CorefStudy resources into Jobs.

    The database is the one that COREF_STORAGE_URL or COREF_STORAGE_URL_FILE names. Ends on SIGTERM.
    """
    from coref_k8s.cluster.api import ClusterApi
    from coref_k8s.cluster.names import FIELD_MANAGER
    from coref_k8s.cluster.service import ControllerService
    from coref_k8s.cluster.settings import ClusterSettings, own_namespace
    from coref_k8s.controller.logs import log_as_json
    from coref_k8s.settings import Settings

    process = Settings.from_env()
    if not process.storage_url.startswith("postgresql"):
        raise RequestError(
            "a controller in a cluster needs Postgres: name it in COREF_STORAGE_URL, or a file with its URL in "
            "COREF_STORAGE_URL_FILE (postgresql+psycopg2://user:password@host/database)"
        )
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
