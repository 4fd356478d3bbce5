"""The model that a study starts from, named as the result of another study of the same place.

STUDY/TOKENS            the best of a length
STUDY/TOKENS/NUMBER     a trial's
"""

from __future__ import annotations

import re
from pathlib import Path

from coref_k8s.client.backend import Backend
from coref_k8s.client.results import folder, with_result
from coref_k8s.errors import NotFoundError
from coref_k8s.study.paths import TrialFolder, trial_folder
from coref_k8s.study.spec import StudySpec

_RESULT = re.compile(r"([a-z0-9][-a-z0-9]*)/(\d+)(?:/(\d+))?")


def names_result(model: str) -> re.Match[str] | None:
    """Match a model that is named as a study's result; a folder of that name goes before it."""
    return None if Path(model).is_dir() else _RESULT.fullmatch(model)


def started(spec: StudySpec, backend: Backend) -> StudySpec:
    """Return the request with the folder of the model that it names as a study's result.

    Raises NotFoundError for a study, length or trial that is not there, RequestError for a length that it does not tune.
    """
    named = names_result(spec.model)
    if named is None:
        return spec
    study, seq_len = named[1], int(named[2])
    view = with_result(backend.get(study), seq_len)
    if named[3] is None:
        below = folder(view, view.lengths[0])
    else:
        number = int(named[3])
        if all(trial.number != number for trial in view.trials):
            raise NotFoundError("client.no-trial", study=study, trial=number)
        below = trial_folder(view.spec, study, seq_len, number)
    return spec.model_copy(update={"model": str(TrialFolder(Path(backend.root) / below).model)})
