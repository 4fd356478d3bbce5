"""Studies on this machine: the database and the processes below one data folder."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import make_url

from coref_k8s.client.backend import DryRun
from coref_k8s.client.events import BusTail, of_others
from coref_k8s.client.following import MOMENT_SECONDS, Look, Moment, watched
from coref_k8s.client.manifest import manifest
from coref_k8s.client.running import Running
from coref_k8s.client.where import Where, cluster_configured, open_cluster
from coref_k8s.controller.view import StudyView, read_view
from coref_k8s.errors import NotFoundError, RequestError
from coref_k8s.local.lock import is_running
from coref_k8s.objects import Mirror
from coref_k8s.settings import Settings, masked_url
from coref_k8s.sizing.calibration import Calibration
from coref_k8s.store import Store, StudyRecord
from coref_k8s.study.names import Kind
from coref_k8s.study.paths import MODEL, MODEL_FILE, TrialFolder, trial_folder
from coref_k8s.study.reading import amended
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import NOTHING, Message

if TYPE_CHECKING:
    from coref_k8s.local.session import LocalSession

#: Studies on one machine have no namespace.
NAMESPACE = ""
#: A study that another process ends is looked at this often (seconds).
_LOOK_SECONDS = 0.5
#: The studies that this process runs, by data folder and name, whoever has started them.
_RUNNING: dict[tuple[Path, str], Running] = {}


class LocalBackend:
    """The `Backend` of this machine. Reading never creates anything."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def where(self) -> Where:
        """What names this place."""
        folder = None if self.settings.data_dir == Settings.from_env().data_dir else Path(self.root)
        usual = Settings.from_env(data_dir=folder).storage_url == self.settings.storage_url
        return Where(data_dir=folder, storage=None if usual else masked_url(self.settings.storage_url))

    @property
    def place(self) -> Message:
        """What people call it."""
        return Message.of("client.this-machine")

    @property
    def here(self) -> bool:
        """Whether it is this machine: it is."""
        return True

    @property
    def root(self) -> str:
        """The data folder as it is shown, relative where that is shorter."""
        folder = self.settings.data_dir
        return f"{folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder}/"

    def folder(self, relative: str) -> Path | None:
        """Return a folder below the data folder, if there is one."""
        found = self.settings.data_dir / relative
        return found if found.is_dir() else None

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

    @cached_property
    def _store(self) -> Store:
        """The database alone: reading needs no Optuna and no loop, which take long to import."""
        return Store(self.settings.storage_url)

    def _check_exists(self, name: str) -> None:
        if not self.exists:
            url = masked_url(self.settings.storage_url).removeprefix("sqlite:///")
            raise NotFoundError("client.no-database", study=name, file=url)

    def _existing(self, name: str) -> LocalSession:
        self._check_exists(name)
        return self.session

    def refuse(self, *, dry_run: DryRun | None, output: str | None, metrics_port: int | None) -> None:
        """Raise RequestError for what only an API server has, and for a port that is taken."""
        if dry_run or output:
            raise RequestError("client.no-dry-run")
        if metrics_port is not None:
            from coref_k8s.local.metrics import check_port

            check_port(metrics_port)

    def submit(self, name: str, spec: StudySpec, *, dry_run: DryRun | None = None) -> Mapping[str, Any]:
        """Create a study; `follow` or `start` runs it. Raises RequestError when the name is taken."""
        self.refuse(dry_run=dry_run, output=None, metrics_port=None)
        self.session.submit(name, spec)
        return manifest(name, spec, NAMESPACE)

    def studies(self) -> list[StudyRecord]:
        """Return all studies, oldest first."""
        if not self.exists:
            return []
        found = self._store.list_studies(NAMESPACE)
        return [replace(one, interrupted=self._interrupted(one)) for one in found]

    def get(self, name: str, *, whole: bool = True) -> StudyView:
        """Return one study with its trials."""
        self._check_exists(name)
        view = read_view(self._store, NAMESPACE, name)
        return replace(view, interrupted=self._interrupted(view))

    def _interrupted(self, study: StudyRecord | StudyView) -> bool:
        return not study.ended and not is_running(self.settings.data_dir, study.name)

    def calibrations(self) -> list[Calibration]:
        """Return what `calibrate` has measured, newest first."""
        return self._store.calibrations() if self.exists else []

    def logs(
        self, name: str, seq_len: int | None, number: int | None, *, follow: bool, kind: Kind = Kind.TRIAL
    ) -> Iterator[str]:
        """Return the log lines of one trial or run, or of all jobs with the job's name before each line."""
        from coref_k8s.client.logs import local_jobs, log_lines

        session = self._existing(name)
        session.store.get_study(NAMESPACE, name)
        runner = session.runner(gpus_per_job=0)
        return log_lines(
            name,
            lambda: local_jobs(runner, name, seq_len, number, kind),
            lambda job, goes_on: runner.logs(job, follow=goes_on),
            follow=follow,
            ended=lambda: not session.is_running(name),
            one=number is not None,
            missing=NotFoundError("client.no-logs", study=name)
            if number is None
            else NotFoundError("client.no-log", which=kind.numbered(number), seq_len=seq_len, study=name),
        )

    def fit(self, spec: StudySpec) -> tuple[StudySpec, Message]:
        """Return the request for the GPUs, cores and memory of this machine, and what they are."""
        from coref_k8s.client.fitting import fitted
        from coref_k8s.client.models import started

        return fitted(started(spec, self))

    def check(self, spec: StudySpec) -> tuple[StudySpec, list[Message]]:
        """Return the request with absolute paths, with warnings; raise what cannot work here."""
        from coref_k8s.client.checks import check_before_start, check_request, localised
        from coref_k8s.client.expecting import warnings_of
        from coref_k8s.client.models import started

        spec = localised(started(spec, self))
        warnings = check_request(spec)
        if spec.search.warm_start_from is not None:
            self._check_source(spec.search.warm_start_from)
        warnings += warnings_of(spec, self.calibrations(), here=True)
        return spec, warnings + check_before_start(spec, text=not self._prepared_elsewhere(spec))

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
                model = TrialFolder(self.settings.data_dir / folder).model
                if not (model / MODEL_FILE).is_file() and not Mirror(self.settings).holds(
                    f"{folder}/{MODEL}"
                ):
                    raise NotFoundError(
                        "client.no-model-to-join", trial=number, study=purpose.study,
                        folder=f"{self.root}{folder}", kept=parent.spec.training.keep_models,
                    )  # fmt: skip
        return parent.prepared is not None and same_data(spec, parent.spec)

    def _check_source(self, name: str) -> None:
        """Raise RequestError when a study that another one is to start from has nothing to offer."""
        from coref_k8s.search.source_study import source_study
        from coref_k8s.search.storage import open_storage

        if not self.exists:
            raise RequestError("client.no-warm-start", study=name)
        source_study(self.session.store, open_storage(self.settings.storage_url), NAMESPACE, name)

    def is_running(self, name: str) -> bool:
        """Whether a process runs the study at the moment, and is not about to leave it."""
        own = self._own(name)
        return not own.stopping if own else is_running(self.settings.data_dir, name)

    def start(self, name: str, *, metrics_port: int | None = None) -> None:
        """Run the study in this process, in the background, unless somebody runs it."""
        if not self.is_running(name):
            self._new(name, metrics_port).start()

    def follow(
        self, name: str, *, run: bool = True, metrics_port: int | None = None
    ) -> Generator[Moment, None, None]:
        """Yield what happens to the study until it has ended, running it unless somebody does, or `run` says not to.

        The first Ctrl-C lets the running trials write their checkpoints; a second one leaves at once.
        """
        from coref_k8s.local.session import interruptions

        session = self._existing(name)
        record, tail = session.store.get_study(NAMESPACE, name), BusTail(self.settings.bus)

        def events() -> list[dict[str, Any]]:
            return [one for one in tail.read() if not of_others(one, name, record.uid, record.created_at)]

        look = Look(lambda: self.get(name), events)
        own = self._own(name)
        if own is None and (not run or session.is_running(name)):
            yield from watched(look, lambda: self._goes_on(name) and session.is_running(name))
            if run and self._goes_on(name):  # whoever ran it has left it
                yield from self.follow(name, metrics_port=metrics_port)
            return
        running = own or self._new(name, metrics_port)
        with interruptions(running.stop):
            try:
                if own is None:
                    running.start()
                while running.alive:
                    yield look(problem=running.problem, stopping=running.stopping)
                    running.join(MOMENT_SECONDS)
                running.close()
                yield look(last=True, stopping=running.stopping)
            finally:
                running.leave()

    def _goes_on(self, name: str) -> bool:
        return not self.session.store.get_study(NAMESPACE, name).ended

    def _own(self, name: str) -> Running | None:
        """Return the run of a study by this process, if there is one."""
        found = _RUNNING.get((self.settings.data_dir, name))
        return found if found and found.alive else None

    def _new(self, name: str, metrics_port: int | None) -> Running:
        running = Running(self._existing(name), name, metrics_port)
        _RUNNING[self.settings.data_dir, name] = running
        return running

    def cancel(self, name: str) -> None:
        """End the study and wait until it has ended; does itself what no other process is there to do."""
        session = self._existing(name)
        session.cancel(name)
        while self._goes_on(name):
            sleep(_LOOK_SECONDS)

    def taken_up(self, name: str) -> Message:
        """Return nothing: whoever submits here runs it."""
        return NOTHING

    def resume(self, name: str) -> None:
        """Let a study that has ended go on; `follow` or `start` runs it. One that has not ended is left as it is."""
        from coref_k8s.client.fitting import check_gpus
        from coref_k8s.local.lock import controller_lock

        store = self._existing(name).store
        study = store.get_study(NAMESPACE, name)
        check_gpus(study)
        if study.ended:
            store.resume(NAMESPACE, name)
            return
        with controller_lock(self.settings.data_dir, name):  # raises when another process runs it
            pass

    def extend(self, name: str, changes: Mapping[str, Any], *, goes_on: bool) -> None:
        """Change the request; `goes_on` puts a study that has ended back to Pending, for `resume`."""
        store = self._existing(name).store
        record = store.get_study(NAMESPACE, name)
        store.update_spec(NAMESPACE, name, amended(record.spec, changes))
        if record.ended and goes_on:
            store.resume(NAMESPACE, name)

    def delete(self, name: str) -> None:
        """Remove the study with its trials, jobs, models and logs; prepared data stay for others."""
        if own := self._own(name):
            own.leave()
        self._existing(name).delete(name)


def prepared_folder(name: str, settings: Settings) -> Path:
    """Return the folder of prepared data by path, hash or study name. Raises NotFoundError."""
    from coref_k8s.corpus.show import find_prepared

    known = {study.name: study.prepared for study in LocalBackend(settings).studies()}
    if name not in known and settings.object_store and cluster_configured():
        with suppress(NotFoundError):
            known[name] = open_cluster(Where()).get(name).prepared
    if name not in known:
        Mirror(settings).fetch(name)
        return find_prepared(name, settings.data_dir)
    prepared = known[name]
    if prepared is None:
        raise NotFoundError("client.not-prepared", study=name)
    Mirror(settings).fetch(prepared)
    return settings.data_dir / prepared
