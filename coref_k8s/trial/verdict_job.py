"""The verdict job: which finalist wins on dev, what it reaches on test, and whether that is more than without tuning.

Needs no GPU: it reads what the runs have left on the shared volume.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from coref_k8s.controller.snapshot import Unit
from coref_k8s.errors import DataError, TrialError
from coref_k8s.evaluation.average import averaged
from coref_k8s.evaluation.compare import CLAIMS, compare
from coref_k8s.evaluation.compare import Difference as Paired
from coref_k8s.evaluation.result import EvaluationResult
from coref_k8s.objects import Mirror
from coref_k8s.search.finalist_study import read_runs, write_verdict
from coref_k8s.search.finalists import Role
from coref_k8s.search.records import ROLE_ATTR, TRIAL_ATTR, TrialRecord, TrialState
from coref_k8s.search.storage import open_storage
from coref_k8s.search.verdict import Candidate, Comparison, Difference, Verdict
from coref_k8s.settings import Settings
from coref_k8s.store.fence import Fence
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order
from coref_k8s.study.paths import TrialFolder, work_folder
from coref_k8s.telemetry.bus import Bus, Section
from coref_k8s.trial.files import write_json
from coref_k8s.trial.luggage import Luggage
from coref_k8s.trial.observers import waiting
from coref_k8s.trial.signals import StopSignal

#: Results on test by run number.
Results = Mapping[int, EvaluationResult]


def run_verdict(order: Order, settings: Settings, bus: Bus, stop: StopSignal, fence: Fence) -> int:
    """Compare the finalists of a length and write the verdict to the database; return the exit code.

    Raises TrialError when no finalist's run is complete, DataError when a result cannot be read, StorageError.
    """
    assert order.seq_len is not None
    stop.leave_at_once()
    wait = waiting(order, bus, stop)
    seq_len = order.seq_len
    storage = wait(lambda: open_storage(settings.storage_url))
    fence.guard(storage.engine)
    every = wait(lambda: read_runs(storage, order.study, seq_len, order.namespace))
    runs = [run for run in every if run.state is TrialState.COMPLETE]
    luggage = Luggage(order, settings, bus, stop, held=fence.held)
    results = {run.number: _test_result(luggage.mirror, order, run) for run in runs}
    verdict = judge(
        order.seq_len, runs, results, asked=order.spec.search.finalist_seeds, now=datetime.now(UTC)
    )
    write_json(TrialFolder(settings.data_dir / order.workdir).result, verdict.to_dict())
    luggage.keep_result()
    wait(lambda: write_verdict(storage, order.study, verdict, order.namespace))
    found = {one.against: one.score.claim for one in verdict.comparisons if one.score is not None}
    bus.emit(
        Section.VERDICT, study=order.study, seq_len=order.seq_len, winner=verdict.winner, dev_score=verdict.dev,
        test_score=verdict.test, ci_low=verdict.low, ci_high=verdict.high, against=found,
    )  # fmt: skip
    return 0


def judge(
    seq_len: int, runs: Sequence[TrialRecord], results: Results, *, asked: int, now: datetime
) -> Verdict:
    """Return the verdict on complete runs: dev scores choose, test results report.

    A candidate that has lost more than half of its `asked` seeds cannot win while another has not: the mean of
    few runs is lucky more easily. Raises TrialError without a complete run of a finalist.
    """
    by_trial: defaultdict[int, list[TrialRecord]] = defaultdict(list)
    for run in runs:
        if run.attrs[ROLE_ATTR] == Role.TRIAL:
            by_trial[int(run.attrs[TRIAL_ATTR])].append(run)
    candidates = [
        Candidate(trial, tuple(run.value or 0.0 for run in each), asked) for trial, each in by_trial.items()
    ]
    if not candidates:
        raise TrialError("trial.no-complete-run")
    whole = [one for one in candidates if 2 * len(one.scores) >= asked]
    winner = max(whole or candidates, key=lambda one: (one.mean, -one.trial))
    theirs = by_trial[winner.trial]
    mine = [results[run.number] for run in theirs]
    ours = averaged(mine)
    rivals = {
        role: [results[run.number] for run in runs if run.attrs[ROLE_ATTR] == role]
        for role in (Role.UNTUNED, Role.DEFAULTS)
    }
    return Verdict(
        seq_len=seq_len,
        runs=tuple(sorted(run.number for run in runs)),
        winner=winner.trial,
        run=max(theirs, key=lambda run: (run.value or 0.0, -run.number)).number,
        dev=winner.mean,
        test=ours.score,
        low=ours.metrics.get("score_ci_low"),
        high=ours.metrics.get("score_ci_high"),
        metrics=dict(ours.metrics),
        candidates=tuple(sorted(candidates, key=lambda one: (-one.mean, one.trial))),
        comparisons=tuple(_compared(ours, mine, role, each) for role, each in rivals.items()),
        made_at=now,
        not_given=tuple(ours.not_given),
    )


def _compared(
    ours: EvaluationResult,
    mine: Sequence[EvaluationResult],
    role: Role,
    theirs: Sequence[EvaluationResult],
) -> Comparison:
    """Compare settings where runs tell how much they differ, else the models; `ours` is the mean of `mine`."""
    if not theirs:
        return Comparison(role.value)
    try:
        found = compare(ours, averaged(theirs))
    except DataError as error:
        return Comparison(role.value, runs=len(theirs), problem=error.message)
    # a masked language model as it came is one model; a coreference head is learnt, and so a matter of seeds
    fixed = role is Role.UNTUNED and not ours.view
    settings = len(mine) > 1 and (fixed or len(theirs) > 1)
    differences = tuple(_difference(one, mine, theirs, settings) for one in found)
    first = found[0]
    return Comparison(role.value, differences, len(theirs), first.items, first.documents)


def _difference(
    one: Paired, mine: Sequence[EvaluationResult], theirs: Sequence[EvaluationResult], settings: bool
) -> Difference:
    if not settings or one.low is None or one.high is None:
        return Difference(one.metric, one.b, one.difference, one.low, one.high, one.claim)
    sides = ([result.metrics.get(one.metric, 0.0) for result in side] for side in (mine, theirs))
    both = one.estimate.over_runs(*sides)
    claim = one.claim and CLAIMS[both.sign]
    return Difference(
        one.metric, one.b, one.difference, both.low, both.high, claim, models=(one.low, one.high)
    )


def _test_result(mirror: Mirror, order: Order, run: TrialRecord) -> EvaluationResult:
    folder = work_folder(order.spec, order.study, *Unit(Kind.FINALIST, order.seq_len, run.number))
    path = TrialFolder(mirror.data_dir / folder).items("test")
    mirror.fetch(folder, only=(path.name,))
    return EvaluationResult.read(path)
