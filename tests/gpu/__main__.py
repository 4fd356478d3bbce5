"""Check on this machine's GPU what the project says of GPUs; without one the same code runs small on the CPU.

    python -m tests.gpu [--output json] [--only parity memory …] [--small]

Ratios, with the card's name and versions. At most 8 minutes on a data-centre card.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.gpu.checks import CHECKS, Setting, run


def main() -> int:
    """Run and print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", choices=["text", "json"], default="text")
    parser.add_argument("--only", nargs="+", choices=list(CHECKS), default=list(CHECKS))
    parser.add_argument("--small", action="store_true", help="small shapes on a GPU, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Setting(Path(folder), small=arguments.small), arguments.only)
    if arguments.output == "json":
        print(json.dumps(found, indent=1))
    else:
        print(", ".join(f"{name} {value}" for name, value in found["on"].items()))
        for name in arguments.only:
            print(f"{name:14} {'pass' if found[name].pop('pass') else 'FAIL'}  {json.dumps(found[name])}")
    return 0 if found["pass"] else 1


if __name__ == "__main__":
    sys.exit(main())
