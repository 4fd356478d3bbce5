"""How often a difference is claimed where there is none, and how often an interval holds the truth.

    python -m tests.benchmarks.intervals [--repetitions 1000] [--output json]

Simulated results (tests/evaluation/exchangeable.py) go through `compare`, and those of several seeds through a finalists'
verdict: 3 to 80 documents of equal size or of geometric sizes, half of the objective a mean and half an F1, models that
differ from document to document by chance, runs that differ by 0.024. Intervals are of scores about 0.5, and about 0.16 in
documents most of which are nearly hopeless. JSON ends with a line of the worst of all cells.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from tests.evaluation.exchangeable import HARD, coverage, false_claims, false_verdicts

DOCUMENTS = (3, 5, 10, 20, 40, 80)
SEEDS = (2, 3, 5)


def cells(repetitions: int) -> Iterator[dict[str, Any]]:
    """Simulate every cell."""
    for documents in DOCUMENTS:
        for equal in (True, False):
            here = {"documents": documents, "sizes": "equal" if equal else "unequal"}
            claims = false_claims(documents, equal=equal, repetitions=repetitions)
            held = coverage(documents, equal=equal, repetitions=repetitions)
            hard = coverage(documents, equal=equal, repetitions=repetitions, easy=HARD)
            yield here | {"seeds": 1, "false_claims": claims, "coverage": held, "coverage_hard": hard}
            for seeds in SEEDS:
                claims = false_verdicts(documents, seeds, equal=equal, repetitions=repetitions)
                yield here | {"seeds": seeds, "false_claims": claims}


def main() -> None:
    """Print the cells and the worst of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--output", choices=("table", "json"), default="table")
    options = parser.parse_args()
    found = []
    for one in cells(options.repetitions):
        found.append(one)
        if options.output == "json":
            print(json.dumps(one), flush=True)
        else:
            held = (
                f", interval holds the truth in {one['coverage']:.1%}, of hard documents {one['coverage_hard']:.1%}"
                if "coverage" in one
                else ""
            )
            print(
                f"{one['documents']:>3} documents of {one['sizes']} size, {one['seeds']} seeds a side: "
                f"claims {one['false_claims']:.1%}{held}",
                flush=True,
            )
    worst = {
        "worst_false_claims": max(one["false_claims"] for one in found),
        "worst_coverage": min(
            one[key] for one in found for key in ("coverage", "coverage_hard") if key in one
        ),
    }
    print(json.dumps(worst))


if __name__ == "__main__":
    main()
