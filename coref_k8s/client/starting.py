"""The model that a study starts from, named as the result of another study of the same place.

STUDY/TOKENS            the best of a length
STUDY/TOKENS/NUMBER     a trial's (a finalist's run: STUDY/TOKENS/finalist-NUMBER)
"""

from __future__ import annotations

import re
from pathlib import Path

from coref_k8s.client.backend import Backend
from coref_k8s.client.results import folder, with_result
from coref_k8s.errors import NotFoundError
from coref_k8s.study.names import Kind
from coref_k8s.study.paths import TrialFolder, work_folder
from coref_k8s.study.spec import StudySpec

_RESULT = re.compile(r"([a-z0-9][-a-z0-9]*)/(\d+)(?:/(finalist-)?(\d+))?")


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
    if named[4] is None:
        below = folder(view, view.lengths[0])
    else:
        kind, known = (Kind.FINALIST, view.runs) if named[3] else (Kind.TRIAL, view.trials)
        number = int(named[4])
        if all(one.number != number for one in known):
            raise NotFoundError("client.no-trial", study=study, trial=number)
        below = work_folder(view.spec, study, kind, seq_len, number)
    return spec.model_copy(update={"model": str(TrialFolder(Path(backend.root) / below).model)})
