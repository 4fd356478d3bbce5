"""`plan` and `submit`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from coref_k8s.cli.console import dump, out, write
from coref_k8s.cli.planning import as_data, as_tables, plan_study
from coref_k8s.cli.requesting import File, Name, Set, read_request
from coref_k8s.cli.spec_options import SpecOption, spec_options

Output = Annotated[
    Literal["table", "yaml", "json"], typer.Option("--output", "-o", help="Form of the answer.")
]


@spec_options
def plan(
    *,
    file: File = None,
    settings: Set = None,
    output: Output = "table",
    flags: dict[SpecOption, Any],
) -> None:
    """Show what a study would do, without doing it.

    Batch, memory, pods and search space of every length. Takes the options of `submit`.
    """
    _, spec = read_request(file, None, settings, flags)
    plans = plan_study(spec)
    if output == "table":
        out.print(as_tables(spec, plans))
    else:
        write(dump(as_data(spec, plans), output))


@spec_options
def submit(
    *,
    file: File = None,
    name: Name = None,
    settings: Set = None,
    flags: dict[SpecOption, Any],
) -> None:
    """Start a study: prepare data, run trials, find the best."""
    _, spec = read_request(file, name, settings, flags)
    plan_study(spec)
