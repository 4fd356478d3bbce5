"""`init`: a first request for one's own text, as a file with the meaning of every line beside it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from pydantic import BaseModel
from rich.cells import cell_len

from coref_k8s.cli.console import note, suggest, tell, warn, write
from coref_k8s.cli.speech import lang, said, say
from coref_k8s.errors import DataError, RequestError
from coref_k8s.study import yaml12
from coref_k8s.study.names import MAX_NAME
from coref_k8s.study.reading import API_VERSION, KIND, spec_from_mapping, validated_name
from coref_k8s.study.spec import DatasetConfig, StudySpec
from coref_k8s.study.tasks import TASKS, Task
from coref_k8s.wording import has

#: Cells of a comment's line.
_WIDTH = 96
#: A folder that stands for one's own where none is named.
_FOLDER = "./texts"


class _Shown(NamedTuple):
    """How a field is shown: set to a value, or behind a `#` as an example; with its default where no value is given."""

    value: Any = None
    active: bool = False


def init(
    data: Annotated[list[str] | None, typer.Argument(metavar="[PATH|HUB_ID]...", show_default=False)] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE")] = Path("study.yaml"),
    name: Annotated[str | None, typer.Option("--name", metavar="NAME")] = None,
    task: Annotated[Task, typer.Option("--task")] = TASKS[0],
    model: Annotated[str | None, typer.Option("--model", metavar="TEXT", show_default=False)] = None,
    force: Annotated[bool, typer.Option("--force")] = False,
) -> None:
    """Write a commented study file for your own text."""
    named = validated_name(name) if name else _name_of(data[0] if data else "")
    shown = _request(data or [_FOLDER], task, model)
    text = "\n".join([*_head(named, output), *_fields(StudySpec, shown, "  ")]) + "\n"
    spec = spec_from_mapping(yaml12.read(text, "")["spec"])
    if data:
        _look(spec)
    else:
        note(say("cli.init-folder", folder=_FOLDER))
    if str(output) == "-":
        write(text)
        return
    if output.exists() and not force:
        raise RequestError("cli.init-there", file=str(output))
    from coref_k8s.client.moving import write_whole

    write_whole(output, text.encode())
    write(str(output))
    file = shlex.quote(str(output))
    suggest(f"plan --local -f {file}", f"submit --local -f {file}")


def _look(spec: StudySpec) -> None:
    """Say what the text is. Raises DataError for a path that is not there; what else is wrong may be put right in the file."""
    from coref_k8s.client.checks import look_at_sources
    from coref_k8s.corpus.local import files_of, is_local

    for one in spec.data.sources:
        if is_local(one.source):
            files_of(one.source)
    try:
        tell(look_at_sources(spec))
    except DataError as error:
        warn(said(error.message))


def _request(sources: Sequence[str], task: Task, model: str | None) -> dict[str, Any]:
    """Return what the file shows of a request, in its order."""
    aside, default = _Shown(), _Shown(active=True)
    source: dict[str, Any] = {
        "minLength": aside,
        "maxLength": _Shown(100_000),
        "domain": aside,
        "extractor": _Shown("lines"),
        "subset": _Shown("20231101.ko"),
        "split": aside,
    }
    return {
        "task": _Shown(task, active=True),
        "model": _Shown(model, active=True),
        "seqLengths": _Shown([512], active=True),
        "trials": default,
        "parallelism": aside,
        "seed": aside,
        "data": {
            "sources": [{"source": _Shown(one, active=True), **source} for one in sources],
            "trainLimit": aside,
            "devShare": aside,
            "testShare": aside,
        },
        "training": {"keepModels": default, "maxSteps": _Shown(2000)},
        "search": {"sampler": default, "finalists": _Shown(3), "finalistSeeds": aside},
        "limits": {"maxFailedTrials": default, "maxDuration": _Shown(36_000)},
    }


def _head(name: str, output: Path) -> list[str]:
    file = shlex.quote("study.yaml" if str(output) == "-" else str(output))
    lines = say("cli.init-head", file=file).splitlines()
    return [
        *(f"# {line}".rstrip() for line in lines),
        f"apiVersion: {API_VERSION}",
        f"kind: {KIND}",
        "metadata:",
        f"  {_written('name', name)}",
        "spec:",
    ]


def _fields(model: type[BaseModel], shown: Mapping[str, Any], indent: str, path: str = "") -> Iterator[str]:
    """Yield the lines of a part of the request."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    for key, what in shown.items():
        field, here = fields[key], f"{path}{key}"
        if isinstance(what, dict):
            yield ""
            yield f"{indent}{key}:"
            yield from _fields(type(field.get_default()), what, f"{indent}  ", f"{here}.")
            continue
        yield from _comment(here, str(field.description), indent)
        if isinstance(what, list):
            yield f"{indent}{key}:"
            for number, one in enumerate(what):
                lines = list(_fields(DatasetConfig, one, "", f"{here}.") if number == 0 else _plain(one))
                first = next(place for place, line in enumerate(lines) if not line.startswith("#"))
                yield from (f"{indent}    {line}" for line in lines[:first])
                yield f"{indent}  - {lines[first]}"
                yield from (f"{indent}    {line}" for line in lines[first + 1 :])
            continue
        value = field.get_default() if what.value is None else what.value
        yield f"{indent}{'' if what.active else '#'}{_written(key, value)}"


def _plain(one: Mapping[str, Any]) -> list[str]:
    """Return the lines of a further source: only what is set."""
    return [_written(key, what.value) for key, what in one.items() if what.active]


def _written(key: str, value: Any) -> str:
    return yaml12.write({key: value}, inline=True).strip()


def _comment(path: str, english: str, indent: str) -> Iterator[str]:
    """Yield what a field means, in the reader's language."""
    code = f"fields.{path}"
    line = ""
    for word in (say(code) if lang() != "en" and has(code) else english).split():
        if line and cell_len(f"{indent}# {line} {word}") > _WIDTH:
            yield f"{indent}# {line}"
            line = ""
        line = f"{line} {word}".strip()
    yield f"{indent}# {line}"


def _name_of(source: str) -> str:
    """Return a study's name after its text."""
    name = re.sub("[^a-z0-9]+", "-", Path(source).stem.lower()).strip("-")
    return name[:MAX_NAME].strip("-") if re.match("[a-z]", name) else "my-study"
