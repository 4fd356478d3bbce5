"""Whatever happens in whatever order, the loop converges and keeps its promises, and of two pods of a unit one writes."""

from __future__ import annotations

import itertools
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from coref_k8s.controller.apply import Applier
from coref_k8s.controller.runner import Reason, State
from coref_k8s.controller.snapshot import Unit, unit_of
from coref_k8s.errors import ClusterError, SupersededError
from coref_k8s.search.finalists import key_of, wanted_runs
from coref_k8s.search.records import TrialRecord, TrialState
from coref_k8s.store import TERMINAL, Outcome, Phase
from coref_k8s.store.fence import Fence
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order
from coref_k8s.study.reading import build_spec
from coref_k8s.wording import NOTHING
from tests.controller.world import Broken, FakeTrials, World


class Dies(BaseException):
    """The controller is killed."""


@dataclass(eq=False)
class Pod:
    """A process that has begun an order, with its real token; its Job may be gone long since."""

    order: Order
    fence: Fence

    @property
    def unit(self) -> Unit:
        return Unit(self.order.kind, self.order.seq_len, self.order.trial)

    def may_write(self) -> bool:
        try:
            with self.fence.held():
                return True
        except SupersededError:
            return False


class Pods:
    """Every process that ever began, in a database of their own."""

    folder = tempfile.TemporaryDirectory(prefix="coref-fence-")
    lives = itertools.count()

    def __init__(self) -> None:
        self.url = f"sqlite:///{Path(self.folder.name) / 'coref.db'}"
        self.namespace = f"life-{next(self.lives)}"
        self.of_job: dict[str, Pod] = {}  # by uid
        self.alive: list[Pod] = []
        self.begun: defaultdict[str, list[Pod]] = defaultdict(list)

    def begin(self, order: Order) -> Pod | None:
        """Let a pod begin; None when a later attempt has begun already, and only then."""
        order = order.model_copy(update={"namespace": self.namespace})
        before = self.begun[order.workdir]
        try:
            pod = Pod(order, Fence.take(self.url, order))
        except SupersededError:
            assert any(other.order.attempt > order.attempt for other in before)
            return None
        assert all(other.order.attempt <= order.attempt for other in before)
        before.append(pod)
        self.alive.append(pod)
        return pod

    def newest(self, pod: Pod) -> bool:
        return self.begun[pod.order.workdir][-1] is pod


