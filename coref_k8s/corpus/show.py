"""Renders the statistics of prepared data as plain text; `coref-k8s data show` prints it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from coref_k8s.errors import DataError, NotFoundError

STATISTICS = "statistics.json"


def find_prepared(name: str, data_root: Path) -> Path:
    """Return the folder of prepared data: a path, a hash below `data_root/prepared`, or its beginning.

    Raises NotFoundError, which lists what there is.
    """
    root = data_root / "prepared"
    known = sorted(path.parent for path in root.glob(f"*/{STATISTICS}"))
    places = [Path(name), root / name, *(path for path in known if path.name.startswith(name))]
    for place in places:
        if (place / STATISTICS).is_file():
            return place
    have = ", ".join(path.name for path in known) or "none"
    raise NotFoundError(
        f"no prepared data called {name!r} (in {root}: {have}); make them with: coref-k8s prepare"
    )


def read_statistics(folder: Path) -> dict[str, Any]:
    """Return the statistics of prepared data. Raises DataError when they cannot be read."""
    try:
        statistics: dict[str, Any] = json.loads((folder / STATISTICS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / STATISTICS} cannot be read ({error}); prepare the data again") from error
    return statistics


def render(statistics: Mapping[str, Any], *, samples: bool = True) -> str:
    """Return the statistics as text: counts, densities, lengths, distances, losses, sample texts."""
    documents = statistics["documents"]
    lines = [
        f"prepared data {statistics['hash']}",
        "",
        f"documents      {', '.join(f'{split} {count:,}' for split, count in documents.items())}",
        f"text           {statistics['characters']:,} characters, {statistics['words']:,} words",
        f"density        per 100 words: nouns {statistics['noun_density']:g}, pronouns "
        f"{statistics['pronoun_density']:g}, repeated mentions and pronouns {statistics['coref_density']:g}",
        f"tokens         {statistics['training_tokens']:,} to train on; vocabulary "
        f"{statistics['tokenizer']['vocabulary']:,}",
        f"mentions       {_share(statistics['mentions_aligned'])} begin and end at token boundaries",
        f"domains        {_counts(statistics['domains'])}",
        "",
        "source                                    read    kept  revision",
    ]
    for name, read in statistics["read"].items():
        kept = statistics["sources"].get(name, 0)
        lines.append(
            f"{_pad(name, 38)}{read:>8,}{kept:>8,}  {statistics['revisions'].get(name, '')[:12]}".rstrip()
        )
    for lost in statistics["skipped_sources"]:
        lines.append(f"left out: {lost['source']}: {lost['reason']}")
    removed = {reason: count for reason, count in statistics["filters"].items() if count}
    lines += [f"filters removed: {_counts(removed) or 'nothing'}", ""]
    lines += _table(
        ("length", "rows", "tokens", "padding", "chunks", "mentions"),
        [
            (
                length,
                f"{c['rows']:,}",
                f"{c['tokens']:,}",
                _share(c["padding"]),
                f"{c['chunks']:,}",
                f"{c['mentions']:,}",
            )
            for length, c in statistics["lengths"].items()
        ],
    )
    lines += ["", "tokens between a mention and the one before"]
    first = next(iter(statistics["lengths"].values()))
    lines += _table(
        ("length", *first["distances"]),
        [
            (length, *(f"{n:,}" for n in c["distances"].values()))
            for length, c in statistics["lengths"].items()
        ],
    )
    lines += ["", "document length (tokens)"]
    lines += _table(
        tuple(statistics["document_tokens"]),
        [tuple(f"{n:,}" for n in statistics["document_tokens"].values())],
    )
    if samples:
        for sample in statistics["samples"]:
            lines += ["", f"sample {sample['doc_id']} ({sample['source']})", sample["text"]]
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    table = [tuple(head), *(tuple(map(str, row)) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _pad(text: str, width: int) -> str:
    """Fill up to a width on the terminal, where Korean letters take two columns."""
    columns = sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
    return text + " " * max(1, width - columns)
