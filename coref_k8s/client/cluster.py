"""Studies in a cluster: a `CorefStudy` is what is created and changed, the controller answers what is asked.

A study's summary is in its resource. Its trials are in the controller's database, which nobody outside the
cluster reaches; the controller serves them, and the API server passes the question on (`services/proxy`), so the
kubeconfig that creates a study also reads it. See docs/decisions/008-results-through-the-api-server.md.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from coref_k8s import __version__
from coref_k8s.client.backend import DryRun
from coref_k8s.client.following import Look, Moment, watched
from coref_k8s.client.manifest import manifest
from coref_k8s.client.where import Where
from coref_k8s.cluster import names
from coref_k8s.cluster.admit import lost_fields, resume_token
from coref_k8s.cluster.api import ClusterApi
from coref_k8s.cluster.errors import AlreadyExists, ApiRefusal, Forbidden, Invalid, NotFound
from coref_k8s.cluster.leading import leader
from coref_k8s.cluster.resources import JOBS, STUDIES
from coref_k8s.cluster.summary import problem_of, record_of
from coref_k8s.controller.view import StudyView
from coref_k8s.errors import ClusterError, NotFoundError, RequestError
from coref_k8s.sizing.calibration import Calibration
from coref_k8s.store.records import StudyRecord
from coref_k8s.study.names import Kind
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording import NOTHING, Message

Json = dict[str, Any]

#: Pause between two looks at a study whose end is waited for (seconds).
_LOOK_SECONDS = 0.5
#: A controller that is at work has taken up what is asked of it by then (seconds).
_TAKEN_UP_WITHIN = 5.0
#: Longest time that the controller is given for what takes it longer, such as pods that write a checkpoint (seconds).
_DONE_WITHIN = 180.0
#: So long its resource may name a trouble before nobody waits on: most are over by then (seconds).
_TROUBLED_FOR = 20.0


class ClusterBackend:
    """The `Backend` of one namespace."""

    def __init__(self, namespace: str | None, context: str | None) -> None:
        self._namespace, self._context = namespace, context

    @cached_property
    def api(self) -> ClusterApi:
        """The connection; made when it is first needed."""
        options = {"namespace": self._namespace} if self._namespace else {}
        return ClusterApi.connect(self._context, field_manager="coref-k8s", **options)

    @property
    def place(self) -> Message:
        """Where it is, for people."""
        code = "client.namespace-of" if self._context else "client.namespace"
        return Message.of(code, namespace=self.api.namespace, context=self._context)

    @property
    def where(self) -> Where:
        """What names it."""
        return Where(namespace=self._namespace, context=self._context)

    @property
    def here(self) -> bool:
        """Whether it is this machine: it is not."""
        return False

    @property
    def root(self) -> str:
        """The shared volume, where pods see it."""
        return "/data/"

    def folder(self, relative: str) -> None:
        """Return None: only pods see the shared volume."""

    # -- writing -----------------------------------------------------------------------------------------

    def fit(self, spec: StudySpec) -> tuple[StudySpec, Message]:
        """Return the request as it is: its nodes are the cluster's to find."""
        return spec, NOTHING

    def check(self, spec: StudySpec) -> tuple[StudySpec, list[Message]]:
        """Return the request, with the folder of a study's model; what it names else is looked for in the cluster, not here."""
        from coref_k8s.client.checks import check_request
        from coref_k8s.client.expecting import warnings_of
        from coref_k8s.client.models import started

        spec = started(spec, self)
        return spec, check_request(spec) + warnings_of(
            spec, self._measured() if spec.limits.max_gpu_hours else (), here=False
        )

    def refuse(self, *, dry_run: DryRun | None, output: str | None, metrics_port: int | None) -> None:
        """Raise RequestError for what only this machine has."""
        if metrics_port is not None:
            raise RequestError("client.no-metrics-port")

    def submit(self, name: str, spec: StudySpec, *, dry_run: DryRun | None = None) -> Mapping[str, Any]:
        """Create the resource. Raises RequestError with the API server's words when it refuses."""
        resource = manifest(name, spec, self.api.namespace)
        if dry_run == "client":
            return resource
        try:
            created = self.api.create(STUDIES, resource, dry_run=dry_run == "server")
        except AlreadyExists as error:
            raise RequestError("client.name-taken", study=name, place=self.place) from error
        except Invalid as error:
            raise RequestError("client.refused", why=_words(error)) from error
        except NotFound as error:
            raise _not_installed(error) from error
        created.get("metadata", {}).pop("managedFields", None)
        return created

    def change(self, name: str, spec: Json, **annotations: str | None) -> Json:
        """Change fields of the request and annotations of our group; None takes one away."""
        found = {f"{names.GROUP}/{key}": value for key, value in annotations.items()}
        body: Json = {"metadata": {"annotations": found}} if found else {}
        if spec:
            body = {
                "metadata": {"annotations": {**found, names.VERSION_ANNOTATION: __version__}},
                "spec": spec,
            }
        try:
            return self.api.patch(STUDIES, name, body)
        except NotFound as error:
            raise self._unknown(name) from error
        except Invalid as error:
            raise RequestError("client.change-refused", why=_words(error)) from error

    def extend(self, name: str, changes: Mapping[str, Any], *, goes_on: bool) -> None:
        """Change the request; the controller goes on from there."""
        self.change(name, dict(changes), **(_go_on() if goes_on else {}))

    def cancel(self, name: str) -> None:
        """Ask for the end of the study and wait until it has ended.

        Raises ClusterError when there is no controller that would end it: what was asked stays asked.
        """
        self.change(name, {}, cancel="true")
        why = self._undone(name, lambda resource: record_of(resource).ended, _DONE_WITHIN)
        if why is not None:
            told = {"study": name, "why": why, "annotation": names.CANCEL_ANNOTATION}
            raise ClusterError("client.cancel-waits", **told)

    def taken_up(self, name: str) -> Message:
        """Return why what is asked of the study is not taken up, once that has lasted a few seconds; nothing when it is."""
        why = self._undone(name, _is_taken_up, _TAKEN_UP_WITHIN)
        return NOTHING if why is None else Message.of("client.not-yet-taken-up", study=name, why=why)

    def resume(self, name: str) -> None:
        """Let a study that has ended go on."""
        self.change(name, {}, **_go_on())

    def delete(self, name: str) -> None:
        """Delete the resource, with it the Jobs, and the study in the database."""
        resource = self._resource(name)
        # with the finalizer the resource waits until its study has left the database
        finalizers = resource["metadata"].get("finalizers", [])
        body: Json = {"metadata": {"annotations": {names.PURGE_ANNOTATION: "true"}}}
        if names.PURGE_FINALIZER not in finalizers:
            body["metadata"]["finalizers"] = [*finalizers, names.PURGE_FINALIZER]
        self.api.patch(STUDIES, name, body)
        uid = resource["metadata"]["uid"]
        with suppress(NotFound):
            self.api.delete(STUDIES, name, uid=uid)
        with suppress(NotFoundError):
            why = self._undone(name, lambda found: found["metadata"]["uid"] != uid, _DONE_WITHIN)
            if why is not None:
                raise ClusterError("client.delete-waits", study=name, why=why)

    # -- reading -----------------------------------------------------------------------------------------

    def studies(self) -> list[StudyRecord]:
        """Return all studies, oldest first."""
        try:
            found, _ = self.api.list(STUDIES)
        except NotFound as error:
            raise _not_installed(error) from error
        return sorted((record_of(one) for one in found), key=lambda record: record.created_at)

    def get(self, name: str, *, whole: bool = True) -> StudyView:
        """Return one study with its trials; before the controller has taken it up, and where it cannot read them, without."""
        resource = self._resource(name)
        address = (resource.get("status") or {}).get("results")
        if not address:
            return self._summary(resource)
        namespace, _, service = address.partition("/")
        try:
            page = f"api/v1/studies/{self.api.namespace}/{name}?{names.WITH_CODES}"
            data = self.api.proxied(service, page, namespace)
        except NotFound as error:
            if error.reason:  # the API server's: there is no such service
                raise _unanswered(address, error) from error
            return self._summary(resource)  # the controller's: it has not begun with this study
        except ClusterError as error:
            if not whole:
                return self._summary(resource)
            raise _unanswered(address, error) from error
        return replace(StudyView.from_json(data), problem=problem_of(resource))

    def is_running(self, name: str) -> bool:
        """Whether the study has not ended, or is to go on: the controller works on it."""
        resource = self._resource(name)
        followed = (resource.get("status") or {}).get("resumed") or ""
        return not record_of(resource).ended or resume_token(resource) != followed

    def logs(
        self, name: str, seq_len: int | None, number: int | None, *, follow: bool, kind: Kind = Kind.TRIAL
    ) -> Iterator[str]:
        """Return log lines of the pods of one trial or run, or of the study with the job's name before each line."""
        from coref_k8s.client.logs import log_lines
        from coref_k8s.cluster.podlogs import job_log

        self._resource(name)

        def log(job: str, goes_on: bool) -> Iterator[str]:
            with suppress(NotFoundError):  # removed since it was listed
                yield from job_log(self.api, self.api.namespace, job, follow=goes_on)

        return log_lines(
            name,
            lambda: self._jobs(name, seq_len, number, kind),
            log,
            follow=follow,
            ended=lambda: not self.is_running(name),
            one=number is not None,
            missing=NotFoundError("client.no-pods", study=name)
            if number is None
            else NotFoundError("client.pods-gone", which=kind.numbered(number), study=name),
        )

    def start(self, name: str, *, metrics_port: int | None = None) -> None:
        """Do nothing: the controller runs studies."""

    def follow(
        self, name: str, *, run: bool = True, metrics_port: int | None = None
    ) -> Generator[Moment, None, None]:
        """Yield what happens to the study until it has ended. Ctrl-C leaves it running."""
        return watched(Look(lambda: self.get(name), None), lambda: self.is_running(name))

    def _measured(self) -> list[Calibration]:
        try:
            return self.calibrations()
        except ClusterError:
            return []  # then times are estimated

    def calibrations(self) -> list[Calibration]:
        """Return what `calibrate --on cluster` has measured, newest first. Raises ClusterError without a controller."""
        from coref_k8s.client.calibrating_there import calibrations_there

        return calibrations_there(self.api)

    # -- inside ------------------------------------------------------------------------------------------

    def _resource(self, name: str) -> Json:
        try:
            return self.api.get(STUDIES, name)
        except NotFound as error:
            raise self._unknown(name) from error

    def _undone(self, name: str, done: Callable[[Json], bool], within: float) -> Message | None:
        """Wait for what the controller was asked for; return why it is not done in time, None once it is.

        Nobody waits long for a controller that is not there, nor for one that says what keeps it. Raises NotFoundError.
        """
        began, well = time.monotonic(), time.monotonic()
        before: Json | None = None
        while not done(resource := self._resource(name)):
            now, status = time.monotonic(), resource.get("status") or {}
            before = status if before is None else before
            problem = problem_of(resource)
            well = well if problem else now
            late = now - began > within
            if (late or (now - began > _TAKEN_UP_WITHIN and status == before)) and self._unattended():
                return Message.of("client.unattended", place=self.place)
            if problem and (late or now - well > _TROUBLED_FOR):
                return problem
            if late:
                return Message.of("client.not-yet-done", span=timedelta(seconds=within))
            time.sleep(_LOOK_SECONDS)
        return None

    def _unattended(self) -> bool:
        """Whether it is known that no controller works in this namespace."""
        try:
            found = leader(self.api)
        except ClusterError:
            return False  # who may not look does not know
        return found is None or not found.at_work

    def _unknown(self, name: str) -> NotFoundError | ClusterError:
        try:
            known = [one["metadata"]["name"] for one in self.api.list(STUDIES)[0]]
        except NotFound as error:
            return _not_installed(error)
        if near := difflib.get_close_matches(name, known, n=1):
            return NotFoundError("client.unknown-study-near", study=name, place=self.place, near=near[0])
        return NotFoundError("client.unknown-study", study=name, place=self.place)

    def _jobs(self, name: str, seq_len: int | None, number: int | None, kind: Kind) -> list[str]:
        wanted_labels = {names.STUDY_LABEL: name, names.SEQ_LEN_LABEL: seq_len, names.TRIAL_LABEL: number}
        selector = ",".join(f"{key}={value}" for key, value in wanted_labels.items() if value is not None)
        found, _ = self.api.list(JOBS, labels=selector)
        found.sort(key=lambda job: (job["metadata"]["creationTimestamp"], job["metadata"]["name"]))
        # runs of finalists have numbers of their own
        kinds = {one.value for one in (Kind if number is None else (kind,))}
        return [
            job["metadata"]["name"]
            for job in found
            if job["metadata"]["labels"].get(names.KIND_LABEL, Kind.TRIAL.value) in kinds
        ]

    def _summary(self, resource: Json) -> StudyView:
        record = record_of(resource)
        message = record.message if resource.get("status") else Message.of("client.not-taken-up")
        lost = lost_fields(resource)
        trouble = record.not_understood or (Message.of("cluster.lost", fields=lost) if lost else NOTHING)
        known = {"spec": record.spec, "not_understood": trouble, "problem": problem_of(resource)}
        return StudyView.like(record, message=message, **known)


def _is_taken_up(resource: Json) -> bool:
    """Whether the controller has told of the request as it is now."""
    metadata, status = resource["metadata"], resource.get("status") or {}
    seen = status.get("observedGeneration") == metadata.get("generation")
    return seen and (status.get("resumed") or "") == resume_token(resource)


def _go_on() -> dict[str, str | None]:
    """Return the annotations with which a study that has ended goes on."""
    return {"cancel": None, "resume": datetime.now(UTC).isoformat(timespec="seconds")}


def _words(error: ApiRefusal) -> str:
    text = str(error).partition("is invalid: ")[2] or str(error)
    return text.replace("<nil>: Invalid value: ", "").replace("Invalid value: ", "")


def _not_installed(error: NotFound) -> ClusterError:
    if error.reason:  # an unknown kind has none: it is the namespace that is missing
        return ClusterError("client.no-namespace", error=error.message)
    return ClusterError("client.not-installed", error=error.message)


def _unanswered(address: str, error: ClusterError) -> ClusterError:
    if isinstance(error, Forbidden):
        return ClusterError("client.may-not-read", service=address)
    return ClusterError("client.no-answer", service=address, error=error.message)
