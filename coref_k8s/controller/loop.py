"""The loop around `plan`: one study until it is done (this machine), or many by key (a cluster)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from coref_k8s.controller.actions import Action, SetPhase
from coref_k8s.controller.apply import Applier, MakeOrder
from coref_k8s.controller.memory import StudyMemory
from coref_k8s.controller.observe import Observer, OpenLength
from coref_k8s.controller.orders import make_order
from coref_k8s.controller.plan import plan
from coref_k8s.controller.progress import Progress, progress_of
from coref_k8s.controller.runner import Runner
from coref_k8s.controller.turn import Turn
from coref_k8s.controller.workqueue import Key
from coref_k8s.errors import CorefError, NotFoundError
from coref_k8s.store import TERMINAL, Phase, Store
from coref_k8s.telemetry.bus import Bus, utc_now

#: Time between two looks when nothing happens (seconds).
POLL_SECONDS = 0.5
#: Time after which a study is looked at without an event (seconds): reports and limits make none.
RESYNC_SECONDS = 10.0
#: First and longest pause after a failed look (seconds); it doubles in between.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0


@dataclass(frozen=True)
class Step:
    """What one round of the loop did."""

    progress: Progress
    actions: tuple[Action, ...]
    """What was done; the rest of the plan is made anew in the next round."""
    finished: bool
    """Nothing is left to do, ever (or until the user comes back): terminal or interrupted, and no job exists."""
    failure: Exception | None = None
    """What kept the round from being done wholly; the next one does the rest."""

    @property
    def ends(self) -> bool:
        """Whether this round has written the end of the study."""
        return any(isinstance(a, SetPhase) and a.phase in TERMINAL for a in self.actions)


class StudyLoop:
    """observe, plan, apply: for one study."""

    def __init__(
        self,
        namespace: str,
        name: str,
        *,
        runner: Runner,
        store: Store,
        open_length: OpenLength,
        bus: Bus,
        clock: Callable[[], datetime] = utc_now,
        gpus_per_job: int | None = None,
        may_write: Callable[[], bool] = lambda: True,
        order: MakeOrder = make_order,
        on_done: Callable[[Action, Phase], None] = lambda _action, _before: None,
    ) -> None:
        self._memory = StudyMemory(namespace, name)
        self._observer = Observer(
            self._memory,
            runner=runner,
            store=store,
            open_length=open_length,
            clock=clock,
            gpus_per_job=gpus_per_job,
        )
        self._applier = Applier(
            self._memory,
            runner=runner,
            store=store,
            bus=bus,
            clock=clock,
            may_write=may_write,
            order=order,
            on_done=on_done,
        )

    def step(self, turn: Turn | None = None, *, interrupted: bool = False) -> Step:
        """Do one round, or as much of it as its turn allows. Raises what kept it from being done at all."""
        turn = turn or Turn()
        snapshot = self._observer.observe(turn, interrupted=interrupted)
        progress = progress_of(snapshot, self._memory)
        actions = plan(snapshot)
        self._applier.note_expected(snapshot.capacity, snapshot.slots)
        done, failure = self._applier.apply(actions, turn, gpus_per_job=snapshot.gpus_per_job)
        ended = snapshot.phase in TERMINAL or interrupted
        return Step(progress, tuple(done), ended and not snapshot.jobs and not actions, failure)


def run_until_done(
    loop: StudyLoop,
    *,
    wait: Callable[[float], None],
    interrupted: Callable[[], bool] = lambda: False,
    on_progress: Callable[[Progress], None] = lambda _: None,
    poll: float = POLL_SECONDS,
) -> Progress:
    """Run one study to its end, or until `interrupted` says so and its jobs have ended; return its last state.

    `wait(seconds)` may return early, when there is something to see. A database or cluster that is away is
    waited for, with growing pauses. Raises NotFoundError when the study was deleted.
    """
    pause = FIRST_PAUSE
    last: Progress | None = None
    while True:
        try:
            step = loop.step(interrupted=interrupted())
            if step.failure is not None:
                raise step.failure
        except NotFoundError:
            raise
        except CorefError as error:
            if last is None:
                raise  # it has never worked: say so at once
            on_progress(replace(last, problem=error.message))
            wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            continue
        pause = FIRST_PAUSE
        last = step.progress
        on_progress(last)
        if step.finished:
            return last
        if not step.actions:
            wait(poll)


class StudyLoops:
    """Many studies by key, each with its own loop, and so its own memory, and its own back-off."""

    def __init__(
        self,
        make_loop: Callable[[Key], StudyLoop],
        *,
        resync: float = RESYNC_SECONDS,
        jitter: Callable[[float], float] = lambda most: random.uniform(0, most),
        on_step: Callable[[Key, Step], None] = lambda _key, _step: None,
    ) -> None:
        self._make_loop = make_loop
        self._on_step = on_step
        self._resync = resync
        self._jitter = jitter
        self._loops: dict[Key, StudyLoop] = {}
        self._failures: dict[Key, int] = {}

    def reconcile(self, key: Key, turn: Turn | None = None) -> float | None:
        """Do what is to be done for a study; return when to look again (seconds), None when it is over.

        Raises what went wrong (`pause` says how long to wait). A study that was deleted is over.
        """
        loop = self._loops.get(key)
        if loop is None:
            loop = self._loops[key] = self._make_loop(key)
        turn = turn or Turn()
        try:
            step = self._step(key, loop, turn)
            while step.ends:
                # the end was written; what is left is to see that nothing is left
                step = self._step(key, loop, turn)
        except NotFoundError:
            self.forget(key)
            return None
        self._failures.pop(key, None)
        if step.finished:
            self.forget(key)
            return None
        return self._resync

    def _step(self, key: Key, loop: StudyLoop, turn: Turn) -> Step:
        step = loop.step(turn)
        self._on_step(key, step)
        if step.failure is not None:
            raise step.failure
        return step

    def pause(self, key: Key) -> float:
        """Count a failure and return how long to wait after it (seconds): full jitter below a doubling bound.

        Counted here, since what goes wrong around `reconcile` (a database that is away) is a failure as well.
        """
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        doubled = FIRST_PAUSE * 2 ** min(failures, 16)
        return self._jitter(min(doubled, LONGEST_PAUSE))

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a study; it is read again when the study is looked at again."""
        self._loops.pop(key, None)
        self._failures.pop(key, None)

    def forget_all(self) -> None:
        """Drop everything, as a controller must that has lost its lease."""
        self._loops.clear()
        self._failures.clear()
