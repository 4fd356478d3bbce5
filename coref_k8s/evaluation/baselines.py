"""What one scores without a model: printed beside every table, because a score means little alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from coref_k8s.evaluation.coref_items import CorefItem
from coref_k8s.evaluation.table import DocumentTable

LISTED = 5
#: Names of the baselines, as in `baseline_<name>_top5`.
NAMES = ("frequent", "nearest", "constant")


def lists(item: CorefItem, table: DocumentTable, constant: Sequence[str]) -> dict[str, list[str]]:
    """The 5 guesses of each baseline: most frequent runs of the window, nearest ones, a constant list.

    Occurrences count that do not touch the target; nearness is in tokens from the target's start, to the left first.
    """
    first, last = item.target
    places = [
        table.runs[i] for i in table.window_runs(*item.window) if not _touches(table.runs[i], first, last)
    ]
    counts: Counter[int] = Counter(string for _, _, string in places)
    order = {string: rank for rank, string in enumerate(counts)}
    frequent = sorted(counts, key=lambda string: (-counts[string], order[string]))
    distances = sorted(
        (first - end if end <= first else start - last, end > first, string) for start, end, string in places
    )
    nearest = list(dict.fromkeys(string for _, _, string in distances))
    return {
        "frequent": [table.strings[string] for string in frequent[:LISTED]],
        "nearest": [table.strings[string] for string in nearest[:LISTED]],
        "constant": list(constant[:LISTED]),
    }


def _touches(run: tuple[int, int, int], first: int, last: int) -> bool:
    return run[0] < last and run[1] > first
