"""`Backend`: what can be done with studies in one place, a cluster or this machine."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from coref_k8s.client.following import Moment
from coref_k8s.client.where import Where
from coref_k8s.controller.view import StudyView
from coref_k8s.store.records import StudyRecord
from coref_k8s.study.names import Kind
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import Message

DryRun = Literal["client", "server"]


class Backend(Protocol):
    """The studies of one place. Methods that name a study raise NotFoundError for one that is not there."""

    @property
    def where(self) -> Where:
        """What names this place; empty when it is found without."""
        ...

    @property
    def place(self) -> Message:
        """What people call it: `this machine`, or `namespace x of context`."""
        ...

    @property
    def here(self) -> bool:
        """Whether it is this machine."""
        ...

    @property
    def root(self) -> str:
        """What paths below the data folder begin with when they are shown, ending in `/`."""
        ...

    def folder(self, relative: str) -> Path | None:
        """Return a folder below the data folder, where this process can read it; None where it cannot."""
        ...

    def refuse(self, *, dry_run: DryRun | None, output: str | None, metrics_port: int | None) -> None:
        """Raise RequestError for what is asked and cannot be had in this place."""
        ...

    def fit(self, spec: StudySpec) -> tuple[StudySpec, Message]:
        """Return the request as this place can run it, and what was found and chosen; empty where the request decides.

        Raises RequestError for GPUs that are not there, SizingError when not even one trial fits.
        """
        ...

    def check(self, spec: StudySpec) -> tuple[StudySpec, list[Message]]:
        """Return the request as it will run here, with warnings. Raises a CorefError for what cannot work."""
        ...

    def submit(self, name: str, spec: StudySpec, *, dry_run: DryRun | None = None) -> Mapping[str, Any]:
        """Create a study and return its resource. Raises RequestError when the name is taken."""
        ...

    def studies(self) -> list[StudyRecord]:
        """Return all studies, oldest first."""
        ...

    def get(self, name: str, *, whole: bool = True) -> StudyView:
        """Return one study with its trials; without them where they cannot be read now and it need not be `whole`."""
        ...

    def logs(
        self, name: str, seq_len: int | None, number: int | None, *, follow: bool, kind: Kind = Kind.TRIAL
    ) -> Iterator[str]:
        """Yield log lines of one trial, or run of a finalist, or of the whole study with the job's name before each line."""
        ...

    def is_running(self, name: str) -> bool:
        """Whether somebody works on the study at the moment."""
        ...

    def start(self, name: str, *, metrics_port: int | None = None) -> None:
        """See to it that somebody works on the study; does nothing where a controller does anyway."""
        ...

    def follow(
        self, name: str, *, run: bool = True, metrics_port: int | None = None
    ) -> Generator[Moment, None, None]:
        """Yield what happens to a study, about once a second, until it has ended.

        With `run` a study that nobody works on is run meanwhile; leaving the iteration, or Ctrl-C, stops that
        so that `resume` goes on with it. Prometheus metrics are served on `metrics_port` as long.
        """
        ...

    def cancel(self, name: str) -> None:
        """End the study and wait until it has ended. Raises ClusterError when it does not end in time, which says why."""
        ...

    def taken_up(self, name: str) -> Message:
        """Return why what is asked of a study is not taken up yet; nothing when it is."""
        ...

    def resume(self, name: str) -> None:
        """Let a study that has ended go on. Raises RequestError when another process runs it."""
        ...

    def extend(self, name: str, changes: Mapping[str, Any], *, goes_on: bool) -> None:
        """Change these fields of the request (camelCase, as in the resource); `goes_on` lets an ended study go on."""
        ...

    def delete(self, name: str) -> None:
        """End the study and remove everything of it."""
        ...
