"""The loop around `plan`: one study until it is done (this machine), or many by key (a cluster)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from coref_k8s.controller.actions import Action, SetPhase
from coref_k8s.controller.apply import Applier, MakeOrder
from coref_k8s.controller.observe import Observer, OpenLength
from coref_k8s.controller.orders import make_order
from coref_k8s.controller.plan import plan
from coref_k8s.controller.progress import Progress, progress_of
from coref_k8s.controller.runner import Runner
from coref_k8s.errors import CorefError, NotFoundError
from coref_k8s.store import TERMINAL, Store
from coref_k8s.telemetry.bus import Bus

#: Time between two looks when nothing happens (seconds).
POLL_SECONDS = 0.5
#: First and longest pause after a failed look (seconds); it doubles in between.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0


def utc_now() -> datetime:
    """Return the time; the clock of everything that is not told another one."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Step:
    """What one round of the loop did."""

    progress: Progress
    actions: tuple[Action, ...]
    finished: bool
    """Nothing is left to do, ever (or until the user comes back): terminal or interrupted, and no job exists."""

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
    ) -> None:
        self._observer = Observer(
            namespace,
            name,
            runner=runner,
            store=store,
            open_length=open_length,
            clock=clock,
            gpus_per_job=gpus_per_job,
        )
        self._applier = Applier(
            self._observer,
            runner=runner,
            store=store,
            bus=bus,
            clock=clock,
            may_write=may_write,
            order=order,
        )

    def step(self, *, interrupted: bool = False) -> Step:
        """Do one round. Raises what kept it from being done wholly; the next round does the rest."""
        snapshot = self._observer.observe(interrupted=interrupted)
        progress = progress_of(snapshot, self._observer)
        actions = plan(snapshot)
        self._applier.apply(actions, gpus_per_job=snapshot.gpus_per_job)
        ended = snapshot.phase in TERMINAL or interrupted
        return Step(progress, tuple(actions), ended and not snapshot.jobs and not actions)


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
        except NotFoundError:
            raise
        except CorefError as error:
            if last is None:
                raise  # it has never worked: say so at once
            on_progress(replace(last, problem=str(error)))
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
