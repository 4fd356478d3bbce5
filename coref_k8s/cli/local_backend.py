"""Studies on this machine: the database and the processes below one data folder."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import make_url

from coref_k8s.cli.console import out
from coref_k8s.cli.strings import Lang
from coref_k8s.controller.view import StudyView, read_view
from coref_k8s.errors import NotFoundError, RequestError
from coref_k8s.settings import Settings, masked_url
from coref_k8s.store import Store, StudyRecord
from coref_k8s.study.paths import trial_folder
from coref_k8s.study.reading import amended
from coref_k8s.study.spec import StudySpec

if TYPE_CHECKING:
    from coref_k8s.local.session import LocalSession

#: Studies on one machine have no namespace.
NAMESPACE = ""
#: A study that another process ends is looked at this often (seconds).
_LOOK_SECONDS = 0.5


class LocalBackend:
    """The `Backend` of this machine. Reading never creates anything."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return "this machine"

    @property
    def options(self) -> str:
        """The options that name it."""
        usual = Settings.from_env()
        if self.settings.data_dir != usual.data_dir:
            return f" --data-dir {self.root.rstrip('/')}"
        if self.settings.storage_url != usual.storage_url:
            return f" --storage {masked_url(self.settings.storage_url)}"
        return ""

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
    def session(self) -> LocalSession:
        """Database and processes; the database is made when it is not there yet."""
        from coref_k8s.local.session import LocalSession

        return LocalSession(self.settings)

    @property
    def exists(self) -> bool:
        """Whether there is a database to read; a server is taken to be there."""
        url = make_url(self.settings.storage_url)
        return url.get_backend_name() != "sqlite" or Path(url.database or "").is_file()

    def _existing(self, name: str) -> LocalSession:
        if not self.exists:
            url = masked_url(self.settings.storage_url).removeprefix("sqlite:///")
            raise NotFoundError(
                f"there is no study {name!r}: {url} does not exist; start one with coref-k8s submit --local, "
                "or name its folder with --data-dir"
            )
        return self.session

    def create(self, name: str, spec: StudySpec) -> None:
        """Create a study; RequestError when the name is taken."""
        self.session.submit(name, spec)

    def studies(self) -> list[StudyRecord]:
        """Return all studies, oldest first."""
        if not self.exists:
            return []
        store = Store(self.settings.storage_url)  # alone: listing needs no Optuna, which takes long to import
        try:
            return store.list_studies(NAMESPACE)
        finally:
            store.close()

    def view(self, name: str) -> StudyView:
        """Return one study with its trials."""
        return read_view(self._existing(name).store, NAMESPACE, name)

    def logs(self, name: str, seq_len: int | None, trial: int | None, *, follow: bool) -> Iterator[str]:
        """Return the log lines of one trial, or of all jobs with the job's name before each line."""
        from coref_k8s.cli.local_logs import study_lines, trial_lines

        session = self._existing(name)
        session.store.get_study(NAMESPACE, name)
        runner = session.runner(gpus_per_job=0)
        if seq_len is not None and trial is not None:
            return trial_lines(runner, name, seq_len, trial, follow=follow)
        return study_lines(runner, name, seq_len, follow=follow, ended=lambda: not session.is_running(name))

    def check(self, spec: StudySpec) -> tuple[StudySpec, list[str]]:
        """Return the request with absolute paths, with warnings; raise what cannot work here."""
        from coref_k8s.cli.checks import check_before_start, localised

        spec = localised(spec)
        if spec.search.warm_start_from is not None:
            self._check_source(spec.search.warm_start_from)
        return spec, check_before_start(spec, text=not self._prepared_elsewhere(spec))

    def _prepared_elsewhere(self, spec: StudySpec) -> bool:
        """Whether the text is that of the study whose results are used; raise when a model of that study is gone."""
        purpose = spec.purpose
        if purpose.study is None:
            return False
        from coref_k8s.search.derived import same_data

        parent = self._existing(purpose.study).store.get_study(NAMESPACE, purpose.study)
        if purpose.kind == "ensemble":
            for number in purpose.trials:
                folder = trial_folder(parent.spec, purpose.study, spec.seq_lengths[0], number)
                if not (self.settings.data_dir / folder / "model" / "config.json").is_file():
                    raise NotFoundError(
                        f"trial {number} of study {purpose.study!r} has no model in {self.root}{folder}: a study keeps those of "
                        f"its best {parent.spec.training.keep_models} (--keep-models), an imported one has none; join fewer "
                        "with --top, or train the best again: coref-k8s train"
                    )
        return parent.prepared is not None and same_data(spec, parent.spec)

    def _check_source(self, name: str) -> None:
        """Raise RequestError when a study that another one is to start from has nothing to offer."""
        from coref_k8s.search.other import other_study
        from coref_k8s.search.storage import open_storage

        if not self.exists:
            raise RequestError(f"search.warmStartFrom: there is no study {name!r} here; check its name")
        other_study(self.session.store, open_storage(self.settings.storage_url), NAMESPACE, name)

    @property
    def in_foreground(self) -> bool:
        """Nothing runs here but what is followed."""
        return True

    def follow(self, name: str, *, lang: Lang, metrics_port: int | None = None) -> StudyView:
        """Run the study with the live view on top, until it ends or Ctrl-C."""
        from coref_k8s.cli.live import LiveState
        from coref_k8s.cli.view import BusTail, Watcher

        session = self._existing(name)
        tail = BusTail(self.settings.bus)
        watcher = Watcher(
            LiveState(study=name, lang=lang, since=datetime.now(UTC)),
            out,
            load=lambda: self.view(name),
            events=tail.read,
        )
        with watcher.in_background():
            session.run(
                name,
                on_progress=watcher.on_progress,
                on_interrupt=watcher.on_interrupt,
                metrics_port=metrics_port,
            )
        return self.view(name)

    def cancel(self, name: str) -> None:
        """End the study and wait until it has ended; does itself what no other process is there to do."""
        session = self._existing(name)
        session.cancel(name)
        while not session.store.get_study(NAMESPACE, name).ended:
            sleep(_LOOK_SECONDS)

    def resume(self, name: str) -> None:
        """Let a study that has ended go on; one that has not is left as it is."""
        store = self._existing(name).store
        if store.get_study(NAMESPACE, name).ended:
            store.resume(NAMESPACE, name)

    def extend(self, name: str, changed: dict[str, Any], *, goes_on: bool) -> None:
        """Change the request; `goes_on` puts a study that has ended back to Pending, for `resume`."""
        store = self._existing(name).store
        record = store.get_study(NAMESPACE, name)
        store.update_spec(NAMESPACE, name, amended(record.spec, changed))
        if record.ended and goes_on:
            store.resume(NAMESPACE, name)

    def delete(self, name: str) -> None:
        """Remove the study with its trials, jobs, models and logs; prepared data stay for others."""
        self._existing(name).delete(name)

    def is_running(self, name: str) -> bool:
        """Whether a process runs the study at the moment."""
        return self._existing(name).is_running(name)
