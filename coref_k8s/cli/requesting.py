"""From a study file, options and `--set` to a validated request with a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from coref_k8s.cli.spec_options import SpecOption, apply_flags, apply_sets
from coref_k8s.study.reading import load_study_file, spec_from_mapping, validated_name
from coref_k8s.study.spec import StudySpec

File = Annotated[Path | None, typer.Option("--file", "-f", metavar="YAML", rich_help_panel="help.panel-what")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", rich_help_panel="help.panel-what")
]
Name = Annotated[str | None, typer.Option("--name", metavar="NAME", rich_help_panel="help.panel-what")]


def read_request(
    file: Path | None, name: str | None, settings: Sequence[str] | None, flags: Mapping[SpecOption, Any]
) -> tuple[str | None, StudySpec]:
    """Return the name, if any was given, and the request. Raises RequestError with one sentence."""
    file_name, request = load_study_file(file) if file is not None else (None, {})
    names = apply_flags(request, flags) | apply_sets(request, settings or ())
    if name is not None:
        validated_name(name)
    where = str(file) if file is not None else ""
    return name or file_name, spec_from_mapping(request, where=where, names=names)


def same_options(spec: StudySpec) -> str:
    """Return the options without which another command would have another task, model or lengths in mind."""
    usual = StudySpec()
    options = {
        f"--task {spec.task}": spec.task == usual.task,
        f"--model {quote(spec.model)}": spec.model == usual.model,
        f"--seq-lengths {' '.join(map(str, spec.seq_lengths))}": spec.seq_lengths == usual.seq_lengths,
        "--any-length": spec.any_length == usual.any_length,
    }
    return "".join(f" {option}" for option, known in options.items() if not known)
