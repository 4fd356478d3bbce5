"""`python -m coref_k8s.trial`: read the order, do it, and end with an exit code that says what happened.

0: done, or closed from outside. 42: the order is wrong, retrying cannot help. 43: out of GPU memory with
one sequence. 143: told to stop, a checkpoint is written. 1: anything else; the traceback is in the log.
"""

from __future__ import annotations

import os
import traceback
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from coref_k8s.errors import EXIT_INVALID, EXIT_TERMINATED, CorefError, RequestError, TrialError, no_room
from coref_k8s.settings import NO_BUS, Settings
from coref_k8s.store.fence import Fence
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order
from coref_k8s.study.parameters import needed
from coref_k8s.telemetry.bus import Bus, Section, said
from coref_k8s.trial.files import work_behind
from coref_k8s.trial.observers import waiting
from coref_k8s.trial.output import aloud, as_events
from coref_k8s.trial.signals import Interrupted, StopSignal
from coref_k8s.wording import Message

#: Where a kubelet reads what a container said last. From an empty one it turns to the end of the log, which a traceback fills.
LAST_WORDS = Path("/dev/termination-log")
#: Most that is written there (characters); a kubelet keeps 4 kB.
MOST_LAST_WORDS = 600


def main() -> int:
    """Run the order that the environment gives; return the exit code."""
    stop = StopSignal().install()
    if os.environ.get("COREF_BUS") != NO_BUS:
        return _main(stop, None)
    with as_events() as bus:  # `kubectl logs` shows both streams, and is to be read by programs
        return _main(stop, bus)


def _main(stop: StopSignal, bus: Bus | None) -> int:
    who: dict[str, object] = {}
    try:
        settings = Settings.from_env()
        bus = bus or Bus(settings.bus, stdout=True)
        order = read_order(settings)
        if order.study_uid:
            bus = bus.about(study_uid=order.study_uid)
        who = {"study": order.study, "kind": order.kind.value, "seq_len": order.seq_len, "trial": order.trial}
        return run(order, settings, bus, stop)
    except CorefError as error:
        # a request that is refused here would be refused every time
        code = EXIT_INVALID if isinstance(error, RequestError) else error.exit_code
        aloud(f"error: {error}")
        return _failed(error.message, code, bus, who)
    except Interrupted:
        return EXIT_TERMINATED
    except Exception as error:
        message = Message.verbatim(f"{type(error).__name__}: {error}")
        traceback.print_exc()
        if no_room(error):
            place = getattr(error, "filename", None) or settings.data_dir
            message = Message.of("trial.disk-full", place=place)
            aloud(f"error: {message}")
        return _failed(message, 1, bus, who)


def _failed(message: Message, code: int, bus: Bus | None, who: dict[str, object]) -> int:
    if bus:
        bus.emit(Section.WARNING, **who, event="trial_failed", exit_code=code, **said(message))
    with suppress(OSError), LAST_WORDS.open("r+", encoding="utf-8") as file:
        file.write(" ".join(str(message).split())[:MOST_LAST_WORDS])
    return code


def read_order(settings: Settings) -> Order:
    """Return the order; raise TrialError when there is none or it cannot be understood."""
    if not settings.order:
        raise TrialError("trial.no-order")
    try:
        order = Order.model_validate_json(settings.order)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "order"
        raise TrialError("trial.bad-order", where=where, why=first["msg"]) from error
    tuned = order.kind in (Kind.TRIAL, Kind.FINALIST) and not order.untuned
    wanted = needed(order.spec, order.seq_len) if tuned and order.seq_len is not None else frozenset()
    if lacks := sorted(wanted - order.params.keys()):
        # a default in its place would give this trial the score of another
        raise TrialError("trial.half-order", name=order.name, lacks=lacks)
    return order


def run(order: Order, settings: Settings, bus: Bus, stop: StopSignal) -> int:
    """Do one order, which nobody who began it before may write on any more; return the exit code."""
    if settings.hf_token:
        os.environ["HF_TOKEN"] = settings.hf_token
    # forking after the tokeniser's threads started would warn, and trials have no cores to spare for them
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # bars draw over themselves, which a log file cannot show; Transformers asks the hub's library
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # sequences and masks differ in size at every step, and oneDNN keeps compiled code for the last 1,024 sizes:
    # 0.7 GB that is hardly ever used again (docs/trial.md)
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    wait = waiting(order, bus, stop)
    fence = wait(lambda: Fence.take(settings.storage_url, order))
    work_behind(fence, wait)
    # the rooms below import torch and more: only what the order needs
    if order.kind is Kind.PREPARE:
        from coref_k8s.trial.prepare_job import run_prepare

        return run_prepare(order, settings, bus, stop, fence)
    if order.kind is Kind.VERDICT:
        from coref_k8s.trial.verdict_job import run_verdict

        return run_verdict(order, settings, bus, stop, fence)
    from coref_k8s.trial.job import run_training

    return run_training(order, settings, bus, stop, fence)
