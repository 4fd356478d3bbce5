"""`train` and `ensemble`: what is made of a study's results. Each submits a study of its own, where the first one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer

from coref_k8s.cli.console import note
from coref_k8s.cli.reading import SeqLen
from coref_k8s.cli.requesting import Name, Set
from coref_k8s.cli.spec_options import apply_sets
from coref_k8s.cli.speech import say
from coref_k8s.cli.submitting import How, launch, launching
from coref_k8s.cli.where_options import Study, Where, option, placed
from coref_k8s.client.deriving import Derived, ensemble_of, final_training
from coref_k8s.client.where import find_study
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import RequestError
from coref_k8s.study.reading import spec_from_mapping

TrainLimit = Annotated[str | None, typer.Option("--train-limit", metavar="INTEGER|none")]


@placed
@launching
def train(
    study: Study,
    *,
    from_best: Annotated[bool, typer.Option("--from-best")] = False,
    trial: Annotated[int | None, typer.Option("--trial", metavar="NUMBER")] = None,
    seq_len: SeqLen = None,
    train_limit: TrainLimit = None,
    gpus: Annotated[int | None, typer.Option("--gpus", metavar="N", min=0)] = None,
    settings: Set = None,
    name: Name = None,
    where: Where,
    how: How,
) -> int:
    """Train the final model with the best parameters of a study, on more data if you like."""
    if from_best and trial is not None:
        raise RequestError("cli.contradict", one="--from-best", other="--trial")
    backend, view = find_study(where, study)
    named = [] if gpus is None else [f"pod.gpus={gpus}"]
    made = _with_settings(
        final_training(view, seq_len=seq_len, trial=trial, train_limit=train_limit, spelled=option),
        [*named, *(settings or [])],
    )
    if made.spec.data.train_limit != view.spec.data.train_limit and made.spec.training.max_steps is not None:
        note(say("cli.steps-stay", steps=made.spec.training.max_steps), style="yellow")
    _source(say("cli.from-trial", trial=made.trials[0].number, study=study, length=made.seq_len), view)
    return launch(backend, made.checked_name(name, option), made.spec, how)


@placed
@launching
def ensemble(
    study: Study,
    *,
    top: Annotated[int, typer.Option("--top", metavar="K", min=2)] = 3,
    seq_len: SeqLen = None,
    settings: Set = None,
    name: Name = None,
    where: Where,
    how: How,
) -> int:
    """Join the best models of a study: averaged weights (soups), averaged probabilities or link scores."""
    backend, view = find_study(where, study)
    made = _with_settings(ensemble_of(view, top, seq_len=seq_len, spelled=option), settings)
    _source(say("cli.from-best", top=top, study=study, length=made.seq_len), view)
    return launch(backend, made.checked_name(name, option), made.spec, how)


def _with_settings(made: Derived, settings: Sequence[str] | None) -> Derived:
    if not settings:
        return made
    request: dict[str, Any] = made.spec.model_dump(mode="json", by_alias=True)
    names = apply_sets(request, settings)
    return replace(made, spec=spec_from_mapping(request, where="", names=names))


def _source(said: str, view: StudyView) -> None:
    note(said, style="dim")
    if not view.ended:
        note(say("cli.best-so-far", study=view.name), style="yellow")
