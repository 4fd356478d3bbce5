"""`list`, `status`, `results`, `best`, `logs`: the same for studies on this machine and in a cluster."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from coref_k8s.cli import tables, words
from coref_k8s.cli.comparing import as_table, settings_table, side_by_side
from coref_k8s.cli.console import dump, note, out, suggest, titled, write
from coref_k8s.cli.strings import Lang, LangOption, locale_lang, say
from coref_k8s.cli.where_options import Study, Where, option, placed, typed
from coref_k8s.cli.winners import best_tables
from coref_k8s.client.backend import Backend
from coref_k8s.client.results import best_trials, length_of, trial_rows, with_result
from coref_k8s.client.where import find_study, open_backends
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import RequestError
from coref_k8s.store.records import Phase

Studies = Annotated[list[str], typer.Argument(metavar="NAME...", help="Study names.", show_default=False)]
SeqLen = Annotated[int | None, typer.Option("--seq-len", metavar="TOKENS", help="Only this sequence length.")]


@placed
def list_(
    *,
    lang: LangOption = None,
    where: Where,
    output: Annotated[
        Literal["table", "json"], typer.Option("--output", "-o", help="Form of the answer.")
    ] = "table",
) -> None:
    """List studies, oldest first."""
    chosen = lang or locale_lang()
    found = [(record, backend.place) for backend in open_backends(where) for record in backend.studies()]
    now = datetime.now(UTC)
    if output == "json":
        write(
            dump(
                [
                    {
                        "name": record.name,
                        "place": place,
                        "phase": record.phase.value,
                        "message": str(record.message),
                        "seqLengths": list(record.spec.seq_lengths),
                        "trials": record.spec.trials,
                        "model": record.spec.model,
                        "createdAt": record.created_at.isoformat(),
                    }
                    for record, place in found
                ],
                "json",
            )
        )
        return
    if not found:
        note(say(chosen, "no_studies", submit="coref-k8s submit --local --seq-lengths 512 1024"))
        return
    table = titled()
    for key in ("h_study", "h_phase", "h_tokens", "h_trials", "h_model", "h_where", "h_age"):
        table.add_column(say(chosen, key), no_wrap=key in ("h_study", "h_phase", "h_age"))
    for record, place in found:
        spec = record.spec
        table.add_row(
            record.name,
            tables.phase_text(record.phase, chosen),
            " ".join(map(str, spec.seq_lengths)),
            f"{len(spec.seq_lengths)} × {spec.trials}",
            spec.model,
            tables.place_word(place, chosen),
            words.lasting(now - record.created_at, chosen),
        )
    out.print(table)


@placed
def status(
    name: Study,
    *,
    lang: LangOption = None,
    where: Where,
    output: Annotated[
        Literal["table", "json"], typer.Option("--output", "-o", help="Form of the answer.")
    ] = "table",
) -> None:
    """Show how far a study is: trials by length, the best so far, what failed and why."""
    backend, view = find_study(where, name)
    if output == "json":
        write(view.to_json().decode())
        return
    chosen = lang or locale_lang()
    out.print(tables.status(view, backend.place, lang=chosen))
    note_if_idle(backend, view, chosen)
    suggest(chosen, *(f"{step}{typed(backend.where)}" for step in next_steps(view)))


@placed
def results(
    names: Studies,
    *,
    lang: LangOption = None,
    where: Where,
    every: Annotated[
        bool,
        typer.Option("--all", help="Every trial, not the ten best of a length; also of several studies."),
    ] = False,
    price: Annotated[
        float | None,
        typer.Option(
            "--gpu-hour-price", metavar="PRICE", min=0, help="Of several studies: add what they cost."
        ),
    ] = None,
    output: Annotated[
        Literal["table", "json", "csv"],
        typer.Option("--output", "-o", help="Form of the answer; csv and json have all."),
    ] = "table",
) -> None:
    """List the trials of a study, best first, with metrics and parameters; or put several studies side by side.

    Several are shown by length: best score, test score with its interval where there is one, trials, time and GPU-hours; and the
    settings in which they differ.
    """
    chosen = lang or locale_lang()
    views = [find_study(where, name)[1] for name in dict.fromkeys(names)]
    if len(views) > 1 and not every:
        compared = side_by_side(views, price)
        if output == "table":
            out.print(as_table(compared, chosen))
            if (differing := settings_table(views, chosen)) is not None:
                out.print("", differing, sep="\n")
        else:
            write(dump(compared, "json") if output == "json" else _csv(compared))
        return
    if price is not None:
        raise RequestError("--gpu-hour-price is for several studies side by side; name more than one")
    if output == "table":
        for view in views:
            out.print(tables.results(view, most=None if every else 10, lang=chosen))
        return
    rows = trial_rows(views)
    write(dump(rows, "json") if output == "json" else _csv(rows))


@placed
def best(
    name: Study,
    *,
    seq_len: SeqLen = None,
    lang: LangOption = None,
    where: Where,
    output: Annotated[
        Literal["table", "yaml", "json"], typer.Option("--output", "-o", help="Form of the answer.")
    ] = "table",
) -> None:
    """Print the best trial of each length: metrics, parameters, files."""
    backend, view = find_study(where, name)
    view = with_result(view, seq_len)
    if output == "table":
        out.print(best_tables(view, backend.root, lang or locale_lang()), end="")
    else:
        write(dump(best_trials(view), output))


@placed
def logs(
    name: Study,
    *,
    trial: Annotated[int | None, typer.Option("--trial", metavar="NUMBER", help="Only this trial.")] = None,
    seq_len: SeqLen = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the end.")] = False,
    where: Where,
) -> None:
    """Print the log of a trial, or of the whole study."""
    backend, view = find_study(where, name)
    if trial is not None and seq_len is None:
        seq_len = length_of(view, trial, option)
    for line in backend.logs(name, seq_len, trial, follow=follow):
        write(line)


def note_if_idle(backend: Backend, view: StudyView, lang: Lang) -> None:
    """Say how to go on with a study that has not ended and that nobody works on."""
    if not view.ended and not backend.is_running(view.name):
        note(say(lang, "idle", resume=f"coref-k8s resume {view.name}{typed(backend.where)}"), style="yellow")


def next_steps(view: StudyView) -> list[str]:
    """Return what can be typed next."""
    steps = [] if view.ended else [f"logs {view.name} -f"]
    if any(one.best for one in view.lengths):
        steps += [f"best {view.name}", f"results {view.name}"]
    steps += tables.after(view)
    if view.phase in (Phase.FAILED, Phase.CANCELLED):
        steps += [f"logs {view.name}", f"resume {view.name}"]
    return steps


def _csv(rows: list[dict[str, object]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
