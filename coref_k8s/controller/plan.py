"""`plan`: from what is, to what is to be done. Pure: no I/O, no clock, no randomness.

The order of the actions matters within a unit (write down, decide, remove, start). Carried out, they leave
a world for which the plan is empty until something happens in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property

from coref_k8s.controller import actions as do
from coref_k8s.controller.actions import Action
from coref_k8s.controller.attempts import GiveUp, Retry, after, ended, outcome_of, tier_of
from coref_k8s.controller.ending import Ending, ending_of
from coref_k8s.controller.finals import (
    finals_left,
    run_unit,
    searching,
    trial_unit,
    trials_left,
    verdict_due,
    verdict_unit,
)
from coref_k8s.controller.runner import ObservedJob, Reason, State
from coref_k8s.controller.snapshot import (
    PREPARATION,
    Attempt,
    LengthSnapshot,
    Snapshot,
    TrialSnapshot,
    Unit,
    unit_of,
)
from coref_k8s.search.allotment import CLIMB, laddered
from coref_k8s.search.records import CARRIED, TrialState
from coref_k8s.store.records import TERMINAL, Phase
from coref_k8s.study.names import Kind
from coref_k8s.wording import NOTHING, Message

#: Time a trial that has its result may take to end by itself, writing its last files.
LINGER = timedelta(minutes=5)
#: Time after which a pod without a place is told of: an autoscaler or a queue may need a moment.
UNPLACED_FOR = timedelta(seconds=30)
#: What pods wait for that is worth a word then, the first found first.
_WAITED_FOR = (Reason.REFUSED, Reason.NOT_STARTED, Reason.UNSCHEDULABLE)
#: Share of the shortest length's trials that have closed before a longer one begins, with warm start.
LEAD = 0.5


def plan(snapshot: Snapshot) -> list[Action]:
    """Return what is to be done now."""
    return _Planner(snapshot).actions()


@dataclass
class _Planner:
    s: Snapshot
    out: list[Action] = field(default_factory=list)

    def actions(self) -> list[Action]:
        s = self.s
        attempts = {unit: list(known) for unit, known in s.attempts.items()}
        self._settle(attempts)
        if s.phase in TERMINAL or s.interrupted:
            told = Message.of("controller.study-is", phase=s.phase.value)
            self._stop(s.live, Message.of("controller.interrupted") if s.interrupted else told)
            return self.out
        s = self.s = self._replaced()
        given_up = self._close_units(attempts)
        ending = ending_of(s, given_up)
        if ending is not None:
            self._end(ending, attempts, given_up)
        elif not s.prepared:
            self._phase(Phase.PREPARING, self._waiting())
            self._restart([PREPARATION], attempts, slots=1)
        else:
            self._phase(Phase.RUNNING, self._waiting() or self._beyond())
            self._run(attempts, given_up)
        return self.out

    # -- what has ended --------------------------------------------------------------------------------

    def _settle(self, attempts: dict[Unit, list[Attempt]]) -> None:
        """Write down and remove the jobs that have ended; their attempts count from now on."""
        for job in self.s.jobs:
            if job.live:
                continue
            unit = unit_of(job)
            known = attempts.setdefault(unit, [])
            outcome, reason, message = outcome_of(
                job,
                closed=self.s.closed.get(unit),
                done=unit == PREPARATION and self.s.prepared is not None,
                stopped=job.uid in self.s.stopping,
            )
            earlier = [a for a in known if a.number != job.attempt]
            self.out.append(do.Record(job, outcome, tier_of(earlier), reason, message))
            self.out.append(do.Remove(job))
            forgiven = job.finished_at is not None and job.finished_at < self.s.counted_from
            known[:] = [*earlier, Attempt(job.attempt, outcome, job.disruptions, message, forgiven)]

    def _replaced(self) -> Snapshot:
        """Remove the jobs that wait for what nobody asks for any more; return the snapshot without them.

        What they were to do is started anew below, as the same attempt.
        """
        waiting = self.s.outdated - self.s.stopping
        self.out += [do.Remove(job) for job in self.s.live if job.uid in waiting]
        return replace(self.s, jobs=tuple(job for job in self.s.jobs if job.uid not in waiting))

    def _close_units(self, attempts: dict[Unit, list[Attempt]]) -> dict[Unit, Message]:
        """Close the trials that have no more attempts, or no more hope; return the reason of each that failed."""
        busy = {unit_of(job) for job in self.s.live}
        failed: dict[Unit, Message] = {}
        units = [] if self.s.prepared else [PREPARATION]
        units += [unit for unit, _ in self._open]
        units += [verdict_unit(n) for n in self.s.lengths if n.finals and not n.finals.judged]
        for unit in units:
            if unit in busy:
                continue
            answer = after(attempts.get(unit, []), self.s.spec.limits)
            if isinstance(answer, GiveUp):
                failed[unit] = answer.reason
        # a place may become free, an image that has not come within the deadline won't
        late = self._late(Reason.IMAGE, timedelta(seconds=self.s.spec.limits.pending_deadline))
        failed |= {unit_of(job): ended(Reason.IMAGE, job) for job in late}
        self.out += [do.Fail(unit, reason) for unit, reason in failed.items() if unit.trial is not None]
        self.out += [do.Prune(unit) for unit, trial in self._open if trial.hopeless and unit not in failed]
        return failed

    @cached_property
    def _open(self) -> list[tuple[Unit, TrialSnapshot]]:
        """Return what has no outcome yet: trials, then runs of finalists."""
        trials = [(trial_unit(n, trial), trial) for n in self.s.lengths for trial in n.open]
        return trials + [(run_unit(n, run), run) for n in self.s.lengths if n.finals for run in n.finals.open]

    # -- what is to run --------------------------------------------------------------------------------

    def _run(self, attempts: dict[Unit, list[Attempt]], failed: dict[Unit, Message]) -> None:
        s = self.s
        hopeless = {unit for unit, trial in self._open if trial.hopeless}
        over = {unit for unit, trial in s.closed.items() if not self._lingers(trial)}
        for job in s.live:
            unit = unit_of(job)
            if unit in hopeless:
                self._stop([job], Message.of("controller.trial-is-pruned"))
            elif unit in failed:
                self._stop([job], failed[unit])
            elif unit in over:
                self._stop([job], Message.of("controller.trial-has-its-outcome"))
        # a finalist waits while its length is searched again: it may be none in the end
        early = {n.seq_len for n in s.lengths if searching(s, n, failed)}
        waiting = [
            unit
            for unit, _ in self._open
            if unit not in hopeless
            and unit not in failed
            and not (unit.kind is Kind.FINALIST and unit.seq_len in early)
        ]
        # a preparation that has its result and is still ending takes no trial's place
        busy = sum(job.kind is not Kind.PREPARE for job in s.live)
        slots = self._restart(waiting, attempts, slots=s.slots - busy)
        slots = self._ask(slots, failed)
        self._finals(slots, attempts, failed)

    def _restart(self, units: list[Unit], attempts: dict[Unit, list[Attempt]], *, slots: int) -> int:
        """Start a job for each unit that has none, while there is room; return the room that is left."""
        busy = {unit_of(job) for job in self.s.live}
        for unit in units:
            if slots <= 0:
                break
            answer = after(attempts.get(unit, []), self.s.spec.limits)
            if unit not in busy and isinstance(answer, Retry):
                self.out.append(do.Start(unit, answer.attempt, answer.tier))
                slots -= 1
        return slots

    def _ask(self, slots: int, failed: dict[Unit, Message]) -> int:
        """Begin new trials; return the room that is left.

        Without warm start the shortest length comes first. With it, only until it has something to teach; then
        every longer length tries what it is offered, so that each soon has a good trial, and after that the one
        that is furthest behind goes on. See docs/decisions/062-the-ladder-climbs-at-once.md.
        """
        s, ladder = self.s, self.s.spec.search.warm_start
        left = {length.seq_len: trials_left(length) for length in s.lengths}
        first = CLIMB if laddered(s.spec) else CARRIED
        asked = {length.seq_len: length.asked for length in s.lengths}
        climbing = list(s.lengths)
        if ladder and s.lengths and self._leading(s.lengths[0], failed):
            climbing = climbing[:1]
        while slots > 0 and (able := [length for length in climbing if left[length.seq_len]]):
            length = able[0]
            if ladder:
                new = [n for n in able if n is not s.lengths[0] and asked[n.seq_len] < first]
                length = new[0] if new else min(able, key=lambda n: asked[n.seq_len] / n.planned)
            if asked[length.seq_len] == 0:
                self._offer(length)
            contrast = (
                laddered(s.spec) and length is not s.lengths[0] and CARRIED <= asked[length.seq_len] < first
            )
            self.out.append(do.NewTrial(length.seq_len, random=contrast))
            asked[length.seq_len] += 1
            left[length.seq_len] -= 1
            slots -= 1
        return slots

    def _leading(self, shortest: LengthSnapshot, failed: dict[Unit, Message]) -> bool:
        """Whether the shortest length has too little to teach yet, and goes on learning."""
        closing = sum(t.hopeless or trial_unit(shortest, t) in failed for t in shortest.open)
        enough = shortest.done + closing >= math.ceil(LEAD * shortest.planned)
        return not enough and searching(self.s, shortest, failed)

    def _offer(self, length: LengthSnapshot) -> None:
        """Offer a length, before its first trial, what is worth trying: of another study, a shorter length, by default."""
        s, search = self.s, self.s.spec.search
        shorter = [n for n in s.lengths if n.seq_len < length.seq_len] if search.warm_start else []
        if search.warm_start_from is not None:
            self.out.append(do.WarmStart(length.seq_len, None))
        if shorter:
            # the nearest that knows enough; the shortest has led
            knowing = [n for n in shorter if n.complete >= CARRIED] or shorter[:1]
            self.out.append(do.WarmStart(length.seq_len, knowing[-1].seq_len))
        elif search.warm_start_from is None and search.defaults_first and s.spec.purpose.kind == "search":
            self.out.append(do.OfferDefaults(length.seq_len))

    def _finals(self, slots: int, attempts: dict[Unit, list[Attempt]], failed: dict[Unit, Message]) -> None:
        """Begin the finalists' runs of lengths whose search is over, in the room that no trial needs; then judge.

        Trials come first, since longer lengths wait for them; the room that the ladder leaves idle is the finalists'.
        """
        for length in self.s.lengths:
            if length.finals is None or searching(self.s, length, failed):
                continue
            begin = min(max(slots, 0), length.finals.missing)
            self.out += [do.NewFinalist(length.seq_len) for _ in range(begin)]
            slots -= begin
            if not finals_left(length, failed) and verdict_due(length, failed):
                slots = self._restart([verdict_unit(length)], attempts, slots=slots)

    # -- the end ---------------------------------------------------------------------------------------

    def _end(self, ending: Ending, attempts: dict[Unit, list[Attempt]], failed: dict[Unit, Message]) -> None:
        due = [n for n in self.s.lengths if ending.judge and verdict_due(n, failed)]
        training = [job for job in self.s.live if job.kind is not Kind.VERDICT]
        if due and not training:
            # what finalists have shown until now was paid for, and judging it costs no GPU
            self._restart([verdict_unit(n) for n in due], attempts, slots=len(due))
            self._phase(self.s.phase, Message.of("controller.comparing-finalists", why=ending.message))
            return
        if not self.s.live:
            self._phase(ending.phase, ending.message)
            return
        if ending.stop:
            self._stop(training if due else self.s.live, ending.message)
        self._phase(self.s.phase, Message.of("controller.waiting-for-jobs", why=ending.message))

    # -- small things ----------------------------------------------------------------------------------

    def _stop(self, jobs: Sequence[ObservedJob], why: Message) -> None:
        self.out += [do.Stop(job, why) for job in jobs if job.uid not in self.s.stopping]

    def _phase(self, phase: Phase, message: Message) -> None:
        if (phase, message) != (self.s.phase, self.s.message):
            self.out.append(do.SetPhase(phase, message))

    def _lingers(self, trial: TrialSnapshot) -> bool:
        if trial.state is not TrialState.COMPLETE:
            return False
        return trial.finished_at is None or self.s.now - trial.finished_at < LINGER

    def _late(self, reason: Reason, after: timedelta) -> list[ObservedJob]:
        """Return the jobs that have waited for a reason for so long."""
        return [
            job
            for job in self.s.live
            if job.state is State.PENDING
            and job.reason is reason
            and job.created_at is not None
            and self.s.now - job.created_at >= after
        ]

    def _waiting(self) -> Message:
        """Return what the study waits for; it stays the same while it waits."""
        late = next((found for why in _WAITED_FOR if (found := self._late(why, UNPLACED_FOR))), [])
        if not late:
            return NOTHING
        since = min(job.created_at for job in late if job.created_at is not None)
        told = "waits" if len(late) == 1 else "wait"
        return Message.of(
            f"controller.{told}-for-a-node"
            if late[0].reason is Reason.UNSCHEDULABLE
            else f"controller.{told}",
            unit=unit_of(late[0]).named,
            more=len(late) - 1,
            since=f"{since:%Y-%m-%d %H:%M}",
            why=late[0].message,
        )

    def _beyond(self) -> Message:
        """Return that trials go on that are not asked for any more, since their number was lowered."""
        if self.s.spec.search.budget is not None:
            return NOTHING  # lengths share it, as they turn out
        beyond = sum(min(len(n.open), max(0, n.asked - self.s.spec.trials)) for n in self.s.lengths)
        return Message.of("controller.beyond", n=beyond, trials=self.s.spec.trials) if beyond else NOTHING
