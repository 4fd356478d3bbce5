"""What is made of a study's results: the final training of its best trial, an ensemble of its best ones.

Both are studies of their own, in the place where the first one is.
"""

from __future__ import annotations

from dataclasses import dataclass

from coref_k8s.client.arguments import check_type
from coref_k8s.client.results import of_length, with_result
from coref_k8s.client.where import Spelled
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import NotFoundError, RequestError
from coref_k8s.search.derived import ensemble_spec, final_spec
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.study.reading import validated_name
from coref_k8s.study.spec import DataSpec, StudySpec


@dataclass(frozen=True)
class Derived:
    """A study made of another one's results."""

    name: str
    """What it is called unless somebody says otherwise; may be too long (`checked_name`)."""
    spec: StudySpec
    seq_len: int
    trials: tuple[TrialRecord, ...]
    """The trials that it is made of, best first."""

    def checked_name(self, name: str | None = None, spelled: Spelled = str) -> str:
        """Return the name to be used. Raises RequestError when the one that was made up is too long."""
        if name is not None:
            return validated_name(name)
        try:
            return validated_name(self.name)
        except RequestError as error:
            raise RequestError(
                "client.shorter-name", problem=error.message, option=spelled("name")
            ) from error


def final_training(
    view: StudyView,
    *,
    seq_len: int | None = None,
    trial: int | None = None,
    train_limit: int | str | None = None,
    spelled: Spelled = str,
) -> Derived:
    """Return the final training with the parameters of a trial, the best unless `trial` says another one.

    `train_limit` is the most training chunks, `none` for all; by default those of the study. Raises RequestError,
    NotFoundError.
    """
    length = _searched(view, seq_len, spelled)
    chosen = _trial(length, trial)
    spec = final_spec(
        view.spec, view.name, chosen, data=_data(view.spec.data, train_limit, spelled("train_limit"))
    )
    return Derived(f"{view.name}-final-{chosen.seq_len}", spec, chosen.seq_len, (chosen,))


def ensemble_of(view: StudyView, top: int, *, seq_len: int | None = None, spelled: Spelled = str) -> Derived:
    """Return the ensemble of the best `top` trials of one length. Raises RequestError when they are too few."""
    (one,) = _searched(view, seq_len, spelled).lengths
    check_type("top", top, int)
    option = spelled("top")
    if top < 2:
        raise RequestError("client.one-to-join", option=option)
    if top > len(one.ranked):
        raise RequestError(
            "client.few-trials",
            study=view.name,
            n=len(one.ranked),
            seq_len=one.seq_len,
            top=top,
            option=option,
        )
    kept = max(view.spec.training.keep_models, view.spec.search.finalists)
    if top > kept:
        raise RequestError("client.few-models", study=view.name, kept=kept, top=top, option=option)
    members = tuple(one.ranked[:top])
    spec = ensemble_spec(view.spec, view.name, members)
    return Derived(f"{view.name}-ensemble-{one.seq_len}", spec, one.seq_len, members)


def _searched(view: StudyView, seq_len: int | None, spelled: Spelled) -> StudyView:
    """Return the view of the one length that is meant; raise what is wrong with the study."""
    if view.spec.purpose.kind != "search":
        raise RequestError("client.searches-nothing", study=view.name, parent=view.spec.purpose.study)
    lengths = view.spec.seq_lengths
    if seq_len is None and len(lengths) > 1:
        raise RequestError(
            "client.which-length", study=view.name, lengths=list(lengths), option=spelled("seq_len")
        )
    return of_length(view, seq_len or lengths[0])


def _trial(view: StudyView, number: int | None) -> TrialRecord:
    (one,) = (with_result(view) if number is None else view).lengths
    if number is None:
        assert one.best is not None
        return one.best
    found = next((t for t in one.trials if t.number == number), None)
    if found is None or found.state is TrialState.FAILED:
        raise NotFoundError("client.no-trial-to-train", study=view.name, trial=number, seq_len=one.seq_len)
    return found


def _data(data: DataSpec, train_limit: int | str | None, option: str) -> DataSpec:
    if train_limit is None:
        return data
    text = str(train_limit)
    if text != "none" and not (text.isdigit() and int(text)):
        raise RequestError("client.bad-limit", option=option, text=text)
    return data.model_copy(update={"train_limit": None if text == "none" else int(text)})