class Life(RuleBasedStateMachine):
    """Jobs end in every way, caches lag, the controller is killed between any two of its actions."""

    world: World

    @initialize(
        trials=st.integers(1, 3),
        parallelism=st.integers(1, 4),
        lengths=st.sampled_from([[512], [512, 1024]]),
        warm=st.booleans(),
        places=st.none() | st.integers(1, 3),
        on_end=st.sampled_from(["stop", "drain"]),
        borne=st.sampled_from([0, 1, 99]),
        finalists=st.integers(0, 2),
    )
    def begin(self, trials, parallelism, lengths, warm, places, on_end, borne, finalists) -> None:
        spec = build_spec(
            seq_lengths=lengths,
            trials=trials,
            parallelism=parallelism,
            search={"warm_start": warm, "finalists": min(finalists, trials), "finalist_seeds": 2},
            limits={"on_end": on_end, "max_failed_trials": borne, "max_disruptions": 3, "memory_tiers": 1},
        )
        self.world = World(spec)
        self.world.runner.places = places
        self.cancelled = False
        self.pods = Pods()

    @rule()
    def step(self) -> None:
        w = self.world
        w.pass_time(1)
        before = w.loop.step()
        if before.failure is not None:
            return
        # carried out, a plan leaves nothing to be done, also as seen through a cache that lags
        after = w.loop.step()
        assert not after.actions, f"{before.actions} was followed by {after.actions}"

    @rule(actions=st.integers(0, 6))
    def killed_after(self, actions: int) -> None:
        left = [actions]
        real = Applier._do

        def do(self, action) -> None:
            if not left[0]:
                raise Dies
            left[0] -= 1
            real(self, action)

        Applier._do = do
        try:
            self.world.loop.step()
        except Dies:
            pass
        finally:
            Applier._do = real
        self.world.runner.lagging = False  # a new controller reads everything anew
        self.world.new_loop()

    @rule(of=st.randoms())
    def a_job_runs(self, of) -> None:
        pending = [n for n in self.world.live() if self.world.job(n).state is State.PENDING]
        if pending:
            self.runs(of.choice(pending))

    def runs(self, name: str) -> Pod:
        """Return the pod of a job, which begins if it has not."""
        job = self.world.job(name)
        if job.state is State.PENDING:
            self.world.run(name)
        if job.uid not in self.pods.of_job:
            pod = self.pods.begin(self.world.runner.orders[name])
            assert pod is not None, "the job that the controller has started last may begin"
            self.pods.of_job[job.uid] = pod
        return self.pods.of_job[job.uid]

    @rule(of=st.randoms())
    def a_node_is_cut_off(self, of) -> None:
        """The cluster gives its pod up, and the job with it; the pod knows nothing of that."""
        if self.world.live():
            name = of.choice(self.world.live())
            self.runs(name)
            self.world.crash(name, Reason.DISRUPTED, "words")

    @rule(of=st.randoms())
    def a_job_has_another_pod_while_the_first_is_not_known_to_have_ended(self, of) -> None:
        if self.world.live():
            name = of.choice(self.world.live())
            self.runs(name)
            del self.pods.of_job[self.world.job(name).uid]
            self.runs(name)

    @rule(of=st.randoms())
    def a_pod_begins_that_nobody_waits_for_any_more(self, of) -> None:
        gone = [
            order for name, order in self.world.runner.orders.items()
            if name not in self.world.runner.jobs
        ]  # fmt: skip
        if gone:
            self.pods.begin(of.choice(gone))

    @rule(of=st.randoms())
    def a_pod_writes_whoever_it_belongs_to(self, of) -> None:
        """Of all pods that are still alive, in a Job or on a node that is cut off, those of a unit that began last write."""
        if not self.pods.alive:
            return
        pod = of.choice(self.pods.alive)
        assert pod.may_write() == self.pods.newest(pod)
        if not pod.may_write():
            self.pods.alive.remove(pod)  # it ends itself
        elif pod.unit.kind in (Kind.TRIAL, Kind.FINALIST):
            self.world.records(pod.unit).complete(pod.unit.trial, of.random())

    @rule(of=st.randoms())
    def a_job_succeeds(self, of) -> None:
        if self.world.live():
            name = of.choice(self.world.live())
            job, pod = self.world.job(name), self.runs(name)
            assert pod.may_write() == self.pods.newest(pod)
            if not pod.may_write():
                self.world.crash(name, Reason.DISRUPTED, "a newer start of this work has taken over")
                return
            # a trial that was closed meanwhile ends quietly
            if self.world.is_done(unit_of(job)):
                self.world.end(name)
            else:
                self.world.succeed(name, of.random())

    @rule(of=st.randoms())
    def a_result_comes_before_the_end_of_its_job(self, of) -> None:
        running = [n for n in self.world.live() if self.world.job(n).kind in (Kind.TRIAL, Kind.FINALIST)]
        if running:
            unit = unit_of(self.world.job(of.choice(running)))
            self.world.records(unit).complete(unit.trial, of.random())

    @rule(
        of=st.randoms(),
        reason=st.sampled_from(
            [
                Reason.CRASHED,
                Reason.INVALID,
                Reason.GPU_OUT_OF_MEMORY,
                Reason.HOST_OUT_OF_MEMORY,
                Reason.DISRUPTED,
                Reason.DISRUPTED,
            ]
        ),
    )
    def a_job_fails(self, of, reason: Reason) -> None:
        if self.world.live():
            self.world.crash(of.choice(self.world.live()), reason, "words")

    @rule(of=st.randoms())
    def a_job_ends_without_a_result(self, of) -> None:
        if self.world.live():
            self.world.end(of.choice(self.world.live()))

    @rule(of=st.randoms())
    def somebody_deletes_a_job(self, of) -> None:
        if self.world.runner.jobs:
            del self.world.runner.jobs[of.choice(sorted(self.world.runner.jobs))]

    @rule(of=st.randoms())
    def a_trial_becomes_hopeless(self, of) -> None:
        found = [(n, t) for n, trials in self.world.trials.items() for t in trials.all if t.open]
        if found:
            seq_len, trial = of.choice(found)
            self.world.trials[seq_len].hopeless.add(trial.number)
            self.world.trials[seq_len].report(trial.number, 1, 0.1)

    @rule()
    def the_cache_stops(self) -> None:
        self.world.runner.sync()
        self.world.runner.lagging = True

    @rule()
    def the_cache_catches_up(self) -> None:
        self.world.runner.lagging = False

    @rule()
    def the_api_refuses_starts(self) -> None:
        self.world.runner.refuse = {"-": ClusterError("quota exceeded")}

    @rule()
    def the_api_is_well_again(self) -> None:
        self.world.runner.refuse = {}

    @precondition(lambda self: not self.cancelled)
    @rule(certainly=st.integers(0, 9))
    def the_user_cancels(self, certainly: int) -> None:
        if certainly == 0:
            self.cancelled = True
            self.world.store.change(cancel_requested=True)

    @precondition(lambda self: self.world.store.study.phase in TERMINAL)
    @rule()
    def the_user_resumes(self) -> None:
        self.cancelled = False
        self.world.pass_time(1)
        self.world.store.change(
            phase=Phase.PENDING, message=NOTHING, cancel_requested=False, resumed_at=self.world.now
        )

    @precondition(lambda self: self.world.store.study.phase is Phase.SUCCEEDED)
    @rule()
    def the_user_extends(self) -> None:
        """More trials: better ones may come, so the finalists are chosen again."""
        w = self.world
        if w.spec.trials >= 4:
            return
        w.spec = w.spec.model_copy(update={"trials": w.spec.trials + 1})
        w.store.set_spec(w.spec)
        for trials in w.trials.values():
            trials.spec = w.spec
        self.the_user_resumes()

    @rule(memory=st.sampled_from(["3Gi", "5Gi"]))
    def the_user_changes_the_pods(self, memory: str) -> None:
        w = self.world
        w.spec = w.spec.model_copy(update={"pod": w.spec.pod.model_copy(update={"memory": memory})})
        w.store.set_spec(w.spec)
        for trials in w.trials.values():
            trials.spec = w.spec

    @invariant()
    def no_trial_too_many(self) -> None:
        if hasattr(self, "world"):
            for trials in self.world.trials.values():
                assert len(self.counted(trials)) <= self.world.spec.trials

    def counted(self, trials: FakeTrials) -> list[TrialRecord]:
        """Return the trials without those that failed before the study was resumed: others take their places."""
        resumed_at = self.world.store.study.resumed_at
        failed = {t.number for t in trials.all if t.state is TrialState.FAILED and t.finished_at < resumed_at}
        return [t for t in trials.all if t.number not in failed]

    @invariant()
    def no_run_too_many(self) -> None:
        if hasattr(self, "world"):
            for trials in self.world.trials.values():
                keys = [key_of(run) for run in trials.finalists().all if run.state is not TrialState.PRUNED]
                assert len(keys) == len(set(keys))
                assert bool(keys) <= bool(self.world.spec.search.finalists)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        w = self.world
        w.runner.refuse = {}
        phase = w.finish()
        assert not w.runner.jobs
        states = [t.state for trials in w.trials.values() for t in self.counted(trials)]
        if phase is Phase.SUCCEEDED:
            assert len(states) == w.spec.trials * len(w.spec.seq_lengths)
            assert TrialState.RUNNING not in states
            self.check_finals()
        if phase is Phase.CANCELLED:
            assert self.cancelled
        # once ended, it stays ended
        assert w.loop.step().finished
        assert w.store.study.phase is phase

    def check_finals(self) -> None:
        """Every length with a complete trial has run its finalists, and has a verdict when one is complete."""
        w = self.world
        failed = {job.kind: job for job in w.store.written.values() if job.outcome is Outcome.FAILED}
        for seq_len, trials in w.trials.items():
            runs = trials.finalists().all
            assert all(not run.open for run in runs)
            wanted = wanted_runs(w.spec, seq_len, trials.all)
            assert {run.key for run in wanted} <= {key_of(run) for run in runs}
            again = [run for run in runs if run.attrs["role"] == "trial"]
            if any(run.state is TrialState.COMPLETE for run in again) and Kind.VERDICT not in failed:
                assert w.judged(seq_len)


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)

__all__ = ["Broken", "TestLife"]
