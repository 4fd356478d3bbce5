"""A study's results as plain data: every trial as a flat row, and the best of each length."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from coref_k8s.client.arguments import check_type
from coref_k8s.client.where import Spelled
from coref_k8s.controller.view import LengthView, StudyView
from coref_k8s.errors import NotFoundError, RequestError
from coref_k8s.report.claims import rows as comparison_rows
from coref_k8s.report.figures import on_dev, on_test
from coref_k8s.search.records import TrialRecord
from coref_k8s.study.names import Kind
from coref_k8s.study.paths import trial_folder, work_folder
from coref_k8s.wording import Message

#: What every trial has, whatever its metrics and parameters.
COLUMNS = ("seq_len", "trial", "state", "split", "score", "seconds", "started_at", "finished_at", "reason")


def trial_rows(views: Iterable[StudyView]) -> list[dict[str, Any]]:
    """Return every trial as a flat row: study, length, trial, state, score on dev, its metrics, then `param_` and times.

    Runs of finalists follow, with their number as `run`, and `role`, `of_trial` and `seed`.
    """
    found = []
    for view in views:
        for one in view.lengths:
            for trial in [*one.ordered, *one.runs]:
                found.append(
                    {
                        "study": view.name,
                        "seq_len": one.seq_len,
                        **_which(trial),
                        "state": trial.state.value,
                        "split": "dev",
                        "score": trial.value,
                        **{k: v for k, v in trial.metrics.items() if k != "score"},
                        **{f"param_{name}": value for name, value in trial.params.items()},
                        "seconds": None if trial.seconds is None else round(trial.seconds, 1),
                        "started_at": trial.started_at.isoformat() if trial.started_at else None,
                        "finished_at": trial.finished_at.isoformat() if trial.finished_at else None,
                        "reason": str(trial.reason) or None,
                    }
                )
    return found


def _which(trial: TrialRecord) -> dict[str, Any]:
    if trial.kind is Kind.TRIAL:
        return {"trial": trial.number}
    return {"run": trial.number, **{name: trial.attrs.get(name) for name in ("role", "of_trial", "seed")}}


def best_trials(view: StudyView) -> dict[str, Any]:
    """Return the best trial of each length with its parameters, as plain data that a final run can use.

    `dev` and `test` (where it is known) say the score on those documents, of how many runs it is the mean, its 95 %
    interval, and the metrics behind it. With a verdict they are those of the finalists' winner.
    """
    return {
        "study": view.name,
        "model": view.spec.model,
        "lengths": {
            one.seq_len: {
                "trial": trial.number,
                **{figure.split: figure.as_data() for figure in (on_dev(one), on_test(one)) if figure},
                "params": trial.params,
                "folder": folder(view, one),
                **_evidence(one),
            }
            for one in view.lengths
            if (trial := one.best) is not None
        },
    }


def folder(view: StudyView, one: LengthView) -> str:
    """Return the folder of a length's best model below the data root: that of the winner's best run on dev."""
    best = one.best
    assert best is not None
    if one.verdict is None:
        return trial_folder(view.spec, view.name, one.seq_len, best.number)
    return work_folder(view.spec, view.name, Kind.FINALIST, one.seq_len, one.verdict.run)


def _worded(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its messages in English words."""
    said: dict[str, Any] = {
        name: str(Message.load(row[name]))
        for name in ("against", "way", "verdict", "sentence")
        if name in row
    }
    return {**row, **said}


def _evidence(one: LengthView) -> dict[str, Any]:
    """Return what the model was compared with, on which documents, and the ways to join several."""
    if one.verdict is not None:
        return {"comparisons": [{"split": "test", **row} for row in comparison_rows(one.verdict)]}
    attrs = one.best.attrs if one.best is not None else {}
    return {
        name: [_worded(row) for row in attrs[name]] for name in ("comparisons", "ensemble") if name in attrs
    }


def of_length(view: StudyView, seq_len: int) -> StudyView:
    """Return the view of one length. Raises RequestError when the study does not tune it."""
    check_type("seq_len", seq_len, int)
    if seq_len not in view.spec.seq_lengths:
        lengths = list(view.spec.seq_lengths)
        raise RequestError("client.not-tuned", study=view.name, seq_len=seq_len, lengths=lengths)
    return view.only(seq_len)


def with_result(view: StudyView, seq_len: int | None = None) -> StudyView:
    """Return the view (of one length). Raises NotFoundError when it has no complete trial."""
    found = view if seq_len is None else of_length(view, seq_len)
    if not any(one.best for one in found.lengths):
        raise NotFoundError("client.no-complete-trial", study=view.name)
    return found


def one_of(trial: int | None, run: int | None, spelled: Spelled = str) -> tuple[Kind, int | None]:
    """Return what is meant by the number of a trial, or of a finalists' run. Raises RequestError for both."""
    if trial is not None and run is not None:
        raise RequestError("client.trial-and-run", trial=spelled("trial"), run=spelled("run"))
    return (Kind.TRIAL, trial) if run is None else (Kind.FINALIST, run)


def length_of(view: StudyView, kind: Kind, number: int, spelled: Spelled = str) -> int:
    """Return the one length that has this trial, or run. Raises RequestError for several, NotFoundError for none."""
    known = [one for one in (*view.trials, *view.runs) if (one.kind, one.number) == (kind, number)]
    lengths = sorted({one.seq_len for one in known})
    if len(lengths) > 1:
        raise RequestError(
            "client.in-several-lengths",
            which=kind.numbered(number),
            lengths=lengths,
            option=spelled("seq_len"),
        )
    if not lengths:
        raise NotFoundError("client.not-in-study", study=view.name, which=kind.numbered(number))
    return lengths[0]
