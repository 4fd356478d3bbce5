"""Studies on this machine, from submit to delete: store, processes and the loop put together."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from coref_k8s.controller.loop import POLL_SECONDS, StudyLoop, run_until_done
from coref_k8s.controller.progress import Progress
from coref_k8s.errors import StorageError
from coref_k8s.local.lock import controller_lock, is_running
from coref_k8s.local.processes import GRACE_SECONDS, TRIAL_COMMAND, ProcessRunner
from coref_k8s.objects import Mirror
from coref_k8s.search.storage import open_storage
from coref_k8s.search.studies import LengthStudy
from coref_k8s.search.trials import delete_trials
from coref_k8s.settings import Settings
from coref_k8s.store import Store, StudyRecord
from coref_k8s.study.paths import folders_of
from coref_k8s.study.spec import StudySpec
from coref_k8s.telemetry.bus import Bus

#: Studies of one machine have no namespace.
NAMESPACE = ""


@dataclass(frozen=True)
class RunResult:
    """How a run of the loop ended."""

    study: StudyRecord
    progress: Progress
    interrupted: bool
    """Left by Ctrl-C or SIGTERM; `resume` goes on."""


class LocalSession:
    """What the command line does with local studies."""

    def __init__(
        self,
        settings: Settings,
        *,
        command: Sequence[str] = TRIAL_COMMAND,
        grace: float = GRACE_SECONDS,
        **runner: Any,
    ) -> None:
        self.settings = settings
        self.store = Store(settings.storage_url)
        self._command = command
        self._grace = grace
        self._runner_options = runner

    def runner(self, gpus_per_job: int = 1, *, metrics: bool = False) -> ProcessRunner:
        """Return the runner of this data root; with `metrics` its trials write theirs to files."""
        wanted = {"COREF_METRICS_TEXTFILE": "1"} if metrics else {}
        return ProcessRunner(
            self.settings.data_dir,
            environment=self.settings.environment() | wanted,
            command=self._command,
            gpus_per_job=gpus_per_job,
            grace=self._grace,
            **self._runner_options,
        )

    def submit(self, name: str, spec: StudySpec) -> StudyRecord:
        """Add a study; `run` starts it. Raises RequestError when the name is taken."""
        return self.store.create_study(NAMESPACE, name, spec)

    def run(
        self,
        name: str,
        *,
        on_progress: Callable[[Progress], None] = lambda _: None,
        interrupted: threading.Event | None = None,
        resume: bool = False,
        metrics_port: int | None = None,
    ) -> RunResult:
        """Run a study until it is done or the user interrupts; what runs already is taken over, not repeated.

        `resume` puts an ended study back to Pending first. The first Ctrl-C (or SIGTERM) lets the running trials
        write their checkpoints; a second one leaves at once. Whoever gives `interrupted` sets it instead, and signals
        are left alone. With `metrics_port`, `/metrics` is served meanwhile. Raises RequestError when another process
        runs it or the port is taken, StorageError when its request is not all known here.
        """
        study = self.store.get_study(NAMESPACE, name)
        if why := study.not_understood:
            raise StorageError(why)
        left = interrupted or threading.Event()
        with (
            controller_lock(self.settings.data_dir, name),
            nullcontext() if interrupted else interruptions(left.set),
        ):
            if resume:
                self.store.resume(NAMESPACE, name)
            runner = self.runner(study.spec.pod.gpus, metrics=metrics_port is not None)
            with (
                Bus(self.settings.bus) as bus,
                self._metrics(metrics_port, study.spec, on_progress) as (progressed, on_ask),
            ):
                progress = run_until_done(
                    self._loop(name, runner, bus, on_ask),
                    wait=runner.wait,
                    interrupted=left.is_set,
                    on_progress=progressed,
                    poll=POLL_SECONDS,
                )
        return RunResult(self.store.get_study(NAMESPACE, name), progress, left.is_set())

    def cancel(self, name: str) -> StudyRecord:
        """End a study: its controller does it, or we do when it has none at the moment."""
        study = self.store.get_study(NAMESPACE, name)
        if study.ended:
            return study
        self.store.request_cancel(NAMESPACE, name)
        if not self.is_running(name):
            self.run(name)
        return self.store.get_study(NAMESPACE, name)

    def delete(self, name: str) -> None:
        """Remove a study with its trials, files and logs; the prepared data stay, others may use them.

        Raises RequestError while another process runs it, NotFoundError when there is no such study.
        """
        self.store.get_study(NAMESPACE, name)
        runner = self.runner()
        with controller_lock(self.settings.data_dir, name):
            # the database first: where it may only be read, all stays as it is
            delete_trials(open_storage(self.settings.storage_url), name, NAMESPACE)
            for job in runner.list(name):
                runner.remove(job)
            self.store.delete_study(NAMESPACE, name)
            for folder in folders_of(name):
                shutil.rmtree(self.settings.data_dir / folder, ignore_errors=True)
                Mirror(self.settings).delete(folder)

    def is_running(self, name: str) -> bool:
        """Whether a controller works on the study at this moment."""
        return is_running(self.settings.data_dir, name)

    @contextmanager
    def _metrics(
        self, port: int | None, spec: StudySpec, on_progress: Callable[[Progress], None]
    ) -> Iterator[tuple[Callable[[Progress], None], Callable[[float], None]]]:
        """Yield what wants to know of progress and of asks (seconds)."""
        if port is None:
            yield on_progress, lambda _seconds: None
            return
        # only here: most studies on one machine are not scraped
        from coref_k8s.local.metrics import LocalMetrics

        metrics = LocalMetrics(self.settings.data_dir, spec)

        def both(progress: Progress) -> None:
            metrics.on_progress(progress)
            on_progress(progress)

        with metrics.serving(port):
            yield both, metrics.study.ask_seconds.observe

    def _loop(self, name: str, runner: ProcessRunner, bus: Bus, on_ask: Callable[[float], None]) -> StudyLoop:
        storage = open_storage(self.settings.storage_url)

        def open_length(spec: StudySpec, study: str, seq_len: int, namespace: str) -> LengthStudy:
            return LengthStudy(storage, spec, study, seq_len, namespace, on_ask=on_ask)

        return StudyLoop(
            NAMESPACE,
            name,
            runner=runner,
            store=self.store,
            open_length=open_length,
            bus=bus,
            gpus_per_job=runner.gpus_per_job,
        )


@contextmanager
def interruptions(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first SIGINT or SIGTERM; the second does what it always did. In the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}

    def handle(number: int, _: object) -> None:
        signal.signal(number, before[number])
        stop()

    for number in (int(signal.SIGINT), int(signal.SIGTERM)):
        before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
