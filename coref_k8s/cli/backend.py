"""Where studies live: on this machine or in a cluster. Every command speaks to a `Backend` and need not know.

A named study is looked for on this machine first, then in the cluster, unless an option says where.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from coref_k8s.cli.expanding import expand
from coref_k8s.cli.strings import Lang
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import ClusterError, NotFoundError, RequestError
from coref_k8s.store.records import StudyRecord
from coref_k8s.study.spec import StudySpec

#: Module of the cluster's backend: `ClusterBackend(namespace, context)`.
_CLUSTER = "coref_k8s.cli.cluster_backend"


class Backend(Protocol):
    """What commands need of the place where studies live. Methods raise NotFoundError for an unknown study."""

    @property
    def place(self) -> str:
        """Where it is, for people: `this machine`, or `namespace/context`."""
        ...

    @property
    def options(self) -> str:
        """The options that name it, to be typed after a command; empty when it is found without, else ` -n x`."""
        ...

    @property
    def root(self) -> str:
        """What paths below the data folder begin with when they are shown, ending in `/`."""
        ...

    def create(self, name: str, spec: StudySpec) -> None:
        """Create a study; RequestError when the name is taken."""
        ...

    def studies(self) -> list[StudyRecord]:
        """Return all studies, oldest first."""
        ...

    def view(self, name: str) -> StudyView:
        """Return one study with its trials."""
        ...

    def logs(self, name: str, seq_len: int | None, trial: int | None, *, follow: bool) -> Iterator[str]:
        """Yield log lines of one trial, or of the whole study with the job's name before each line."""
        ...

    def check(self, spec: StudySpec) -> tuple[StudySpec, list[str]]:
        """Return the request as it will run here, with warnings; raise a CorefError for what cannot work."""
        ...

    @property
    def in_foreground(self) -> bool:
        """Whether a study runs only as long as somebody follows it."""
        ...

    def follow(self, name: str, *, lang: Lang, metrics_port: int | None = None) -> StudyView:
        """Show the study until it ends (or Ctrl-C, then it is not ended); where it runs in the foreground, run it.

        `metrics_port` serves Prometheus metrics meanwhile, where the study runs in the foreground.
        """
        ...

    def cancel(self, name: str) -> None:
        """End the study and wait until it has ended."""
        ...

    def resume(self, name: str) -> None:
        """Let a study that has ended go on; one that has not is left as it is."""
        ...

    def extend(self, name: str, changed: dict[str, Any], *, goes_on: bool) -> None:
        """Change these fields of the request (camelCase, as in the resource); `goes_on` lets an ended study go on."""
        ...

    def delete(self, name: str) -> None:
        """End the study and remove everything of it."""
        ...

    def is_running(self, name: str) -> bool:
        """Whether somebody works on the study at the moment."""
        ...


@dataclass(frozen=True)
class Where:
    """The options that say where a study lives."""

    local: bool = False
    data_dir: Path | None = None
    storage: str | None = None
    namespace: str | None = None
    context: str | None = None

    def check(self) -> None:
        """Raise RequestError for options that contradict each other."""
        here = {"--local": self.local, "--data-dir": self.data_dir, "--storage": self.storage}
        there = {"--namespace": self.namespace, "--context": self.context}
        for one, given in here.items():
            for other, too in there.items():
                if given and too:
                    raise RequestError(f"{one} and {other} contradict each other; keep one")

    @property
    def here(self) -> bool:
        """Whether the options speak of this machine."""
        return bool(self.local or self.data_dir or self.storage)

    @property
    def there(self) -> bool:
        """Whether the options speak of a cluster."""
        return bool(self.namespace or self.context)


Study = Annotated[str, typer.Argument(metavar="NAME", help="Study name.", show_default=False)]
Local = Annotated[
    bool,
    typer.Option("--local", help="On this machine, with processes instead of pods.", rich_help_panel="Where"),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="FOLDER",
        help="Folder of database, data, models and logs on this machine (default data, or COREF_DATA_DIR).",
        rich_help_panel="Where",
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        help="Database of a local study, such as postgresql+psycopg2://user@host/name "
        "(default coref.db in the data folder, or COREF_STORAGE_URL).",
        rich_help_panel="Where",
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAME",
        help="Namespace in the cluster (default that of the context).",
        rich_help_panel="Where",
    ),
]
Context = Annotated[
    str | None,
    typer.Option("--context", metavar="NAME", help="Context of the kubeconfig.", rich_help_panel="Where"),
]


_OPTIONS = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    for name, default, annotation in (
        ("local", False, Local),
        ("data_dir", None, DataDir),
        ("storage", None, Storage),
        ("namespace", None, Namespace),
        ("context", None, Context),
    )
]


def placed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say where a study lives; it receives them as `where`."""
    return expand(function, "where", _OPTIONS, lambda values: Where(**values))


def cluster_configured() -> bool:
    """Whether a kubeconfig or a service account says where a cluster is; asks nobody."""
    named = os.environ.get("KUBECONFIG")
    files = named.split(os.pathsep) if named else [str(Path.home() / ".kube" / "config")]
    return any(Path(file).is_file() for file in files if file) or "KUBERNETES_SERVICE_HOST" in os.environ


def open_cluster(where: Where) -> Backend:
    """Return the cluster's backend. Raises ClusterError when none is configured."""
    if not cluster_configured():
        named = os.environ.get("KUBECONFIG")
        why = f": KUBECONFIG names {named}, which is not there" if named else ""
        raise ClusterError(
            f"no Kubernetes cluster is configured here{why}; set KUBECONFIG, or run on this machine with --local"
        )
    if find_spec(_CLUSTER) is None:
        raise ClusterError("this version cannot talk to a cluster yet; run on this machine with --local")
    backend: Backend = import_module(_CLUSTER).ClusterBackend(where.namespace, where.context)
    return backend


def open_local(where: Where) -> Backend:
    """Return this machine's backend."""
    from coref_k8s.cli.local_backend import LocalBackend

    return LocalBackend.open(data_dir=where.data_dir, storage=where.storage)


def open_place(where: Where) -> Backend:
    """Return the place for something new: this machine when the options say so, else the cluster."""
    where.check()
    return open_local(where) if where.here else open_cluster(where)


def open_backends(where: Where) -> list[Backend]:
    """Return every place that the options leave open: this machine first, then a configured cluster.

    Raises RequestError for contradicting options, ClusterError when a cluster is asked for and there is none.
    """
    where.check()
    if where.there:
        return [open_cluster(where)]
    places = [open_local(where)]
    if not where.here and cluster_configured() and find_spec(_CLUSTER) is not None:
        places.append(open_cluster(where))
    return places


def find_study(where: Where, name: str) -> tuple[Backend, StudyView]:
    """Return a study and the place where it is. Raises NotFoundError when it is in none of them."""
    missing: NotFoundError | None = None
    for backend in open_backends(where):
        try:
            return backend, backend.view(name)
        except NotFoundError as error:
            missing = missing or error
    assert missing is not None
    raise missing
