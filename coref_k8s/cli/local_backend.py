"""Studies on this machine: the database and the processes below one data folder."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from sqlalchemy.engine import make_url

from coref_k8s.controller.view import StudyView, read_view
from coref_k8s.errors import NotFoundError
from coref_k8s.settings import Settings, masked_url
from coref_k8s.store import Store, StudyRecord
from coref_k8s.study import StudySpec

#: Studies on one machine have no namespace.
NAMESPACE = ""


class LocalBackend:
    """The `Backend` of this machine. Reading never creates anything."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return "this machine"

    @property
    def root(self) -> str:
        """The data folder as it is shown, relative where that is shorter."""
        folder = self.settings.data_dir
        return f"{folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder}/"

    @classmethod
    def open(cls, *, data_dir: Path | None, storage: str | None) -> LocalBackend:
        """Return the backend of a data folder (`data` by default)."""
        return cls(Settings.from_env(data_dir=data_dir, storage_url=storage))

    @cached_property
    def store(self) -> Store:
        """The database; made when it is not there yet."""
        return Store(self.settings.storage_url)

    @property
    def exists(self) -> bool:
        """Whether there is a database to read; a server is taken to be there."""
        url = make_url(self.settings.storage_url)
        return url.get_backend_name() != "sqlite" or Path(url.database or "").is_file()

    def _existing(self, name: str) -> Store:
        if not self.exists:
            url = masked_url(self.settings.storage_url).removeprefix("sqlite:///")
            raise NotFoundError(
                f"there is no study {name!r}: {url} does not exist; start one with coref-k8s submit --local, "
                "or name its folder with --data-dir"
            )
        return self.store

    def create(self, name: str, spec: StudySpec) -> None:
        """Create a study; RequestError when the name is taken."""
        self.store.create_study(NAMESPACE, name, spec)

    def studies(self) -> list[StudyRecord]:
        """Return all studies, oldest first."""
        return self.store.list_studies(NAMESPACE) if self.exists else []

    def view(self, name: str) -> StudyView:
        """Return one study with its trials."""
        return read_view(self._existing(name), NAMESPACE, name)

    def logs(self, name: str, seq_len: int | None, trial: int | None, *, follow: bool) -> Iterator[str]:
        """Return the log lines of one trial, or of all jobs with the job's name before each line."""
        from coref_k8s.cli.local_logs import study_lines, trial_lines
        from coref_k8s.local.processes import ProcessRunner

        store = self._existing(name)
        store.get_study(NAMESPACE, name)
        runner = ProcessRunner(self.settings.data_dir)
        if seq_len is not None and trial is not None:
            return trial_lines(runner, name, seq_len, trial, follow=follow)
        return study_lines(
            runner, name, seq_len, follow=follow, ended=lambda: store.get_study(NAMESPACE, name).ended
        )
