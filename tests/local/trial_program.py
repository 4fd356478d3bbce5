"""A trial that takes no training: its score is a function of its parameters. Obeys the order as the real one does.

Only the standard library, so that a test can afford many of them: it writes to SQLite what `TrialReporter` writes.
Behaviour by file, below the data root: `slow` (seconds of work a step), `hold` (work until it is gone),
`crash-[finalist-]<len>-<trial>` and `crash-prepare` (exit with the code in it, once when it says `once`). A finalist's
run leaves test items behind, and the verdict on them is the real program's.
"""

import json
import os
import signal
import sqlite3
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

STEPS = 4


def main() -> None:
    root = Path(os.environ["COREF_DATA_DIR"])
    order = json.loads(Path(os.environ["COREF_ORDER_FILE"]).read_text(encoding="utf-8"))
    kind = [] if order["kind"] in ("trial", "prepare") else [order["kind"]]
    name = "-".join(
        [
            order["study"],
            *kind,
            *[str(order[k]) for k in ("seqLen", "trial") if order[k] is not None],
            str(order["attempt"]),
        ]
    )
    note(root, f"{name} begins")
    if order["kind"] == "verdict":
        os.execv(sys.executable, [sys.executable, "-m", "coref_k8s.trial"])
    database = sqlite3.connect(os.environ["COREF_STORAGE_URL"].removeprefix("sqlite:///"), timeout=60)
    if order["kind"] == "prepare":
        crash(root / "crash-prepare", "DataError: no text is left")
        with database:
            database.execute(
                "UPDATE coref_study SET prepared = 'prepared/abc', statistics_json = '{\"documents\": 3}'"
                " WHERE name = ?",
                [order["study"]],
            )
        return
    assert order["prepared"] == "prepared/abc"
    assert order["batch"] is not None
    trial_id = order["trialId"]
    ((state,),) = database.execute("SELECT state FROM trials WHERE trial_id = ?", [trial_id])
    if state != "RUNNING":
        note(root, f"{name} is closed already")
        return
    crash(
        root / "-".join(["crash", *kind, str(order["seqLen"]), str(order["trial"])]),
        "ValueError: this trial was told to fail",
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    checkpoint = root / order["workdir"] / "checkpoint"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    score = 1.0 / (1.0 + abs(order["params"].get("weight_decay", 2.0) - 0.05))
    if order["kind"] == "finalist":
        test_items(root / order["workdir"] / "items-test.json", order, score)
    for step in range(done + 1, STEPS + 1):
        pause(root)
        note(root, f"{name} step {step}")
        with database:
            database.execute(
                "INSERT OR REPLACE INTO trial_intermediate_values"
                " (trial_id, step, intermediate_value, intermediate_value_type) VALUES (?, ?, ?, 'FINITE')",
                [trial_id, step, score * step / STEPS],
            )
        checkpoint.with_suffix(".new").write_text(str(step))
        checkpoint.with_suffix(".new").replace(checkpoint)
    with database:
        now = datetime.now(timezone.utc).replace(tzinfo=None).isoformat(" ")  # noqa: UP017
        closed = database.execute(
            "UPDATE trials SET state = 'COMPLETE', datetime_complete = ? WHERE trial_id = ? AND state = 'RUNNING'",
            [now, trial_id],
        )
        if closed.rowcount:
            database.execute(
                "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, 0, ?, 'FINITE')",
                [trial_id, score],
            )
            note(root, f"{name} result")


def test_items(path: Path, order: dict, score: float) -> None:
    """Leave an evaluation behind in which the score is the share of items that were hit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = [f"item-{n}" for n in range(80)]
    hits = [float(n * 7 % 80 < score * 80) for n in range(80)]
    scores = {
        "ids": ids,
        "documents": [f"document-{n // 4}" for n in range(80)],
        "columns": {"lbd_top1": hits},
    }
    found = {
        "metrics": {"score": score, "lbd_top1": score}, "counts": {}, "buckets": [], "thresholds": {"tau": 0.0}, "warnings": [],
        "item_scores": {"lambada": scores}, "items_sha256": "", "tokenizer": "", "seq_len": order["seqLen"],
        "weights": {"lbd_top1": 1.0}, "full": True, "seconds": 0.0, "item_ids": ids,
    }  # fmt: skip
    path.write_text(json.dumps(found))


def crash(path: Path, words: str) -> None:
    if path.exists():
        code, _, once = path.read_text().partition(" ")
        if once:
            path.unlink()
        print(words)
        sys.exit(int(code))


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
