"""Models as people name them: a folder, or one of a study's in the same place.

STUDY/TOKENS/NUMBER          a trial's (a finalist's run: STUDY/TOKENS/finalist-NUMBER)
STUDY/TOKENS                 the best of a length
STUDY                        the best of all lengths
OWNER/NAME                   a model of the hub, where there is no such folder

A folder with a model goes before a study of the same name; one without, such as that of the study's texts, does not.
With object storage in the settings, a study's results come from there, also those of a study in the cluster.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from coref_k8s.client.backend import Backend
from coref_k8s.client.checks import check_model
from coref_k8s.client.local import LocalBackend
from coref_k8s.client.results import folder, with_result
from coref_k8s.client.where import Where, cluster_configured, open_cluster
from coref_k8s.errors import ModelError, NotFoundError
from coref_k8s.model.files import first_line
from coref_k8s.objects import Mirror
from coref_k8s.settings import Settings
from coref_k8s.study.names import Kind
from coref_k8s.study.paths import (
    CHECKPOINTS,
    ENSEMBLE,
    MODEL,
    STUDIES,
    TrialFolder,
    expanded,
    model_within,
    work_folder,
)
from coref_k8s.study.spec import StudySpec

_RESULT = re.compile(r"([a-z0-9][-a-z0-9]*)(?:/(\d+)(?:/(finalist-)?(\d+))?)?")
_HUB = re.compile(r"\w[-.\w]*/\w[-.\w]*", re.ASCII)
#: What of a trial is brought only when it is asked for.
_LARGE = (CHECKPOINTS, MODEL, ENSEMBLE)
#: What is said where there is no study of a name.
_NO_STUDY = ("client.no-database", "store.no-study", "store.no-study-but")


@dataclass(frozen=True)
class NamedTrial:
    """A trial that is named as a study's result, and its folder."""

    name: str
    study: str
    seq_len: int
    folder: TrialFolder
    mirror: Mirror | None = None
    """What brings its model, which is large, when it is asked for."""

    @property
    def model(self) -> Path:
        """Folder of its model. Raises NotFoundError when there is none, ObjectStoreError."""
        if self.mirror is not None:
            self.mirror.fetch(self.folder.path, only=(MODEL, ENSEMBLE))
        if (found := model_within(self.folder.path)) is None:
            raise NotFoundError("client.trial-without-model", trial=self.name, study=self.study)
        return found


def names_result(model: str) -> bool:
    """Whether the model that a study is to start from is named STUDY/TOKENS or STUDY/TOKENS/NUMBER."""
    return model_within(expanded(model)) is None and bool((found := _RESULT.fullmatch(model)) and found[2])


def started(spec: StudySpec, backend: Backend) -> StudySpec:
    """Return the request with the folder of the model that it names: a study's result, or a trial by its folder.

    Raises NotFoundError for a study, length or trial that is not there, RequestError for a length that it does not tune.
    """
    if names_result(spec.model):
        return spec.model_copy(update={"model": str(_result(spec.model, backend).folder.model)})
    path = Path(spec.model)
    if (found := model_within(path)) not in (None, path):
        return spec.model_copy(update={"model": str(found)})
    return spec


def as_found_here(spec: StudySpec, backend: Backend) -> StudySpec:
    """Return what `started` returns; the request as it is where there is no such result."""
    try:
        return started(spec, backend)
    except NotFoundError:
        return spec


def trial_named(name: str, settings: Settings) -> NamedTrial | None:
    """Return the trial of this machine that a name means; None for the name of anything else, and of nothing.

    Raises NotFoundError for a length or trial that a study has not, or a name that is almost a study's; RequestError for a
    length that it does not tune.
    """
    path = expanded(name)
    if model_within(path) is not None or _RESULT.fullmatch(name) is None:
        return None
    mirror = Mirror(settings)
    if re.search(r"\d/", name):  # one trial or run: its folder's name is known without its database
        mirror.fetch(f"{STUDIES}/{name}", leave=_LARGE)
    try:
        found = _result(name, LocalBackend(settings))
    except NotFoundError as error:
        if error.message.code not in _NO_STUDY or ("near" in error.message.values and not path.is_dir()):
            raise
        if settings.object_store is None or not cluster_configured():
            return None
        return _of_the_cluster(name, settings, mirror)
    # shown relative to where the user is, kept relative to the data folder
    folder = TrialFolder(expanded(found.folder.path))
    mirror.fetch(folder.path, leave=_LARGE)
    return replace(found, folder=folder, mirror=mirror)


def _of_the_cluster(name: str, settings: Settings, mirror: Mirror) -> NamedTrial | None:
    """Return the trial of the cluster that a name means, with its files here; None where the cluster has no such study."""
    backend = open_cluster(Where())
    try:
        found = _result(name, backend)
    except NotFoundError as error:
        if error.message.code.startswith("client.unknown-study"):
            return None
        raise
    here = settings.data_dir / found.folder.path.relative_to(backend.root)
    mirror.fetch(here, leave=_LARGE)
    return replace(found, folder=TrialFolder(here), mirror=mirror)


def model_folder(name: str, settings: Settings) -> Path:
    """Return the folder of a model that is on this machine, or that the hub has.

    Raises NotFoundError for a name that is neither, and for a study or trial that has no model; ModelError when a model of
    the hub cannot be had; RequestError for a length that a study does not tune.
    """
    path = expanded(name)
    if (found := model_within(path)) is not None:
        return found
    if (trial := trial_named(name, settings)) is not None:
        return trial.model
    if path.is_dir():
        raise ModelError("sizing.no-model-in", folder=name)
    if _HUB.fullmatch(name) and not _RESULT.fullmatch(name):
        return _from_hub(name, settings)
    raise NotFoundError("client.no-model-named", model=name)


def _result(name: str, backend: Backend) -> NamedTrial:
    parts = _RESULT.fullmatch(name)
    assert parts is not None
    study, root = parts[1], Path(backend.root)
    seq_len, number = (None if one is None else int(one) for one in (parts[2], parts[4]))
    if seq_len and number is not None and (path := root / STUDIES / name).is_dir():
        return NamedTrial(
            name, study, seq_len, TrialFolder(path)
        )  # also one that was copied here without its database
    view = with_result(backend.get(study), seq_len)
    if seq_len is None or number is None:
        best = max((one for one in view.lengths if one.best), key=lambda one: one.score or 0.0)
        found = NamedTrial(name, study, best.seq_len, TrialFolder(root / folder(view, best)))
        if view.spec.purpose.kind == "ensemble" and best.best and "test" not in best.best.attrs:
            parent = f"{view.spec.purpose.study}/{best.seq_len}"
            raise NotFoundError("client.nothing-joined", study=study, parent=parent)
        return found
    kind, known = (Kind.FINALIST, view.runs) if parts[3] else (Kind.TRIAL, view.trials)
    if all(one.number != number for one in known):
        raise NotFoundError("client.not-in-study", study=study, which=kind.numbered(number))
    below = work_folder(view.spec, study, kind, seq_len, number)
    return NamedTrial(name, study, seq_len, TrialFolder(root / below))


def _from_hub(name: str, settings: Settings) -> Path:
    from huggingface_hub import snapshot_download

    check_model(name)
    try:
        return Path(snapshot_download(name, token=settings.hf_token))
    except Exception as error:  # of the network, of the hub, of the disk: each has its own
        raise ModelError("model.cannot-be-opened", model=name, why=first_line(error)) from error
