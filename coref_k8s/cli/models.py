"""`evaluate` and `compare`: what a model can do, and whether another can do more."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from coref_k8s.cli.console import Wide, dump, err, out, warn, write
from coref_k8s.cli.evaluation_tables import claim, comparison, evaluation, heading, remarks
from coref_k8s.cli.speech import lang, say
from coref_k8s.cli.where_options import DataDir, names_of_studies, settings_at
from coref_k8s.client.local import prepared_folder
from coref_k8s.client.models import names_result, trial_named
from coref_k8s.errors import NotFoundError, RequestError
from coref_k8s.settings import Settings
from coref_k8s.study.paths import COREF_FILE, DATASETS, expanded, model_within
from coref_k8s.telemetry.bus import said as spoken

if TYPE_CHECKING:
    from coref_k8s.evaluation.result import EvaluationResult

Model = Annotated[str, typer.Argument(metavar="MODEL", show_default=False, autocompletion=names_of_studies)]
Prepared = Annotated[str | None, typer.Option("--prepared", metavar="DATA")]
Text = Annotated[str | None, typer.Option("--data", metavar="PATH")]
Items = Annotated[int, typer.Option("--items", metavar="N", min=1)]
SeqLen = Annotated[int | None, typer.Option("--seq-len", metavar="TOKENS", min=32)]
Split = Annotated[Literal["dev", "test"], typer.Option("--split")]


def evaluate(
    model: Model,
    text: Text = None,
    prepared: Prepared = None,
    seq_len: SeqLen = None,
    split: Split = "dev",
    items: Items = 200,
    save: Annotated[Path | None, typer.Option("--save", metavar="FILE")] = None,
    data_dir: DataDir = None,
    wide: Wide = False,
    output: Annotated[Literal["table", "json"], typer.Option("--output", "-o")] = "table",
) -> None:
    """Score a model on text or prepared data: strict metrics, gains, intervals."""
    if save is not None:
        _check_place(save)
    asked = _Asked(text, prepared, seq_len, split, items)
    result = result_of(model, asked, settings_at(data_dir))
    _show(result, model, text, split, output)
    if save is not None:  # last, so that a full disk costs the file and not the answer
        save.write_text(result.to_json(), encoding="utf-8")


def _check_place(file: Path) -> None:
    """Raise RequestError unless a file can be written there: better before an hour of scoring than after it."""
    if file.is_dir() or not file.parent.is_dir() or not os.access(file.parent, os.W_OK):
        raise RequestError("cli.no-place-to-save", file=file, folder=file.parent.absolute())


def _show(result: EvaluationResult, model: str, text: str | None, split: str, output: str) -> None:
    if output == "json":
        shown = ("metrics", "counts", "buckets", "warnings", "seq_len", "thresholds", "seconds")
        said = {"warnings": [spoken(one) for one in result.warnings], "metrics": result.given}
        record = result.to_dict() | said
        write(dump({name: record[name] for name in shown} | {"items": result.items_sha256}, "json"))
        return
    out.print(f"{heading(result, model, text, split)}\n")
    out.print(evaluation(result))
    counted, warnings = remarks(result)
    out.print(f"\n{counted}")
    for warning in warnings:
        warn(warning)


def compare(
    model: Model,
    other: Annotated[
        str, typer.Argument(metavar="OTHER", show_default=False, autocompletion=names_of_studies)
    ],
    text: Text = None,
    prepared: Prepared = None,
    seq_len: SeqLen = None,
    split: Split = "dev",
    items: Items = 200,
    data_dir: DataDir = None,
    wide: Wide = False,
    output: Annotated[Literal["table", "json"], typer.Option("--output", "-o")] = "table",
) -> None:
    """Say whether one model is better than another, and how sure that is."""
    from coref_k8s.evaluation.compare import compare as differences
    from coref_k8s.evaluation.given import kind_of, said_of_few, too_few

    settings = settings_at(data_dir)
    trials = [trial for one in (model, other) if (trial := trial_named(one, settings)) is not None]
    if text is None and trials:
        prepared = prepared or trials[0].study
    lengths = {trial.seq_len for trial in trials}
    if seq_len is None and len(lengths) > 1:
        raise RequestError("cli.different-lengths", model=model, other=other)
    seq_len = seq_len or next(iter(lengths), None)
    asked = _Asked(text, prepared, seq_len, split, items)
    _check_tasks(model, other, split, settings)
    a, b = (result_of(one, asked, settings) for one in (model, other))
    found = differences(a, b)
    counts = {kind: one.items for one in found if (kind := kind_of(one.metric))}
    if few := too_few((one.metric for one in found if not one.metric.endswith("_gain")), counts):
        warn(said_of_few("evaluation.compared-on-few", few).say(lang()))
    if output == "json":
        write(dump([{**vars(one), "claim": one.claim} for one in found], "json"))
        return
    where = text or say("scores.saved" if _are_saved(model, other) else "scores.documents", split=split)
    out.print(comparison(found, model, other, where))
    out.print(f"\n{claim(found[0], model, other)}")


def _are_saved(*models: str) -> bool:
    """Whether saved results are named in the place of a model."""
    return any(one.endswith(".json") for one in models)


def _check_tasks(model: str, other: str, split: Split, settings: Settings) -> None:
    """Raise RequestError, before either is scored, for models of two tasks; saved results are looked at as results."""
    if _are_saved(model, other):
        return
    finds = {}
    for one in (model, other):
        trial = trial_named(one, settings)
        # of a run whose model was not kept the scores are there
        if trial is None or not trial.folder.items(split).is_file() or trial.folder.model.is_dir():
            finds[one] = (Path(_path(one, settings)) / COREF_FILE).is_file()
    if len({*finds.values()}) > 1:
        masks, chains = sorted(finds, key=lambda one: finds[one])
        raise RequestError("cli.different-tasks", chains=chains, masks=masks)


def _path(model: str, settings: Settings) -> str:
    """Return the folder of a model that is on this machine; of a hub's its name."""
    trial = trial_named(model, settings)
    return str((trial and trial.model) or model_within(expanded(model)) or model)


