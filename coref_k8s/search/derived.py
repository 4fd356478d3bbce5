"""From a search's results to the request of what comes after it: a final training, an ensemble.

Both are ordinary studies of one trial that searches nothing, so that preparation, Jobs, checkpoints, resume,
logs and results are those of every study. See docs/decisions/050-derived-studies.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coref_k8s.errors import RequestError
from coref_k8s.search.records import TrialRecord
from coref_k8s.study.spec import DataSpec, PurposeSpec, Range, SearchSpec, StudySpec


def final_spec(
    parent: StudySpec, name: str, trial: TrialRecord, *, data: DataSpec | None = None
) -> StudySpec:
    """Return the request of a final training with the parameters of a trial of study `name`, on `data`.

    Raises RequestError when the trial trained on prepared data of its own choice, which `data` cannot replace.
    """
    if data is not None and data != parent.data and trial.params.get("dataset") is not None:
        raise RequestError("search.data-fixed", trial=trial.number, data=trial.params["dataset"])
    return _derived(
        parent,
        trial.seq_len,
        PurposeSpec(kind="train", study=name, trials=(trial.number,)),
        trial.params,
        data or parent.data,
    )


def ensemble_spec(parent: StudySpec, name: str, members: Sequence[TrialRecord]) -> StudySpec:
    """Return the request of an ensemble of trials of study `name`, all of one length, best first.

    Raises RequestError when they were scored on different data.
    """
    prepared = {member.params.get("dataset") for member in members}
    if len(prepared) > 1:
        found = sorted(map(str, prepared))
        raise RequestError("search.data-differ", study=name, count=len(members), data=found)
    params = {name: value for name, value in members[0].params.items() if name == "dataset"}
    purpose = PurposeSpec(kind="ensemble", study=name, trials=tuple(member.number for member in members))
    return _derived(parent, members[0].seq_len, purpose, params, parent.data)


def same_data(spec: StudySpec, parent: StudySpec) -> bool:
    """Tell whether a study can use what another one has prepared: the same text, cut by the same tokeniser."""
    return all(
        getattr(spec, name) == getattr(parent, name)
        for name in ("task", "data", "seed", "model", "model_revision")
    ) and set(spec.seq_lengths) <= set(parent.seq_lengths)


def _derived(
    parent: StudySpec, seq_len: int, purpose: PurposeSpec, params: dict[str, Any], data: DataSpec
) -> StudySpec:
    search = SearchSpec(
        sampler="random",
        pruner="none",
        warm_start=False,
        space={parameter: Range(choices=(value,)) for parameter, value in params.items()},
    )
    # budgets of the search are not this run's, and its one trial may not be lost in silence
    limits = parent.limits.model_copy(
        update={"max_duration": None, "max_gpu_hours": None, "max_failed_trials": 0}
    )
    changes = {
        "seq_lengths": (seq_len,),
        "trials": 1,
        "parallelism": 1,
        "data": data,
        "search": search,
        "limits": limits,
        "purpose": purpose,
    }
    fields = {name: getattr(parent, name) for name in StudySpec.model_fields}
    return StudySpec(**(fields | changes))
