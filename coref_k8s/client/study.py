"""A study and a list of studies as Python objects: what notebooks and scripts work with."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coref_k8s.client.arguments import check_lang, check_type
from coref_k8s.client.checks import is_remark
from coref_k8s.client.html import problem_html, studies_html, study_html
from coref_k8s.client.results import COLUMNS, best_trials, length_of, one_of, trial_rows, with_result
from coref_k8s.client.where import Where, find_in, open_backends
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import CorefError, NotFoundError, RequestError
from coref_k8s.store.records import Phase, StudyRecord
from coref_k8s.study.reading import validated_name
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import Lang, locale_lang

if TYPE_CHECKING:
    from coref_k8s.client.backend import Backend

#: What is told of a study: `section` (such as `trial_begin`, `eval_stream`, `trial_end`), `ts` (UTC), `study`, then
#: what the section has (docs/trial.md).
Event = Mapping[str, Any]


class Study:
    """One study, wherever it runs. Everything is read anew when it is asked for.

    Methods raise NotFoundError once the study is deleted, and StorageError or ClusterError when its place is away.
    """

    def __init__(self, backend: Backend, name: str) -> None:
        self._backend = backend
        self.name = name

    @property
    def view(self) -> StudyView:
        """Everything that is known of it at the moment: request, phase, trials, attempts, verdicts."""
        return self._backend.get(self.name)

    @property
    def spec(self) -> StudySpec:
        """The request."""
        return self.view.spec

    @property
    def phase(self) -> str:
        """Pending, Preparing, Running, Succeeded, Failed or Cancelled."""
        return self.view.phase.value

    @property
    def message(self) -> str:
        """Why it is in its phase, as one English sentence; may be empty."""
        return str(self.view.message)

    @property
    def is_running(self) -> bool:
        """Whether somebody works on it: the controller of a cluster, or a process on this machine."""
        return self._backend.is_running(self.name)

    def wait(self, on_event: Callable[[Event], None] | None = None) -> Study:
        """Follow it until it has ended, and return it; `on_event` is called with each event as it comes.

        On this machine the study is run meanwhile where nobody runs it. Ctrl-C (in a notebook: interrupt the kernel)
        lets the running trials write their checkpoints and raises KeyboardInterrupt; `resume` goes on. A study in a
        cluster goes on without being followed.
        """
        with closing(self.events()) as events:
            for event in events:
                if on_event is not None:
                    on_event(event)
        return self

    def events(self) -> Generator[Event, None, None]:
        """Yield its events, those of before first, until it has ended; what is said of `wait` holds here too."""
        stopping = False
        with closing(self._backend.follow(self.name)) as moments:
            for moment in moments:
                stopping = moment.stopping
                yield from (event for event in moment.events if event.get("study") == self.name)
        if stopping:
            raise KeyboardInterrupt

    def trials(self, *, runs: bool = False) -> Any:
        """Return every trial, best first by length: a pandas DataFrame where pandas is there, else a list of dicts.

        Columns are `seq_len` (tokens), `trial`, `state`, `score` and the other metrics, `param_…`, `seconds` and
        `reason`. With `runs` the runs of finalists follow, with `run`, `role`, `of_trial` and `seed`.
        """
        rows = [
            {key: value for key, value in row.items() if key != "study"}
            for row in trial_rows([self.view])
            if runs or "run" not in row
        ]
        try:
            import pandas
        except ImportError:
            return rows
        return pandas.DataFrame(rows, columns=None if rows else COLUMNS)

    def best(self, seq_len: int | None = None) -> dict[str, Any]:
        """Return the best trial of a length (tokens): `trial`, `params`, `folder`, `dev`, and `test` where it is known.

        `dev` and `test` have `score`, `runs` (how many it is the mean of), `ci_low`, `ci_high` and `metrics`.
        With finalists it is the one that they have confirmed. Raises NotFoundError while no trial is complete,
        RequestError for a length that the study does not tune, and without `seq_len` when it tunes several.
        """
        view = with_result(self.view, seq_len)
        if len(view.spec.seq_lengths) > 1:
            raise RequestError(
                "client.which-length", study=self.name, lengths=list(view.spec.seq_lengths), option="seq_len"
            )
        (found,) = best_trials(view)["lengths"].values()
        return {**found, "folder": f"{self._backend.root}{found['folder']}"}

    def report(self, path: str | Path | None = None, *, lang: Lang | None = None) -> Path:
        """Write it as one HTML file that works offline (default NAME.html); return the path.

        `lang` is `en` or `ko`, by default that of the locale. Raises RequestError when the file cannot be written.
        """
        from coref_k8s.client.reporting import write_report

        file = Path(path or f"{self.name}.html")
        write_report(self._backend, self.view, file, check_lang(lang))
        return file

    def logs(
        self,
        *,
        seq_len: int | None = None,
        trial: int | None = None,
        run: int | None = None,
        follow: bool = False,
    ) -> Iterator[str]:
        """Yield the lines of its log, of one trial's, or of one `run`'s of its finalists; with `follow` those to come.

        A line is an event as JSON, or what a library has printed; lines of several jobs have the job's name in front.
        Raises RequestError for a number that several lengths have, unless `seq_len` (tokens) says which one, and for a
        trial and a run at once.
        """
        kind, number = one_of(trial, run)
        if number is not None and seq_len is None:
            seq_len = length_of(self.view, kind, number)
        return self._backend.logs(self.name, seq_len, number, follow=follow, kind=kind)

    def cancel(self) -> Study:
        """End it and return when it has ended; what is finished stays. Raises RequestError when it has ended."""
        view = self._backend.get(self.name, whole=False)
        if view.ended:
            raise RequestError("client.ended-already", study=self.name, phase=view.phase.value)
        self._backend.cancel(self.name)
        return self

    def resume(self) -> Study:
        """Go on with it after it was interrupted, cancelled or has failed; finished trials are kept.

        On this machine it runs in the background of this process. Raises RequestError when it has succeeded, or
        another process runs it.
        """
        check_resumable(self._backend.get(self.name, whole=False))
        self._backend.resume(self.name)
        self._backend.start(self.name)
        return self

    def extend(
        self,
        *,
        trials: int | str | None = None,
        budget: float | None = None,
        parallelism: int | None = None,
        finalists: int | None = None,
        finalist_seeds: int | None = None,
        patience: int | None = None,
        min_gain: float | None = None,
        max_gpu_hours: float | None = None,
        max_duration: float | None = None,
    ) -> Study:
        """Give it more trials (a number per length, or `+10` for ten more), finalists, time (seconds, GPU-hours) or patience.

        One that has ended goes on with what is new. Raises RequestError for what cannot be given or changes nothing.
        """
        from coref_k8s.client.extending import extension

        given = {name: value for name, value in locals().items() if name not in ("self", "extension")}
        found = extension(self.view, given)
        self._backend.extend(self.name, found.changes, goes_on=found.goes_on)
        if found.goes_on:
            self._backend.start(self.name)
        return self

    def delete(self) -> None:
        """End it and remove it with its trials, models and logs; prepared data stay for others.

        Raises RequestError while another process of this machine runs it.
        """
        self._backend.delete(self.name)

    def export(self, path: str | Path | None = None) -> Path:
        """Write it to one file (default NAME.study), which another database takes in; return the path."""
        from coref_k8s.client.moving import write_whole
        from coref_k8s.controller.portable import to_file

        file = Path(path or f"{self.name}.study")
        write_whole(file, to_file(self.view))
        return file

    def train(
        self,
        *,
        seq_len: int | None = None,
        trial: int | None = None,
        train_limit: int | str | None = None,
        name: str | None = None,
    ) -> Study:
        """Train the final model with the parameters of the best trial (or of `trial`), as a study of its own.

        `train_limit` is the most training chunks, `none` for all. Raises RequestError, NotFoundError.
        """
        from coref_k8s.client.deriving import final_training

        made = final_training(self.view, seq_len=seq_len, trial=trial, train_limit=train_limit)
        return submitted(self._backend, made.checked_name(name), made.spec)

    def ensemble(self, top: int = 3, *, seq_len: int | None = None, name: str | None = None) -> Study:
        """Join the models of the best `top` trials of a length (tokens), as a study of its own. Raises RequestError."""
        from coref_k8s.client.deriving import ensemble_of

        made = ensemble_of(self.view, top, seq_len=seq_len)
        return submitted(self._backend, made.checked_name(name), made.spec)

    def __repr__(self) -> str:
        return f"<study {self.name} on {self._backend.place}>"

    def _repr_html_(self) -> str:
        try:
            return study_html(self.view, self._backend.place.say(locale_lang()), locale_lang())
        except CorefError as error:
            return problem_html(error, locale_lang())


class Studies:
    """The studies of a cluster, of this machine, or of both, oldest first."""

    def __init__(self, places: Sequence[Backend], new: Backend) -> None:
        self._places = places
        self._new = new

    def submit(self, name: str | None, spec: StudySpec) -> Study:
        """Start a study and return it at once: prepare data, run trials, find the best.

        On this machine it runs in the background of this process, with its trials as processes; when this process
        ends, they write their checkpoints and `resume` goes on. Without a name one is made up. What will not work
        as asked is a Python warning. Raises RequestError for a name that is taken and for a request that cannot
        work, SizingError when no batch fits the GPU, ModelError or DataError for what is not there.
        """
        check_type("spec", spec, StudySpec)
        return submitted(self._new, validated_name(name) if name else made_up_name(), spec)

    def dry_run(self, name: str, spec: StudySpec) -> Mapping[str, Any]:
        """Return the CorefStudy resource that `submit` would create, checked by the cluster's API server.

        Raises RequestError on this machine, and when the cluster would refuse it.
        """
        check_type("spec", spec, StudySpec)
        return self._new.submit(validated_name(name), spec, dry_run="server")

    def plan(self, spec: StudySpec) -> dict[str, Any]:
        """Return what a study would do: batch, memory (GB), pod and search space of every length; asks nobody."""
        from coref_k8s.client.planning import as_data, plan_study

        check_type("spec", spec, StudySpec)
        return as_data(spec, plan_study(spec))

    def get(self, name: str) -> Study:
        """Return a study by its name. Raises NotFoundError, which names the closest one."""
        backend, _ = find_in(self._places, name)
        return Study(backend, name)

    __getitem__ = get

    def __contains__(self, name: object) -> bool:
        try:
            find_in(self._places, str(name.name if isinstance(name, Study) else name))
        except NotFoundError:
            return False
        return True

    def __iter__(self) -> Iterator[Study]:
        return (Study(backend, record.name) for record, backend in self._records())

    def __len__(self) -> int:
        return len(self._records())

    def list(self) -> Sequence[Study]:
        """Return all studies, oldest first."""
        return list(self)

    def _records(self) -> Sequence[tuple[StudyRecord, Backend]]:
        found = [(record, backend) for backend in self._places for record in backend.studies()]
        return sorted(found, key=lambda pair: pair[0].created_at)

    def __repr__(self) -> str:
        return f"<studies on {' and '.join(str(backend.place) for backend in self._places)}>"

    def _repr_html_(self) -> str:
        try:
            found = [(record, backend.place.say(locale_lang())) for record, backend in self._records()]
        except CorefError as error:
            return problem_html(error, locale_lang())
        return studies_html(found, locale_lang())


def connect(
    namespace: str | None = None,
    *,
    context: str | None = None,
    data_dir: str | Path | None = None,
    storage: str | None = None,
    local: bool = False,
) -> Studies:
    """Return the studies of a cluster (`namespace`, `context` of the kubeconfig) or of this machine.

    `data_dir` is the folder of database, models and logs on this machine, `storage` the SQLAlchemy URL of another
    database; `local` takes their defaults. Without any of them studies are found on this machine and in the cluster
    that the kubeconfig names, and new ones run in the cluster, on this machine where there is none. Nothing is
    asked or created yet. Raises RequestError for a cluster and this machine at once, ClusterError when a cluster is
    asked for and none is configured.
    """
    check_type("data_dir", data_dir, str, PathLike, None)
    for argument, value in (("namespace", namespace), ("context", context), ("storage", storage)):
        check_type(argument, value, str, None)
    where = Where(local, Path(data_dir) if data_dir else None, storage, namespace, context)
    where.check()
    places = open_backends(where)
    return Studies(places, places[-1])


def submitted(backend: Backend, name: str, spec: StudySpec) -> Study:
    """Check a request, create its study and see to it that it runs; return it."""
    spec, found = backend.check(backend.fit(spec)[0])
    for message in found:
        if not is_remark(message):
            warnings.warn(str(message), stacklevel=3)
    backend.submit(name, spec)
    backend.start(name)
    return Study(backend, name)


def check_resumable(view: StudyView) -> None:
    """Raise RequestError for a study that has nothing left to do."""
    if view.phase is Phase.SUCCEEDED:
        raise RequestError("client.succeeded-already", study=view.name)


def made_up_name(now: datetime | None = None) -> str:
    """Return a readable study name that is most likely free, such as `coref-20261122-1f3a`."""
    return f"coref-{now or datetime.now(UTC):%Y%m%d}-{secrets.token_hex(2)}"
