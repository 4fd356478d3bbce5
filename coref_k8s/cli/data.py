"""`prepare` and `data show`: text as trials will read it, on this machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from coref_k8s.cli.console import Wide, dump, err, note, out, suggest, tell, warn, write
from coref_k8s.cli.data_tables import data_view, losses, summary
from coref_k8s.cli.framework import SpokenGroup
from coref_k8s.cli.live import stage_word
from coref_k8s.cli.parsing import MultiValueCommand
from coref_k8s.cli.requesting import File, Set, read_request, same_options
from coref_k8s.cli.spec_options import SpecOption, spec_options
from coref_k8s.cli.speech import say
from coref_k8s.cli.where_options import DataDir, settings_at

if TYPE_CHECKING:
    from coref_k8s.corpus.progress import Progress, ProgressCallback


@spec_options
def prepare(
    *, file: File = None, settings: Set = None, data_dir: DataDir = None, flags: dict[SpecOption, Any]
) -> None:
    """Prepare data without a study, to look at them or to choose among them."""
    _, spec = read_request(file, None, settings, flags)
    from coref_k8s.client.checks import check_before_start, is_remark, localised, require_trial_packages

    require_trial_packages()
    spec = localised(spec)
    # what is left out of the text is said at the end, of all that was read
    tell(one for one in check_before_start(spec) if is_remark(one) or not one.code.startswith("corpus."))
    from coref_k8s.trial.prepare_job import prepare_data

    # what is left out stands in the statistics, and is said below in the reader's language
    logging.getLogger("coref_k8s.corpus").addHandler(logging.NullHandler())
    kept = settings_at(data_dir)
    with _bars() as progress:
        done = prepare_data(spec, kept, None, progress)
    for line in losses(done.statistics):
        warn(line)
    note(summary(done.statistics))
    path = done.path.relative_to(Path.cwd()) if done.path.is_relative_to(Path.cwd()) else done.path
    write(str(path))
    shown = quote(str(path))
    suggest(f"data show {shown}", f"submit --local{same_options(spec)} --dataset-choice {shown}")


@contextmanager
def _bars() -> Iterator[ProgressCallback]:
    """Give a callback that draws a bar a stage, on stderr."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeRemainingColumn(),
    )
    bars = Bars(*columns, console=err)
    stages: dict[str, Any] = {}

    def update(progress: Progress) -> None:
        if not stages:
            bars.start()
        if progress.stage not in stages:
            stages[progress.stage] = bars.add_task(
                stage_word(progress.stage), unit=say(f"live.unit-{progress.unit}")
            )
        bars.update(stages[progress.stage], completed=progress.done, total=progress.total)

    try:
        yield update
    finally:
        if stages:  # bars that never began would leave an empty line
            bars.stop()


data = typer.Typer(cls=SpokenGroup, add_completion=False, no_args_is_help=True)


@data.callback()
def _group() -> None:
    """Keep `show` a sub-command although it is the only one."""


@data.command("show", cls=MultiValueCommand)
def show(
    name: Annotated[str, typer.Argument(metavar="DATA", show_default=False)],
    data_dir: DataDir = None,
    samples: Annotated[bool, typer.Option("--samples/--no-samples")] = True,
    wide: Wide = False,
    output: Annotated[Literal["text", "json"], typer.Option("--output", "-o")] = "text",
) -> None:
    """Show what was prepared: documents, lengths, distances between mentions, samples of text."""
    from coref_k8s.client.local import prepared_folder
    from coref_k8s.corpus.show import read_statistics

    statistics = read_statistics(prepared_folder(name, settings_at(data_dir)))
    if output == "json":
        write(dump(statistics, "json"))
    else:
        for part in data_view(statistics, samples=samples):
            # text as it is: wrapped by the terminal, not by us
            out.print(part, soft_wrap=isinstance(part, Text))
