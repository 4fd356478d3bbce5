"""A trial that takes no training: its score is a function of its parameters. Obeys the order as the real one does.

Behaviour by file, below the data root: `slow` (seconds of work a trial), `crash-<len>-<trial>` (exit with the code in it,
once when it holds `once`), `hold` (work until it is gone).
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from coref_k8s.runner import Kind, Order
from coref_k8s.search.reporting import TrialReporter
from coref_k8s.settings import Settings
from coref_k8s.store import Store


def main() -> None:
    settings = Settings.from_env()
    order = Order.model_validate_json(settings.order)
    root = settings.data_dir
    note(root, f"{order.name} begins")
    if order.kind is Kind.PREPARE:
        if (root / "crash-prepare").exists():
            print("DataError: no text is left")
            sys.exit(int((root / "crash-prepare").read_text()))
        Store(settings.storage_url).set_prepared(
            order.namespace, order.study, "prepared/abc", {"documents": 3}
        )
        return
    assert order.prepared == "prepared/abc"
    assert order.batch is not None
    reporter = TrialReporter(settings.storage_url, order.trial_id)
    if reporter.is_closed():
        note(root, f"{order.name} has its result already")
        return
    work = root / order.workdir
    work.mkdir(parents=True, exist_ok=True)
    crash = root / f"crash-{order.seq_len}-{order.trial}"
    if crash.exists():
        code, _, once = crash.read_text().partition(" ")
        if once:
            crash.unlink()
        print("ValueError: this trial was told to fail")
        sys.exit(int(code))
    checkpoint = work / "checkpoint.json"
    done = json.loads(checkpoint.read_text())["step"] if checkpoint.exists() else 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    steps = 4
    score = 1.0 / (1.0 + abs(order.params["weight_decay"] - 0.05))
    for step in range(done + 1, steps + 1):
        pause(root)
        note(root, f"{order.name} step {step}")
        checkpoint.with_suffix(".new").write_text(json.dumps({"step": step}))
        checkpoint.with_suffix(".new").replace(checkpoint)
        reporter.report(step, score * step / steps, {"coref_f1": score})
    reporter.result(score, {"coref_f1": score, "weight_decay": order.params["weight_decay"]})
    note(root, f"{order.name} result")


def pause(root: Path) -> None:
    slow = root / "slow"
    if slow.exists():
        time.sleep(float(slow.read_text()))
    while (root / "hold").exists():
        time.sleep(0.02)


def note(root: Path, text: str) -> None:
    with (root / "history").open("a") as history:
        history.write(f"{text} {os.getpid()}\n")


main()
