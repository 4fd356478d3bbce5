"""The options that say where a study lives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from coref_k8s.cli.expanding import expand, keyword
from coref_k8s.client.where import Where
from coref_k8s.settings import Settings, masked_url
from coref_k8s.wording.commands import place_commands


def names_of_studies(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return what a shell can put for a study's name: studies of this machine, or of the cluster that is named."""
    from coref_k8s.client.where import open_cluster, open_local

    given: dict[str, Any] = {
        name: ctx.params.get(name) for name in ("data_dir", "storage", "namespace", "context")
    }
    where = Where(**given)
    try:  # nobody reads a sentence while typing
        known = (open_cluster if where.there else open_local)(where).studies()
    except Exception:
        return []
    return [one.name for one in reversed(known) if one.name.startswith(incomplete)]


Study = Annotated[str, typer.Argument(metavar="NAME", show_default=False, autocompletion=names_of_studies)]
Local = Annotated[bool, typer.Option("--local", rich_help_panel="help.panel-where")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="FOLDER", rich_help_panel="help.panel-where")
]
Storage = Annotated[str | None, typer.Option("--storage", metavar="URL", rich_help_panel="help.panel-where")]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", metavar="NAME", rich_help_panel="help.panel-where")
]
Context = Annotated[str | None, typer.Option("--context", metavar="NAME", rich_help_panel="help.panel-where")]
_OPTIONS = [
    keyword("local", Local, False),
    keyword("data_dir", DataDir),
    keyword("storage", Storage),
    keyword("namespace", Namespace),
    keyword("context", Context),
]


def placed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say where a study lives; it receives them as `where`.

    It raises RequestError for options that contradict each other.
    """
    return expand(function, "where", _OPTIONS, _gather)


def _gather(values: Mapping[str, Any]) -> Where:
    where = Where(**values)
    where.check(option)
    name_place(where)
    return where


def name_place(where: Where) -> None:
    """Let every command that this run prints end with what the reader has typed to name a place: ` -n x`."""
    names = {"-n": where.namespace, "--context": where.context, "--data-dir": where.data_dir}
    storage = None if where.storage is None else masked_url(where.storage)
    place_commands(
        "".join(
            f" {name} {quote(str(value))}" for name, value in {**names, "--storage": storage}.items() if value
        )
    )


def settings_at(data_dir: Path | None) -> Settings:
    """Return the settings of this machine with this data folder, and let commands name it. Raises RequestError."""
    name_place(Where(data_dir=data_dir))
    return Settings.from_env(data_dir=data_dir)


def option(name: str) -> str:
    """Return the option that fills a parameter."""
    return f"--{name.replace('_', '-')}"
