"""`doctor`: what a cluster lacks, one line each, with what to do."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from coref_k8s.cli.console import out
from coref_k8s.cli.speech import said
from coref_k8s.cli.where_options import Context, Namespace, Where
from coref_k8s.client.where import open_cluster
from coref_k8s.study.spec import StudySpec

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red"), "unknown": ("?", "dim")}


def doctor(
    study: Annotated[str | None, typer.Argument(metavar="[NAME]")] = None,
    namespace: Namespace = None,
    context: Context = None,
) -> int:
    """Check a cluster: API, definition, controller, rights, GPUs, volume, database."""
    from coref_k8s.cluster.doctor import Grade, examine

    backend = open_cluster(Where(namespace=namespace, context=context))
    spec = backend.get(study).spec if study else StudySpec()
    failed = False
    for finding in examine(backend.api, spec):
        failed = failed or finding.grade is Grade.FAILED
        out.print(Text.assemble(_MARKS[finding.grade.value], " ", said(finding.what)), soft_wrap=True)
        if finding.remedy:
            out.print(Text(f"  → {said(finding.remedy)}", "dim"), soft_wrap=True)
    return 1 if failed else 0
