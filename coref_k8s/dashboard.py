"""`python -m coref_k8s.dashboard [BUS FILE]`: the live view of `coref-k8s watch` on an event bus file.

Pods write the same events to their logs: `coref-k8s logs NAME -f | python -m coref_k8s.dashboard -`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from coref_k8s.cli.watching import watch_bus, watch_stream
from coref_k8s.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Show the study that the bus speaks of until it ends, or Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m coref_k8s.dashboard",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "bus",
        nargs="?",
        type=Path,
        help="- for standard input; default data/coref_automl_bus.ndjson, or COREF_BUS",
    )
    parser.add_argument("--lang", choices=("en", "ko"), help="language (default that of the locale)")
    chosen = parser.parse_args(arguments)
    if chosen.bus == Path("-"):
        watch_stream(sys.stdin.buffer, chosen.lang)
        return 0
    bus = chosen.bus or Settings.from_env().bus
    if bus is None or not bus.is_file():
        parser.error(
            f"{bus}: there is no event file yet; start a study with coref-k8s submit --local, "
            "or for one in a cluster take coref-k8s watch NAME"
        )
    watch_bus(bus, chosen.lang)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
