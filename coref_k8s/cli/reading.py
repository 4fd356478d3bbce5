"""`list`, `status`, `results`, `best`, `logs`: the same for studies on this machine and in a cluster."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer

from coref_k8s.cli import tables
from coref_k8s.cli.comparing import as_table, settings_table
from coref_k8s.cli.console import Wide, dump, note, out, warn, write
from coref_k8s.cli.next_steps import suggest_next
from coref_k8s.cli.sheet import headed
from coref_k8s.cli.speech import lang, said, say
from coref_k8s.cli.where_options import Study, Where, names_of_studies, option, placed
from coref_k8s.cli.winners import print_best
from coref_k8s.client.backend import Backend
from coref_k8s.client.comparing import of_different_kinds, side_by_side
from coref_k8s.client.readable import readable
from coref_k8s.client.results import best_trials, length_of, one_of, trial_rows, with_result
from coref_k8s.client.where import find_study, open_backends
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import RequestError
from coref_k8s.store.records import StudyRecord
from coref_k8s.wording.formats import duration

Studies = Annotated[
    list[str], typer.Argument(metavar="NAME...", show_default=False, autocompletion=names_of_studies)
]
SeqLen = Annotated[int | None, typer.Option("--seq-len", metavar="TOKENS")]


@placed
def list_(
    *,
    where: Where,
    wide: Wide = False,
    output: Annotated[Literal["table", "json"], typer.Option("--output", "-o")] = "table",
) -> None:
    """List studies, oldest first."""
    found = [(record, backend.place) for backend in open_backends(where) for record in backend.studies()]
    now = datetime.now(UTC)
    if output == "json":
        write(dump([_listed(record, str(place)) for record, place in found], "json"))
        return
    if not found:
        note(say("cli.no-studies"))
        return
    wrapped = ("words.tokens", "words.model", "cli.where")
    codes = (
        "words.study",
        "cli.phase",
        "words.tokens",
        "words.trials",
        "words.model",
        "cli.where",
        "cli.age",
    )
    spare = ("words.model", "words.tokens", "cli.where", "words.trials", "cli.age")
    table = headed(*codes, left=codes, wrapped=wrapped, spare=spare)
    for record, place in found:
        asked = ["–"] * 3
        if not record.problem:
            spec = record.spec
            asked = [
                " ".join(map(str, spec.seq_lengths)),
                f"{len(spec.seq_lengths)} × {spec.trials}",
                spec.model,
            ]
        table.row(
            record.name,
            tables.phase_text(record.phase, record.interrupted),
            *asked,
            said(place),
            duration(now - record.created_at, lang()),
        )
    out.print(table)
    if any(record.interrupted for record, _ in found):
        note(say("cli.some-interrupted"), style="yellow")
    for record, _ in found:
        if record.not_understood:
            note(record.not_understood.say(lang()), style="yellow")


def _listed(record: StudyRecord, place: str) -> dict[str, Any]:
    """Return a study as plain data: what it asks for, and why this version does not understand it."""
    found: dict[str, Any] = {
        "name": record.name,
        "place": place,
        "phase": record.phase.value,
        "interrupted": record.interrupted,
        "message": str(record.message),
        "createdAt": record.created_at.isoformat(),
    }
    if record.not_understood:
        found["problem"] = str(record.not_understood)
    if not record.problem:
        spec = record.spec
        found |= {"seqLengths": list(spec.seq_lengths), "trials": spec.trials, "model": spec.model}
    return found


@placed
def status(
    name: Study,
    *,
    where: Where,
    wide: Wide = False,
    output: Annotated[Literal["table", "json"], typer.Option("--output", "-o")] = "table",
) -> None:
    """Show how far a study is: trials by length, the best so far, what failed and why."""
    backend, view = find_study(where, name)
    if output == "json":
        write(view.to_json(words=True).decode())
        return
    out.print(tables.status(view, backend.place))
    for problem in filter(None, (view.not_understood, view.stuck)):
        note(problem.say(lang()), style="yellow")
    note_if_idle(backend, view)
    suggest_next(backend, view, after="status")


@placed
def results(
    names: Studies,
    *,
    where: Where,
    every: Annotated[bool, typer.Option("--all")] = False,
    params: Annotated[bool, typer.Option("--params")] = False,
    wide: Wide = False,
    price: Annotated[float | None, typer.Option("--gpu-hour-price", metavar="PRICE", min=0)] = None,
    output: Annotated[Literal["table", "json", "csv"], typer.Option("--output", "-o")] = "table",
) -> None:
    """List the trials of a study, best first, with metrics and parameters; or put several studies side by side."""
    found = [find_study(where, name) for name in dict.fromkeys(names)]
    views = [view for _, view in found]
    if len(views) > 1 and not (every or params):
        compared = side_by_side(views, price)
        if output == "table":
            out.print(as_table(compared))
            if of_different_kinds(views):
                warn(say("cli.different-scores"))
            if (differing := settings_table(views)) is not None:
                out.print("", differing, sep="\n")
        else:
            write(dump(compared, "json") if output == "json" else _csv(compared))
        return
    if price is not None:
        raise RequestError("cli.price-of-one")
    if output == "table":
        for place, view in enumerate(views):
            out.print(
                *([""] if place else []),
                tables.results(view, most=None if every else 10, params=params),
                sep="\n",
            )
        if len(found) == 1:
            suggest_next(*found[0], after="results")
        return
    rows = trial_rows(views)
    write(dump(rows, "json") if output == "json" else _csv(rows))


@placed
def best(
    name: Study,
    *,
    seq_len: SeqLen = None,
    where: Where,
    wide: Wide = False,
    output: Annotated[Literal["table", "yaml", "json"], typer.Option("--output", "-o")] = "table",
) -> None:
    """Print the best trial of each length: metrics, parameters, files."""
    backend, view = find_study(where, name)
    view = with_result(view, seq_len)
    if output == "table":
        print_best(view, backend.root)
        suggest_next(backend, view, after="best")
    else:
        write(dump(best_trials(view), output))


@placed
def logs(
    name: Study,
    *,
    trial: Annotated[int | None, typer.Option("--trial", metavar="NUMBER")] = None,
    run: Annotated[int | None, typer.Option("--run", metavar="NUMBER")] = None,
    seq_len: SeqLen = None,
    follow: Annotated[bool, typer.Option("--follow", "-f")] = False,
    output: Annotated[Literal["text", "json"], typer.Option("--output", "-o")] = "text",
    where: Where,
) -> None:
    """Print the log of a trial, or of the whole study."""
    backend, view = find_study(where, name)
    kind, number = one_of(trial, run, option)
    if number is not None and seq_len is None:
        seq_len = length_of(view, kind, number, option)
    for line in backend.logs(name, seq_len, number, follow=follow, kind=kind):
        write(line if output == "json" else readable(line, lang()))


def note_if_idle(backend: Backend, view: StudyView) -> None:
    """Say how to go on with a study that has not ended and that nobody works on."""
    if not view.ended and not backend.is_running(view.name):
        note(say("cli.idle", study=view.name), style="yellow")


def _csv(rows: list[dict[str, object]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