@dataclass(frozen=True)
class _Asked:
    """On what a model is scored."""

    text: str | None
    prepared: str | None
    seq_len: int | None
    split: Literal["dev", "test"]
    items: int


def result_of(model: str, asked: _Asked, settings: Settings) -> EvaluationResult:
    """Return a model's evaluation: the saved one, the trial's own, or a new one."""
    from coref_k8s.evaluation.result import EvaluationResult

    text, prepared, seq_len, split = asked.text, asked.prepared, asked.seq_len, asked.split
    if text is not None and prepared is not None:
        raise RequestError("cli.contradict", one="--data", other="--prepared")
    if _are_saved(model):
        return EvaluationResult.read(Path(model))
    if (trial := trial_named(model, settings)) is not None:
        own = trial.folder.items(split)
        its_own = text is None and prepared in (None, trial.study)
        if own.is_file() and its_own and seq_len in (None, trial.seq_len):
            return EvaluationResult.read(own)
        prepared, seq_len = prepared or trial.study, seq_len or trial.seq_len
    model = _path(model, settings)
    if names_result(model):
        raise NotFoundError("client.no-model-named", model=model)
    if text is None and prepared is None:
        raise RequestError("cli.scored-on-what", model=model)
    from coref_k8s.client.checks import check_model, require_trial_packages

    require_trial_packages()
    check_model(model)
    from transformers.utils import logging

    from coref_k8s.trial.scoring import own_length, score_model, score_text

    seq_len = own_length(model) or seq_len
    if seq_len is None:
        raise RequestError("cli.scored-on-what", model=model)
    logging.disable_progress_bar()
    with err.status(say("scores.scoring", model=model)):
        if text is not None:
            return score_text(
                model,
                text,
                seq_len,
                max_items=asked.items,
                cache_dir=settings.data_dir / DATASETS,
            )
        assert prepared is not None
        return score_model(model, prepared_folder(prepared, settings), seq_len, split=split)
