"""`ui`: studies in the browser."""

from __future__ import annotations

import os
from importlib import import_module
from threading import Thread
from typing import Annotated

import typer

from coref_k8s.cli.console import note, write
from coref_k8s.cli.speech import asked, say
from coref_k8s.cli.where_options import Where, placed
from coref_k8s.settings import Settings

#: Where people look by default.
_PORT = 8765


@placed
def ui(
    *,
    where: Where,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="PORT", min=0, max=65535)] = _PORT,
    token: Annotated[str | None, typer.Option("--token", metavar="TEXT")] = None,
    optuna_dashboard: Annotated[str | None, typer.Option("--optuna-dashboard", metavar="URL")] = None,
    grafana: Annotated[str | None, typer.Option("--grafana", metavar="URL")] = None,
) -> None:
    """Show studies in the browser while they run; reads only."""
    from coref_k8s.ui.app import application
    from coref_k8s.ui.reader import Reader, places
    from coref_k8s.ui.server import is_loopback, listening, new_token, serve
    from coref_k8s.ui.visit import Outside

    token = token or Settings.from_env().ui_token
    made_up = token is None and not is_loopback(host)
    if made_up:
        token = new_token()
    outside = Outside(
        optuna_dashboard or os.environ.get("COREF_UI_OPTUNA_DASHBOARD", ""),
        grafana or os.environ.get("COREF_UI_GRAFANA", ""),
    )
    app = application(Reader(places(where)), lang=asked(), token=token, outside=outside)
    listener = listening(host, port)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listener.getsockname()[1]}/"
    write(f"{address}?token={token}" if made_up else address)
    note(say("ui.serving"), style="dim")
    # what reading a local study needs takes seconds to import: while the reader opens the address
    Thread(target=import_module, args=("coref_k8s.search.storage",), daemon=True).start()
    serve(app, listener)
