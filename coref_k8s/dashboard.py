"""`python -m coref_k8s.dashboard [BUS FILE]`: the live view of `coref-k8s watch` on an event bus file.

Pods write the same events to their logs: `coref-k8s logs NAME -f -o json | python -m coref_k8s.dashboard -`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from coref_k8s.cli.speech import say, speak, take_language
from coref_k8s.cli.watching import watch_bus, watch_stream
from coref_k8s.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Show the study that the bus speaks of until it ends, or Ctrl-C."""
    lang, rest = take_language(sys.argv[1:] if arguments is None else arguments)
    speak(lang)
    parser = argparse.ArgumentParser(
        prog="python -m coref_k8s.dashboard [--lang en|ko]", description=say("help.dashboard")
    )
    parser.add_argument("bus", nargs="?", type=Path, help=say("help.dashboard-argument-bus"))
    chosen = parser.parse_args(rest)
    if chosen.bus == Path("-"):
        watch_stream(sys.stdin.buffer)
        return 0
    bus = chosen.bus or Settings.from_env().bus
    if bus is None or not bus.is_file():
        parser.error(say("cli.no-event-file", file=bus))
    watch_bus(bus)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
