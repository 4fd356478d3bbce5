"""From a custom resource to a study and back: one look at one `CorefStudy`.

admit (what does the resource ask for?), step (the loop that local studies have too), publish (status, events).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from coref_k8s.cluster import names
from coref_k8s.cluster.admit import Decision, annotation, decide, lost_fields, settled, wanted
from coref_k8s.cluster.admit import Step as AdmitStep
from coref_k8s.cluster.api import ClusterApi
from coref_k8s.cluster.database import Database
from coref_k8s.cluster.errors import Conflict, NotFound
from coref_k8s.cluster.lease import LeaseLostError
from coref_k8s.cluster.publish import Publisher
from coref_k8s.cluster.reflector import Reflector
from coref_k8s.cluster.resources import STUDIES
from coref_k8s.cluster.runner import ClusterRunner
from coref_k8s.cluster.status import ConditionReason
from coref_k8s.cluster.study_status import (
    Trouble,
    awaited,
    event_of,
    is_degraded,
    lost_trouble,
    not_ours,
    refused_status,
    study_status,
    trouble_in,
    waiting_status,
)
from coref_k8s.controller.actions import Action
from coref_k8s.controller.apply import FencedError
from coref_k8s.controller.loop import Step, StudyLoop, StudyLoops
from coref_k8s.controller.measure import StudyMeter
from coref_k8s.controller.turn import Turn
from coref_k8s.controller.workqueue import Key
from coref_k8s.errors import ClusterError, NotFoundError, RequestError
from coref_k8s.store import Phase, StudyRecord
from coref_k8s.study.spec import StudySpec
from coref_k8s.telemetry.bus import Bus, utc_now
from coref_k8s.telemetry.metrics import ControllerMetrics
from coref_k8s.wording import NOTHING, Message

Json = dict[str, Any]
log = logging.getLogger(__name__)

#: A round that did something is followed by another soon, so that the status shows what came of it (seconds).
SOON = 0.5
#: While pods do not run and nobody has said why, the study is looked at so often (seconds).
UNSURE = 10.0
DELETED = Message.of("controller.resource-deleted")


class StudyReconciler:
    """Reconciles by key, as `controller.workqueue.work` wants it. A key is worked on by one thread at a time."""

    def __init__(
        self,
        api: ClusterApi,
        database: Database,
        studies: Reflector,
        *,
        runner: Callable[[str], ClusterRunner],
        publisher: Publisher,
        may_write: Callable[[], bool],
        bus: Bus,
        metrics: ControllerMetrics,
        results: str | None = None,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        resync: float = 10.0,
    ) -> None:
        self._api, self._database, self._studies = api, database, studies
        self._runner, self._publisher, self._may_write = runner, publisher, may_write
        self._bus, self._metrics, self._results = bus, metrics, results
        self._clock, self._monotonic = clock, monotonic
        self._meter = StudyMeter(metrics)
        self._steps: dict[Key, Step] = {}
        self._loops = StudyLoops(self._make_loop, resync=resync, on_step=self._steps.__setitem__)
        self._uids: dict[Key, str] = {}

    def reconcile(self, key: Key) -> float | None:
        """Do what is to be done; return when to look again (seconds), None for when something happens."""
        if not self._may_write():
            return None  # when this controller leads again, it looks at everything
        turn = Turn(self._monotonic)
        try:
            after = self._reconcile(key, turn)
        except (LeaseLostError, FencedError):
            return None
        finally:
            self._metrics.reconcile_seconds.observe(turn.seconds)
        return SOON if turn.left_off else after

    def pause(self, key: Key) -> float:
        """Return how long to wait after a failure (seconds)."""
        return self._loops.pause(key)

    def forget_all(self) -> None:
        """Drop everything remembered, as a controller must that has lost its lease."""
        self._loops.forget_all()
        self._publisher.forget_all()
        self._meter.forget_all()
        self._steps.clear()

    # -- one look ----------------------------------------------------------------------------------------

    def _reconcile(self, key: Key, turn: Turn) -> float | None:
        resource = self._studies.get(key)
        if resource is None:
            self._gone(key)
            return None
        leaves = bool(resource["metadata"].get("deletionTimestamp"))
        if not leaves:
            self._uids[key] = resource["metadata"]["uid"]
        try:
            return self._leave(key, resource, turn) if leaves else self._look(key, resource, turn)
        except (LeaseLostError, FencedError, Conflict):
            raise  # another controller's turn, or another look's
        except Exception as error:
            # whatever it is: a study that does not go on says why
            with suppress(ClusterError):
                self._tell(key, resource, trouble_in(error))
            raise

    def _look(self, key: Key, resource: Json, turn: Turn) -> float | None:
        self._keep_finalizer(key, resource)
        try:
            spec = wanted(resource)
        except RequestError as error:
            if (trouble := not_ours(resource, error)) is not None:
                return self._wait(resource, trouble)
            return self._refuse(resource, ConditionReason.INVALID, error.message)
        known = self._record(key)
        if known is not None and (why := known.not_understood):
            return self._wait(resource, Trouble(ConditionReason.VERSION, why))
        if known is None and (fields := lost_fields(resource)):
            # a status would be the write that loses them for good
            self._publisher.warn(resource, lost_trouble(fields))
            return None
        record, refusal = self._admit(key, settled(spec, resource, known), resource, known)
        if record is None:
            return self._refuse(resource, ConditionReason.CONFLICT, refusal)
        return self._advance(key, resource, record, turn)

    def _tell(self, key: Key, resource: Json, trouble: Trouble) -> None:
        """Publish what keeps a study from going on, beside how far it is where the round came so far."""
        step = self._steps.pop(key, None)
        if step is None:
            self._wait(resource, trouble)
            return
        status = study_status(resource, step.progress, results=self._results, trouble=trouble)
        self._publisher.status(resource, status)

    def _admit(
        self, key: Key, spec: StudySpec, resource: Json, record: StudyRecord | None
    ) -> tuple[StudyRecord | None, Message]:
        """Bring the database's study to what the resource asks for; None and a reason when it cannot be."""
        store = self._database.store()
        decision: Decision = decide(spec, resource, record)
        for step in decision.steps:
            match step:
                case AdmitStep.REFUSE:
                    return None, decision.message
                case AdmitStep.CREATE:
                    try:
                        self._database.check_source(key.namespace, spec)
                    except RequestError as error:
                        return None, error.message
                    store.create_study(key.namespace, key.name, spec)
                case AdmitStep.UPDATE:
                    store.update_spec(key.namespace, key.name, spec)
                case AdmitStep.RESUME:
                    store.resume(key.namespace, key.name)
                    self._loops.forget(key)
                case AdmitStep.CANCEL:
                    store.request_cancel(key.namespace, key.name)
            log.info("study %s: %s", key.name, step.value)
        if decision.steps or record is None:
            record = store.get_study(key.namespace, key.name)
        return record, NOTHING

    def _advance(self, key: Key, resource: Json, record: StudyRecord, turn: Turn) -> float | None:
        runner = self._runner(key.namespace)
        told = self._publisher.last(resource)
        over = record.ended and told.get("phase") == record.phase.value and not runner.list(key.name)
        over = over and not is_degraded(told)  # what kept a look from being done is to leave the status again
        if over and told.get("observedGeneration") == resource["metadata"].get("generation"):
            return None
        runner.note_disruptions(key.name, turn)
        after = self._loops.reconcile(key, turn)
        step = self._steps.pop(key, None)
        if step is None:
            return after
        status = study_status(resource, step.progress, results=self._results)
        self._meter.measure(step.progress)
        early = self._publisher.status(resource, status)
        # what does not run yet may have a reason soon, and nothing else tells
        unsure = UNSURE if awaited(step.progress) and not is_degraded(status) else None
        soon = SOON if step.actions else None
        waits = [seconds for seconds in (after, early, unsure, soon) if seconds is not None]
        return min(waits, default=None)

    def _note(self, key: Key, action: Action, before: Phase) -> None:
        resource = self._studies.get(key)
        if resource is not None and (note := event_of(action, before)) is not None:
            self._publisher.event(resource, note, self._clock())

    def _wait(self, resource: Json, trouble: Trouble) -> float | None:
        return self._publisher.status(resource, waiting_status(resource, trouble, self._clock()))

    def _refuse(self, resource: Json, reason: ConditionReason, message: Message) -> float | None:
        return self._publisher.status(resource, refused_status(resource, reason, message, self._clock()))

    # -- the end of a resource ---------------------------------------------------------------------------

    def _gone(self, key: Key) -> None:
        """The resource was deleted: its Jobs go with it; the study stays in the database, cancelled."""
        self._loops.forget(key)
        self._meter.forget(key)
        if uid := self._uids.pop(key, ""):
            self._publisher.forget(uid)
        record = self._record(key)
        if record is not None and not record.ended:
            self._database.store().set_phase(key.namespace, key.name, Phase.CANCELLED, DELETED)

    def _leave(self, key: Key, resource: Json, turn: Turn) -> float | None:
        """The resource is being deleted; with our finalizer the study leaves the database before it goes."""
        if names.PURGE_FINALIZER not in resource["metadata"].get("finalizers", ()):
            self._gone(key)
            return None
        self._runner(key.namespace).remove_all(key.name, turn)
        if turn.left_off:
            return SOON
        if self._record(key) is not None:
            self._database.purge(key.namespace, key.name)
            log.info("study %s: purged", key.name)
        self._loops.forget(key)
        self._meter.forget(key)
        self._finalizers(key, resource, keep=False)
        return None

    def _keep_finalizer(self, key: Key, resource: Json) -> None:
        purge = annotation(resource, names.PURGE_ANNOTATION) == "true"
        if purge != (names.PURGE_FINALIZER in resource["metadata"].get("finalizers", ())):
            self._finalizers(key, resource, keep=purge)

    def _finalizers(self, key: Key, resource: Json, *, keep: bool) -> None:
        metadata = resource["metadata"]
        others = [name for name in metadata.get("finalizers", ()) if name != names.PURGE_FINALIZER]
        wanted_ones = [*others, names.PURGE_FINALIZER] if keep else others
        # with the version: somebody else's finalizer must not be lost
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": wanted_ones}}
        try:
            self._api.patch(STUDIES, key.name, body, key.namespace)
        except NotFound:
            return
        except Conflict:
            log.info("study %s changed meanwhile; its finalizer waits for the next look", key.name)
            raise

    # -- small things ------------------------------------------------------------------------------------

    def _record(self, key: Key) -> StudyRecord | None:
        try:
            return self._database.store().get_study(key.namespace, key.name)
        except NotFoundError:
            return None

    def _make_loop(self, key: Key) -> StudyLoop:
        return StudyLoop(
            key.namespace,
            key.name,
            runner=self._runner(key.namespace),
            store=self._database.store(),
            open_length=self._database.open_length,
            bus=self._bus,
            clock=self._clock,
            may_write=self._may_write,
            on_done=partial(self._note, key),
        )
