"""`train` and `ensemble`: what is made of a study's results. Each submits a study of its own, where the first one is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from coref_k8s.cli.backend import Study, Where, find_study, placed
from coref_k8s.cli.console import note
from coref_k8s.cli.planning import plan_study
from coref_k8s.cli.reading import SeqLen, of_length
from coref_k8s.cli.requesting import Name, Set
from coref_k8s.cli.spec_options import apply_sets
from coref_k8s.cli.strings import LangOption
from coref_k8s.cli.submitting import DryRun, MetricsPort, ResourceForm, Wait, launch
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import NotFoundError, RequestError
from coref_k8s.search.derived import ensemble_spec, final_spec
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.study.reading import spec_from_mapping, validated_name
from coref_k8s.study.spec import DataSpec, StudySpec

TrainLimit = Annotated[
    str | None,
    typer.Option(
        "--train-limit",
        metavar="INTEGER|none",
        help="Most training chunks (chunks), `none` for all; by default that of the study, whose prepared data are then used.",
    ),
]


@placed
def train(
    study: Study,
    *,
    from_best: Annotated[
        bool, typer.Option("--from-best", help="With the parameters of the best trial; what is done anyway.")
    ] = False,
    trial: Annotated[
        int | None, typer.Option("--trial", metavar="NUMBER", help="With those of this trial instead.")
    ] = None,
    seq_len: SeqLen = None,
    train_limit: TrainLimit = None,
    settings: Set = None,
    name: Name = None,
    lang: LangOption = None,
    where: Where,
    wait: Wait = False,
    dry_run: DryRun = None,
    output: ResourceForm = None,
    metrics_port: MetricsPort = None,
) -> int:
    """Train the final model with the best parameters of a study, on more data if you like.

    A study of its own (NAME-final-TOKENS unless --name says otherwise), which status, watch, logs, resume and delete know.
    The model is scored on test once, compared with the untuned one, and written as a Hugging Face folder with a card.
    """
    if from_best and trial is not None:
        raise RequestError("--from-best and --trial contradict each other; keep one")
    backend, view = find_study(where, study)
    length = _searched(view, seq_len)
    chosen = _trial(length, trial)
    spec = final_spec(view.spec, study, chosen, data=_data(view.spec.data, train_limit))
    spec = _with_settings(spec, settings)
    if spec.data.train_limit != view.spec.data.train_limit and spec.training.max_steps is not None:
        note(
            f"the study trains for {spec.training.max_steps} steps however much text there is; "
            "--set training.maxSteps=N says for how many instead",
            style="yellow",
        )
    _say(f"trial {chosen.number} of {study}: its parameters at {chosen.seq_len} tokens", view)
    plan_study(spec)
    return launch(
        backend,
        name or _made_name(f"{study}-final-{chosen.seq_len}"),
        spec,
        lang=lang,
        wait=wait,
        dry_run=dry_run,
        output=output,
        metrics_port=metrics_port,
    )


@placed
def ensemble(
    study: Study,
    *,
    top: Annotated[int, typer.Option("--top", metavar="K", min=2, help="Members: the best K trials.")] = 3,
    seq_len: SeqLen = None,
    settings: Set = None,
    name: Name = None,
    lang: LangOption = None,
    where: Where,
    wait: Wait = False,
    dry_run: DryRun = None,
    output: ResourceForm = None,
    metrics_port: MetricsPort = None,
) -> int:
    """Join the best models of a study: averaged weights (uniform and greedy soup), averaged probabilities.

    Each is scored on dev like a trial, and kept only when it is shown to be better than the best single model. A
    study of its own (NAME-ensemble-TOKENS unless --name says otherwise).
    """
    backend, view = find_study(where, study)
    length = _searched(view, seq_len)
    (one,) = length.lengths
    if top > len(one.ranked):
        raise RequestError(
            f"study {study!r} has {len(one.ranked)} complete trials of {one.seq_len} tokens, fewer than --top {top}; choose a smaller --top"
        )
    kept = max(view.spec.training.keep_models, view.spec.search.finalists)
    if top > kept:
        raise RequestError(
            f"study {study!r} keeps the models of its best {kept} trials (training.keepModels), fewer than --top {top}; choose a smaller --top"
        )
    spec = _with_settings(ensemble_spec(view.spec, study, one.ranked[:top]), settings)
    _say(f"the best {top} trials of {study} at {one.seq_len} tokens", view)
    plan_study(spec)
    return launch(
        backend,
        name or _made_name(f"{study}-ensemble-{one.seq_len}"),
        spec,
        lang=lang,
        wait=wait,
        dry_run=dry_run,
        output=output,
        metrics_port=metrics_port,
    )


def _searched(view: StudyView, seq_len: int | None) -> StudyView:
    """Return the view of the one length that is meant; raise what is wrong with the study."""
    if view.spec.purpose.kind != "search":
        raise RequestError(
            f"study {view.name!r} searches nothing, it is made of the results of {view.spec.purpose.study!r}; name that one"
        )
    lengths = view.spec.seq_lengths
    if seq_len is None and len(lengths) > 1:
        raise RequestError(
            f"study {view.name!r} tunes {', '.join(map(str, lengths))} tokens; say which is meant with --seq-len"
        )
    return of_length(view, seq_len or lengths[0])


def _trial(view: StudyView, number: int | None) -> TrialRecord:
    (one,) = view.lengths
    if number is None:
        if one.best is None:
            raise NotFoundError(
                f"study {view.name!r} has no complete trial yet; coref-k8s status {view.name} shows how far it is"
            )
        return one.best
    found = next((t for t in one.trials if t.number == number), None)
    if found is None or found.state is TrialState.FAILED:
        raise NotFoundError(
            f"study {view.name!r} has no trial {number} of {one.seq_len} tokens whose parameters are worth a final "
            f"training; coref-k8s results {view.name} --all lists the trials"
        )
    return found


def _made_name(name: str) -> str:
    try:
        return validated_name(name)
    except RequestError as error:
        raise RequestError(f"{error}; give a shorter one with --name") from error


def _data(data: DataSpec, train_limit: str | None) -> DataSpec:
    if train_limit is None:
        return data
    if train_limit != "none" and not (train_limit.isdigit() and int(train_limit)):
        raise RequestError(f"--train-limit must be a whole number above 0, or none, not {train_limit!r}")
    return data.model_copy(update={"train_limit": None if train_limit == "none" else int(train_limit)})


def _with_settings(spec: StudySpec, settings: Sequence[str] | None) -> StudySpec:
    if not settings:
        return spec
    request: dict[str, Any] = spec.model_dump(mode="json", by_alias=True)
    names = apply_sets(request, settings)
    return spec_from_mapping(request, where="", names=names)


def _say(what: str, view: StudyView) -> None:
    note(f"from {what}", style="dim")
    if not view.ended:
        note(f"study {view.name} has not ended: this is its best so far", style="yellow")
