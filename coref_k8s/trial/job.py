"""One trial from order to result: opens what it needs, trains, reports, and can be cut off anywhere.

The order of the last steps is what makes that safe: model, item scores, then `result.json`, then object storage where there
is one, then the report to the database, then the checkpoints go. A process that finds `result.json` only reports it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coref_k8s.errors import EXIT_TERMINATED, OutOfMemoryError, TrialError
from coref_k8s.search.records import LOSSES_ATTR, NOT_GIVEN_ATTR
from coref_k8s.search.reporting import TrialReporter
from coref_k8s.settings import Settings
from coref_k8s.store.fence import Fence
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order
from coref_k8s.study.paths import TrialFolder
from coref_k8s.telemetry.bus import Bus, said
from coref_k8s.trial.files import read_json
from coref_k8s.trial.keeping import drop_models
from coref_k8s.trial.luggage import Luggage
from coref_k8s.trial.observers import BusObserver, EvaluationReport, Observers, TrialObserver
from coref_k8s.trial.signals import Interrupted, StopSignal
from coref_k8s.wording import Message

if TYPE_CHECKING:
    from coref_k8s.trial.session import Session

#: What a result has beside its metrics that is stored with the trial; not every one has all.
_NOTED = ("versions", "model_revision", "evidence", "test", "comparisons", "ensemble")
#: Points of the training loss that are stored with the trial: a curve to look at, a few hundred bytes.
_LOSS_POINTS = 40


def run_training(
    order: Order, settings: Settings, bus: Bus, stop: StopSignal, fence: Fence | None = None
) -> int:
    """Run a trial, a finalist, a final training or an ensemble; return the exit code.

    Raises TrialError (the order is wrong), DataError, ModelError, OutOfMemoryError.
    """
    _check(order)
    folder = TrialFolder(settings.data_dir / order.workdir)
    on_bus = BusObserver(bus, order)
    observers = Observers(observers_of(order, settings, on_bus))
    reporter = None
    if order.trial_id is not None:
        reporter = TrialReporter(
            settings.storage_url, order.trial_id, fence, sleep=stop.sleep, on_wait=on_bus.warn
        )
    luggage = Luggage(order, settings, bus, stop, held=fence.held if fence else nullcontext)
    on_disk = folder.result.is_file()
    if not on_disk:
        luggage.bring()
    result = read_json(folder.result)
    if result is None and reporter is not None and reporter.is_closed():
        return 0
    if result is None:
        result = _train(order, settings, folder, reporter, observers, on_bus, stop, luggage)
        on_disk = True
    if isinstance(result, int):
        return result
    if on_disk:  # else it came from the store
        luggage.keep_result()
    code = _hand_in(result, order, folder, reporter, observers)
    if order.kind is Kind.TRIAL and order.spec.purpose.kind == "search":
        drop_models(order, settings, luggage.mirror)
    return code


def observers_of(order: Order, settings: Settings, on_bus: BusObserver) -> list[TrialObserver]:
    """Return who is told what this trial does; the one place to add another."""
    told: list[TrialObserver] = [on_bus]
    if settings.metrics_port is not None or settings.metrics_textfile:
        from coref_k8s.trial.metrics import MetricsObserver

        told.append(MetricsObserver(order, settings))
    return told


def _check(order: Order) -> None:
    needed = {"seq_len": order.seq_len, "trial": order.trial, "batch": order.batch}
    if order.kind is Kind.TRIAL:
        needed["trial_id"] = order.trial_id
    for name, value in needed.items():
        if value is None:
            raise TrialError("trial.incomplete-order", name=order.name, lacks=name)


def _train(
    order: Order,
    settings: Settings,
    folder: TrialFolder,
    reporter: TrialReporter | None,
    observers: Observers,
    on_bus: BusObserver,
    stop: StopSignal,
    luggage: Luggage,
) -> dict[str, Any] | int:
    """Train; return the result, or the exit code of a trial that ends without one."""
    # torch and transformers take seconds: not before it is known that there is something to train
    if order.spec.purpose.kind == "ensemble":
        from coref_k8s.trial.ensemble import join

        try:
            return join(
                order, settings.data_dir, folder, observers, on_bus.warn, stop, luggage.keep_on_the_way
            )
        except Interrupted:
            observers.on_end("interrupted", {"step": 0})  # what was scored is kept
            return EXIT_TERMINATED

    from coref_k8s.trial.session import Session
    from coref_k8s.trial.team import team_of

    with team_of(order, settings) as team:
        session = Session.open(
            order, settings.data_dir, folder, observers, on_bus.warn, stop, luggage.keep_on_the_way, team
        )
        return _through(session, reporter, luggage)


def _through(session: Session, reporter: TrialReporter | None, luggage: Luggage) -> dict[str, Any] | int:
    """Train to the end; return the result, or the exit code of a trial that ends without one."""
    from coref_k8s.trial.training import Ending

    order, observers = session.order, session.observers

    def go_on(report: EvaluationReport) -> bool:
        if reporter is None:
            return True
        items = None if report.full else session.by_item
        few = {NOT_GIVEN_ATTR: list(report.not_given)} if report.not_given else {}
        reporter.note(**{LOSSES_ATTR: loss_curve(session.trainer.losses), **few})
        reporter.report(report.number, report.score, dict(report.metrics), items)
        return not reporter.is_closed()

    try:
        ending = session.train(go_on)
        if ending is Ending.COMPLETE and order.spec.purpose.kind == "train":
            # only a final training has a card, and something to be compared with
            from coref_k8s.trial.final import finish_final

            return finish_final(session)
        if ending is Ending.COMPLETE:
            return session.finish(keep_model=not order.untuned)
    except Interrupted:
        ending = Ending.INTERRUPTED
    except OutOfMemoryError:
        session.save()  # a later attempt with more memory goes on from here
        raise
    reason = session.trainer.reason
    if ending is Ending.DIVERGED:
        if order.kind is not Kind.TRIAL or order.spec.purpose.kind == "train":
            raise TrialError("trial.would-diverge-again", why=reason)
        if reporter is not None:
            reporter.note(**{LOSSES_ATTR: loss_curve(session.trainer.losses)})
        return session.result("pruned", reason=reason.dump())
    if ending is Ending.INTERRUPTED and not (reporter and reporter.is_closed()):
        session.save()
        observers.on_end("interrupted", {"step": session.trainer.progress.step})
        return EXIT_TERMINATED
    observers.on_end("closed", {"step": session.trainer.progress.step})
    session.discard()
    luggage.drop_checkpoints()
    return 0


def loss_curve(losses: Sequence[float]) -> list[tuple[int, float | None]]:
    """Return the last steps of equal stretches with their mean losses (nats); None where one is not finite."""
    size = -(-len(losses) // _LOSS_POINTS) or 1
    stretches = (losses[at : at + size] for at in range(0, len(losses), size))
    curve, step = [], 0
    for stretch in stretches:
        step += len(stretch)
        mean = sum(stretch) / len(stretch)
        curve.append((step, float(f"{mean:.4g}") if math.isfinite(mean) else None))
    return curve


def _hand_in(
    result: Mapping[str, Any],
    order: Order,
    folder: TrialFolder,
    reporter: TrialReporter | None,
    observers: Observers,
) -> int:
    """Report a result that is on disk; safe to repeat."""
    if reporter is not None:
        rests_on = {name: result[name] for name in _NOTED if result.get(name)}
        if order.kind is Kind.FINALIST:
            rests_on.pop("test", None)  # what chooses the winner never sees test
        reporter.note(**result["measured"], **rests_on)
        if result["outcome"] == "pruned":
            reporter.pruned(Message.load(result["reason"]))
        else:
            reporter.result(result["score"], result["metrics"])
        if reporter.closed:
            print("the trial was closed from outside before its result was reported", file=sys.stderr)
    facts = {name: result[name] for name in ("score", "steps") if result.get(name) is not None}
    if hidden := result.get("evidence", {}).get("not_given"):
        facts["not_given"] = hidden
    if result.get("reason"):
        why = said(Message.load(result["reason"]))
        facts |= {"reason": why.pop("message"), **why}
    observers.on_end(result["outcome"], facts | {"measured": result["measured"]})
    _delete_checkpoints(folder.checkpoints)
    return 0


def _delete_checkpoints(folder: Path) -> None:
    from coref_k8s.trial.checkpoint import CheckpointStore

    CheckpointStore(folder).clear()
