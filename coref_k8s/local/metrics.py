"""`/metrics` of a study on this machine: the study's series, and those that its running trials left in files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from coref_k8s.controller.measure import StudyMeter
from coref_k8s.controller.progress import Progress
from coref_k8s.controller.snapshot import unit_of
from coref_k8s.controller.web import Answer, Page, WebServer
from coref_k8s.errors import RequestError, reason
from coref_k8s.study.names import WITHOUT_GPU
from coref_k8s.study.paths import TrialFolder, work_folder
from coref_k8s.study.spec import StudySpec
from coref_k8s.telemetry.metrics import StudyMetrics


class TrialSeries:
    """A Prometheus collector over the files of the trials that run at the moment."""

    def __init__(self) -> None:
        self.files: tuple[Path, ...] = ()

    def collect(self) -> Iterator[Metric]:
        """Yield every family once, with the series of all trials; a file that is gone has none."""
        families: dict[str, Metric] = {}
        for file in self.files:
            try:
                text = file.read_text(encoding="utf-8")
            except OSError:
                continue
            for family in text_string_to_metric_families(text):
                known = families.setdefault(family.name, family)
                if known is not family:
                    known.samples.extend(family.samples)
        yield from families.values()


class LocalMetrics:
    """What the controller of this machine serves."""

    def __init__(self, data_dir: Path, spec: StudySpec) -> None:
        self.study = StudyMetrics()
        self._data_dir, self._spec = data_dir, spec
        self._meter = StudyMeter(self.study)
        self._trials = TrialSeries()
        self.study.registry.register(self._trials)

    def on_progress(self, progress: Progress) -> None:
        """Bring the series up to date."""
        self._meter.measure(progress)
        self._trials.files = tuple(
            TrialFolder(self._data_dir / work_folder(self._spec, one.job.study, *unit_of(one.job))).metrics
            for one in progress.running
            if one.job.kind not in WITHOUT_GPU
        )

    @contextmanager
    def serving(self, port: int) -> Iterator[WebServer]:
        """Serve while the block runs. Raises RequestError when the port is taken."""
        page: dict[str, Page] = {
            "/metrics": lambda _: Answer(
                generate_latest(self.study.registry), "text/plain; version=0.0.4; charset=utf-8"
            )
        }
        server = _server(port, page)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def check_port(port: int) -> None:
    """Raise RequestError when a port is taken: said before there is a study that could not be served."""
    _server(port, {}).close()


def _server(port: int, pages: dict[str, Page]) -> WebServer:
    try:
        return WebServer(port, pages, host="127.0.0.1")
    except OSError as error:
        raise RequestError("local.metrics-port", port=port, why=reason(error)) from error
