"""What the jobs of the runner contract run: does what its order's parameters say. Standard library only."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    text = os.environ.get("COREF_ORDER") or Path(os.environ["COREF_ORDER_FILE"]).read_text(encoding="utf-8")
    order = json.loads(text)
    work = Path(os.environ["COREF_DATA_DIR"]) / order["workdir"]
    work.mkdir(parents=True, exist_ok=True)
    with (work / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    count = len((work / "starts").read_text().splitlines())
    print(f"start {count} of trial {order['trial']}", flush=True)
    (work / "order.json").write_text(text, encoding="utf-8")
    (work / "environment.json").write_text(json.dumps(dict(os.environ)))

    does = order["params"]["does"]
    if isinstance(does, list):  # one behaviour a start, the last one for all further ones
        does = does[min(count, len(does)) - 1]
    if isinstance(does, int):
        sys.exit(does)
    if does == "child":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        sys.exit(0)
    if does == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif does == "work":
        signal.signal(signal.SIGTERM, lambda *_: checkpoint(work))
    print("working", flush=True)
    (work / "working").write_text(str(os.getpid()))
    end = time.monotonic() + 120
    while time.monotonic() < end and not (work / "go").exists():
        time.sleep(0.05)
    print("went on to the end", flush=True)


def checkpoint(work: Path) -> None:
    (work / "checkpoint").write_text("saved")
    print("checkpoint written", flush=True)
    sys.exit(143)


main()
