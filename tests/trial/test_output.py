"""In a pod every line of the log is an event, whatever libraries print, and however."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from coref_k8s.telemetry.bus import last_words
from tests.trial.conftest import House


def _every_library_warns() -> None:
    """Patch this process: at each step everything that can print does, while it trains."""
    from coref_k8s.trial.stepper import Stepper

    real = Stepper.step

    def step(self: Any, *arguments: Any) -> Any:
        os.write(1, b"C code on standard output\n")
        os.write(2, b"C code on standard error, without an end of line")
        subprocess.run(["sh", "-c", "echo a child; echo its error >&2"], check=True)
        libc = ctypes.CDLL(None)
        libc.puts(b"printed by libc")
        libc.fflush(None)
        warnings.warn("a warning of a library", stacklevel=1)
        logging.getLogger("huggingface_hub").warning("HTTP Error 429; retrying in 8 s [1/5]")
        print("{not json")
        print('"just text"', 5, sep="\n")
        sys.stderr.write("\r 10%|#         |\r100%|##########|\n")
        thread = threading.Thread(target=lambda: 1 // 0)
        thread.start()
        thread.join()
        print("x" * 40_000)
        return real(self, *arguments)

    Stepper.step = step  # type: ignore[method-assign]


def events(log: str) -> list[dict[str, Any]]:
    """Read a log as `jq` does: it stops at the first line that is no JSON."""
    found = [json.loads(line) for line in log.splitlines()]
    assert all(isinstance(event, dict) and event["section"] for event in found)
    return found


def test_a_run_in_which_every_library_warns_is_events_from_its_first_line_to_its_last(house: House) -> None:
    order = house.order("noise", spec=house.training(max_steps=3, evaluations=1))
    process = house.start(order, before=_every_library_warns, COREF_BUS="-")
    assert process.wait() == 0, process.log[-2000:]
    found = events(process.log)
    assert [event["section"] for event in found].count("eval_stream") == 1
    assert found[-1]["section"] in ("trial_end", "output")
    printed = "\n".join(event["message"] for event in found if event["section"] == "output")
    for text in (
        "C code on standard output",
        "C code on standard error, without an end of line",
        "a child",
        "its error",
        "printed by libc",
        "a warning of a library",
        "HTTP Error 429; retrying in 8 s [1/5]",
        "{not json",
        "ZeroDivisionError",
    ):
        assert text in printed, text
    assert " 10%" not in printed
    traceback = next(e["message"] for e in found if "ZeroDivisionError" in e.get("message", ""))
    assert "Traceback" in traceback, "the lines of a traceback are one event"


def test_a_failure_is_told_in_events_alone_and_its_reason_is_found(house: House) -> None:
    process = house.start("no order", COREF_BUS="-")
    assert process.wait() == 42
    assert events(process.log)[-1]["event"] == "trial_failed"
    assert str(last_words(process.log)).startswith("the order")
    order = house.order("breaks", spec=house.training(max_steps=3, evaluations=1))
    process = house.start(order, before=_breaks, COREF_BUS="-")
    assert process.wait() == 1
    events(process.log)
    assert str(last_words(process.log)) == "RuntimeError: broken"
    # of the end of it that a kubelet keeps as well
    assert str(last_words(process.log[-2048:].partition("\n")[2])) == "RuntimeError: broken"


def test_a_long_traceback_does_not_hide_the_reason_from_a_kubelet(house: House, tmp_path: Path) -> None:
    (kept := tmp_path / "termination-log").touch()
    order = house.order("breaks-deep", spec=house.training(max_steps=3, evaluations=1))
    process = house.start(order, before=partial(_breaks, 40, kept), COREF_BUS="-")
    assert process.wait() == 1
    assert not last_words(process.log[-2048:].partition("\n")[2])
    assert kept.read_text() == "RuntimeError: broken"


def _breaks(deep: int = 0, kept: Path | None = None) -> None:
    """Patch this process: its first step fails, some calls deep; `kept` is where a kubelet reads last words."""
    from coref_k8s.trial import main
    from coref_k8s.trial.stepper import Stepper

    def step(*_: Any) -> Any:
        fall(deep)

    def fall(left: int) -> None:
        if not left:
            raise RuntimeError("broken")
        over(left - 1)

    def over(left: int) -> None:  # two functions: repeated lines of one are left out of a traceback
        fall(left)

    Stepper.step = step  # type: ignore[method-assign, assignment]
    main.LAST_WORDS = kept or main.LAST_WORDS
