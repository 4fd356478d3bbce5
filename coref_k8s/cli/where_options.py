"""The options that say where a study lives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from coref_k8s.cli.expanding import expand, keyword
from coref_k8s.client.backend import Backend
from coref_k8s.client.where import Where

Study = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]
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
    return where


def option(name: str) -> str:
    """Return the option that fills a parameter."""
    return f"--{name.replace('_', '-')}"


def typed(where: Where) -> str:
    """Return what is typed after a command to name a place: empty when it is found without, else ` -n x`."""
    names = {"-n": where.namespace, "--context": where.context, "--data-dir": where.data_dir}
    return "".join(
        f" {name} {quote(str(value))}"
        for name, value in {**names, "--storage": where.storage}.items()
        if value
    )


def typed_anew(backend: Backend) -> str:
    """Return what is typed after a command that makes something new to name the place: ` --local` as well."""
    where = typed(backend.where)
    return f" --local{where}" if backend.here else where
