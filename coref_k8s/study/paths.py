"""The layout of a data folder: where everything of a study lies. Paths are relative to the data folder.

coref.db                                    studies and attempts (and Optuna's trials), on one machine
coref_automl_bus.ndjson                     events
prepared/<hash>/                            prepared data, shared by the studies that ask for the same
studies/<study>/<length>/<trial>/           a trial (`TrialFolder`); finalist-<run>, verdict beside it
studies/<study>/prepare/                    the preparation
studies/<study>/controller.lock             held by the process that runs the study, on one machine
jobs/<study>/<job>/                         a job on one machine: its order, its state and its log
huggingface/                                what pods have loaded from the hub
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from coref_k8s.errors import RequestError
from coref_k8s.study.names import Kind
from coref_k8s.study.spec import StudySpec

#: Folder of everything that is written, when nothing else is said (relative to the working directory).
DEFAULT_DATA_DIR = "data"
#: Name of the event file below the data folder.
BUS_NAME = "coref_automl_bus.ndjson"
#: Name of the database file below the data folder.
DATABASE_NAME = "coref.db"
#: Folders below the data folder.
STUDIES, JOBS, PREPARED, HUB_CACHE = "studies", "jobs", "prepared", "huggingface"
#: Folder of the hub's data sets that were downloaded, below the data folder.
DATASETS = "hub"
#: Metrics of a running trial in its folder, where they are not served.
METRICS_FILE = "metrics.prom"
#: Files of a job on one machine, in its folder: the order that its program reads, what its supervisor is to run and how
#: that went, why it was told to stop, the output of all starts, and what is locked while a process of it is alive.
ORDER_FILE, JOB_FILE, STATUS_FILE, STOPPED_FILE, LOG_FILE, LOCK_FILE = (
    "order.json", "job.json", "status.json", "stopped.json", "log", "lock",
)  # fmt: skip
#: Of a folder with one model, as `from_pretrained` reads it; of one with the members of an ensemble.
MODEL_FILE, MEMBERS_FILE = "config.json", "members.json"
#: Folders in that of a trial: checkpoints, its model, the members of an ensemble.
CHECKPOINTS, MODEL, ENSEMBLE = "checkpoints", "model", "ensemble"
#: What stands beside an encoder that a coreference head was trained on.
COREF_FILE = "coref.json"
#: What a preparation has counted, in the folder of prepared data.
STATISTICS_FILE = "statistics.json"


def folders_of(study: str) -> tuple[str, ...]:
    """Return the folders that hold nothing but this study's files."""
    return f"{JOBS}/{study}", f"{STUDIES}/{study}"


def lock_file(study: str) -> str:
    """Return the file that is locked by the process that runs a study."""
    return f"{STUDIES}/{study}/controller.lock"


def trial_folder(spec: StudySpec, study: str, seq_len: int, trial: int) -> str:
    """Return the folder of a trial.

    Where a study has one thing to do, a second trial (after the first has failed and the study was resumed) is
    that same thing, and goes on in its folder.
    """
    return numbered_folder(study, seq_len, trial if spec.purpose.kind == "search" else 0)


def numbered_folder(study: str, seq_len: int, trial: int) -> str:
    """Return the folder of a trial of a search."""
    return f"{STUDIES}/{study}/{seq_len}/{trial}"


def work_folder(spec: StudySpec, study: str, kind: Kind, seq_len: int | None, trial: int | None) -> str:
    """Return the folder in which a job does its work: of a trial, a finalist's run, a verdict or the preparation."""
    if seq_len is None:
        return f"{STUDIES}/{study}/{kind}"
    if kind is Kind.TRIAL and trial is not None:
        return trial_folder(spec, study, seq_len, trial)
    return f"{STUDIES}/{study}/{seq_len}/{kind}" + ("" if trial is None else f"-{trial}")


@dataclass(frozen=True)
class TrialFolder:
    """What a trial leaves behind."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints; gone when the trial is finished."""
        return self.path / CHECKPOINTS

    @property
    def model(self) -> Path:
        """The trained model with its tokeniser, as `from_pretrained` reads it."""
        return self.path / MODEL

    @property
    def ensemble(self) -> Path:
        """The members of an ensemble that averages what they say."""
        return self.path / ENSEMBLE

    @property
    def result(self) -> Path:
        """Score, metrics, parameters and measurements."""
        return self.path / "result.json"

    @property
    def losses(self) -> Path:
        """Training loss of every step (nats), a JSON list."""
        return self.path / "losses.json"

    @property
    def metrics(self) -> Path:
        """Metrics while it runs, where they are not served."""
        return self.path / METRICS_FILE

    def items(self, split: str) -> Path:
        """Scores of every evaluation item of a split, for paired comparisons."""
        return self.path / f"items-{split}.json"


def model_within(path: Path) -> Path | None:
    """Return the folder of the model that is meant by a folder: itself, or of a trial its model; None without one."""
    trial = TrialFolder(path)
    for found in (path, trial.model, trial.ensemble):
        if (found / MODEL_FILE).is_file() or (found / MEMBERS_FILE).is_file():
            return found
    return None


def expanded(path: str | Path) -> Path:
    """Return an absolute path, with `~` as the user's home folder; raise RequestError when there is none."""
    found = os.path.expanduser(path)
    if found.startswith("~"):
        raise RequestError("settings.no-home", path=str(path))
    return Path(found).absolute()
