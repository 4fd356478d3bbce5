"""Models as people name them: a folder, or one of a study's on this machine.

STUDY/TOKENS/NUMBER          a trial's (a finalist's run: STUDY/TOKENS/finalist-NUMBER)
STUDY/TOKENS                 the best of a length
STUDY                        the best of all lengths
OWNER/NAME                   a model of the hub, where there is no such folder
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from coref_k8s.client.checks import check_model
from coref_k8s.client.local import LocalBackend
from coref_k8s.client.results import folder, with_result
from coref_k8s.errors import ModelError, NotFoundError
from coref_k8s.model.files import first_line
from coref_k8s.settings import Settings
from coref_k8s.study.paths import STUDIES, TrialFolder, expanded

_TRIAL = re.compile(r"([a-z0-9][-a-z0-9]*)/(\d+)/(?:finalist-)?\d+")
_STUDY = re.compile(r"([a-z0-9][-a-z0-9]*)(?:/(\d+))?")
_HUB = re.compile(r"\w[-.\w]*/\w[-.\w]*", re.ASCII)


@dataclass(frozen=True)
class NamedTrial:
    """A trial that is named STUDY/TOKENS/NUMBER, and its folder."""

    name: str
    study: str
    seq_len: int
    folder: TrialFolder

    @property
    def model(self) -> Path:
        """Folder of its model. Raises NotFoundError when there is none."""
        if not self.folder.model.is_dir():
            raise NotFoundError("client.trial-without-model", trial=self.name)
        return self.folder.model


def trial_named(name: str, settings: Settings) -> NamedTrial | None:
    """Return the trial of a name; None for the name of anything else."""
    found, path = _TRIAL.fullmatch(name), settings.data_dir / STUDIES / name
    if not found or not path.is_dir():
        return None
    return NamedTrial(name, found[1], int(found[2]), TrialFolder(path))


def model_folder(name: str, settings: Settings) -> Path:
    """Return the folder of a model; a folder of the name goes before a study.

    Raises NotFoundError for a name that is neither, nor one of the hub, and for a study or trial that has no model;
    ModelError when a model of the hub cannot be had.
    """
    path = expanded(name)
    if (path / "config.json").is_file():
        return path
    if (trial := trial_named(name, settings)) is not None:
        return trial.model
    if (found := _STUDY.fullmatch(name)) and not path.is_dir():
        return _best(found[1], int(found[2]) if found[2] else None, settings).model
    if path.is_dir():
        return path
    if _HUB.fullmatch(name):
        return _from_hub(name, settings)
    raise NotFoundError("client.no-model-named", model=name)


def _from_hub(name: str, settings: Settings) -> Path:
    from huggingface_hub import snapshot_download

    check_model(name)
    try:
        return Path(snapshot_download(name, token=settings.hf_token))
    except Exception as error:  # of the network, of the hub, of the disk: each has its own
        raise ModelError("model.cannot-be-opened", model=name, why=first_line(error)) from error


def _best(study: str, seq_len: int | None, settings: Settings) -> NamedTrial:
    try:
        view = with_result(LocalBackend(settings).get(study), seq_len)
    except NotFoundError as error:
        if error.message.code == "client.no-complete-trial" or "near" in error.message.values:
            raise
        raise NotFoundError("client.no-model-named", model=study) from error
    best = max((one for one in view.lengths if one.best), key=lambda one: one.score or 0.0)
    return NamedTrial(
        f"{study}/{best.seq_len}", study, best.seq_len, TrialFolder(settings.data_dir / folder(view, best))
    )
