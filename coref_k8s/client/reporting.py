"""The report of a study as a file, with the way from there to the logs and files of its trials."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from coref_k8s.client.backend import Backend
from coref_k8s.client.moving import write_whole
from coref_k8s.controller.view import StudyView
from coref_k8s.report.page import report
from coref_k8s.search.records import TrialRecord
from coref_k8s.study.paths import JOBS, LOG_FILE, work_folder
from coref_k8s.wording import Lang


def write_report(backend: Backend, view: StudyView, file: Path, lang: Lang) -> None:
    """Write the report. Raises RequestError when the file cannot be written."""
    write_whole(file, report(view, lang, links=_links(backend, view, file)).encode())


def _links(backend: Backend, view: StudyView, file: Path) -> Callable[[str, TrialRecord], str]:
    """Return where a trial's log and files are, as seen from the report; nowhere in a cluster."""
    jobs = {(a.kind, a.seq_len, a.trial): a.job_name for a in view.attempts}
    beside = file.absolute().parent

    def link(kind: str, trial: TrialRecord) -> str:
        if kind == "files":
            found = backend.folder(work_folder(view.spec, view.name, trial.kind, trial.seq_len, trial.number))
        elif kind == "log" and (job := jobs.get((trial.kind, trial.seq_len, trial.number))):
            folder = backend.folder(f"{JOBS}/{view.name}/{job}")
            found = None if folder is None else folder / LOG_FILE
        else:
            return ""
        return quote(os.path.relpath(found, beside)) if found is not None and found.exists() else ""

    return link
