"""A study as one file that another database takes in: `export` and `import`.

The file has two lines of UTF-8: a head (format, version, length and SHA-256 of what follows) and the study as
`StudyView` has it, so a study is exported in the same way from this machine and, through the controller's page, from a
cluster. Models, checkpoints and prepared data are not in it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from coref_k8s.controller.view import StudyView
from coref_k8s.errors import DataError, NotFoundError, RequestError
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.store import Store
from coref_k8s.study.names import job_name
from coref_k8s.study.reading import validated_name

FORMAT = "coref-k8s/study"
#: Raised when a file of this program could not be read by the one before.
VERSION = 2
#: Versions that are read: in the first one why something ended is English text.
READ = (1, 2)


def to_file(view: StudyView) -> bytes:
    """Return the file of a study. Raises DataError for one that is not all known here: the file would lack the rest."""
    _check_known(view)
    body = view.to_text().encode()
    head = {
        "format": FORMAT,
        "version": VERSION,
        "name": view.name,
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    return json.dumps(head).encode() + b"\n" + body + b"\n"


def from_file(data: bytes, where: str) -> StudyView:
    """Return the study of a file; `where` names it. Raises DataError for one that is not whole, or not ours."""
    line, _, rest = data.partition(b"\n")
    head = _head(line)
    if head is None:
        raise DataError("controller.no-study-file", file=where)
    if head.get("version") not in READ:
        raise DataError(
            "controller.file-of-other-version", file=where, found=head.get("version"), known=[*READ]
        )
    body = rest.removesuffix(b"\n")
    if len(body) != head.get("bytes"):
        raise DataError("controller.file-cut-off", file=where, found=len(body), written=head.get("bytes"))
    if hashlib.sha256(body).hexdigest() != head.get("sha256"):
        raise DataError("controller.file-damaged", file=where)
    try:
        view = StudyView.from_json(body)
    except DataError as error:
        raise DataError("controller.file-not-read", file=where, why=error.message) from error
    _check_numbers(view, where)
    return view


def restore(store: Store, namespace: str, view: StudyView) -> None:
    """Write a study into a database: its trials first, then, in one transaction, the study itself.

    Until that moment nobody sees anything of it. Raises RequestError when the name is taken or no name;
    DataError for a study that is not
    all known here; whatever fails leaves nothing behind.
    """
    # here: exporting needs no Optuna
    from coref_k8s.search.portable import write_finalists, write_trials
    from coref_k8s.search.storage import open_storage
    from coref_k8s.search.trials import delete_trials

    name = validated_name(view.name)
    _check_known(view)
    try:
        store.get_study(namespace, name)
    except NotFoundError:
        pass
    else:
        raise RequestError("controller.import-name-taken", study=name)
    storage = open_storage(store.url)
    lengths = sorted({*view.spec.seq_lengths, *(t.seq_len for t in view.trials)})
    try:
        delete_trials(storage, name, namespace)  # what a killed import has left
        for seq_len in lengths:
            write_trials(
                storage, view.spec, name, seq_len, [t for t in view.trials if t.seq_len == seq_len], namespace
            )
            runs = [run for run in view.runs if run.seq_len == seq_len]
            verdict = next((one for one in view.verdicts if one.seq_len == seq_len), None)
            write_finalists(storage, view.spec, name, seq_len, runs, verdict, namespace)
        store.restore_study(
            namespace,
            name,
            view.spec,
            {
                "phase": view.phase.value,
                "message": view.message.to_text(),
                "created_at": view.created_at,
                "started_at": view.started_at,
                "resumed_at": view.counted_from,
                "finished_at": view.finished_at,
                "statistics_json": json.dumps(view.statistics, ensure_ascii=False)
                if view.statistics
                else None,
            },
            view.attempts,
        )
    except BaseException:
        delete_trials(storage, name, namespace)
        raise


def renamed(view: StudyView, name: str) -> StudyView:
    """Return the study under another name, its jobs too."""
    attempts = [
        replace(one, job_name=job_name(name, one.kind, one.seq_len, one.trial, one.attempt))
        for one in view.attempts
    ]
    return replace(view, name=name, attempts=attempts)


def _head(line: bytes) -> dict[str, Any] | None:
    try:
        head = json.loads(line)
    except ValueError:
        return None
    return head if isinstance(head, dict) and head.get("format") == FORMAT else None


def _check_known(view: StudyView) -> None:
    if view.not_understood:
        raise DataError(view.not_understood)


def _check_numbers(view: StudyView, where: str) -> None:
    by_length: dict[int, list[TrialRecord]] = {}
    for trial in view.trials:
        by_length.setdefault(trial.seq_len, []).append(trial)
    for seq_len, trials in by_length.items():
        numbers = [trial.number for trial in trials]
        if numbers != list(range(len(numbers))):
            raise DataError("controller.file-with-gaps", file=where, length=seq_len)
        if any(t.state is TrialState.COMPLETE and t.value is None for t in trials):
            raise DataError("controller.file-without-score", file=where, length=seq_len)
