"""Several studies side by side, as tables for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coref_k8s.cli.sheet import Sheet, headed
from coref_k8s.cli.speech import lang, say
from coref_k8s.client.comparing import settings, shown, told
from coref_k8s.controller.view import StudyView
from coref_k8s.report.claims import claim
from coref_k8s.wording.formats import UNKNOWN, duration, interval, score


def as_table(rows: Sequence[dict[str, Any]]) -> Sheet:
    """Return the rows for a person."""
    priced = any("cost" in row for row in rows)
    table = headed(
        "words.study", "words.tokens", "words.model", "words.trials", "cli.best-on-dev", "cli.runs", "cli.on-test",
        "words.interval", "cli.untuned", "words.time", "cli.gpu-hours", *(["cli.cost"] if priced else []),
        left=("words.study", "cli.untuned"), wrapped=("words.model",),
        spare=("words.trials", "words.model", "words.time", "cli.untuned", "cli.gpu-hours", "words.interval", "cli.runs"),
    )  # fmt: skip
    for row in rows:
        dev, test = shown(row)
        table.row(
            row["study"],
            str(row["seq_len"]),
            row["model"],
            f"{row['trials']}" + (f" + {row['runs']}" if row["runs"] else ""),
            score(dev),
            UNKNOWN if row["score"] is None else str(row["dev_runs"]),
            score(test),
            interval(row["test_ci_low"], row["test_ci_high"]),
            claim(row["against_untuned"], lang()) if row["against_untuned"] else UNKNOWN,
            duration(row["hours"] * 3600, lang()),
            f"{row['gpu_hours']:.2f}",
            *([f"{row['cost']:.2f}"] if priced else []),
        )
    return table


def settings_table(views: Sequence[StudyView]) -> Sheet | None:
    """Return in what the requests differ, for a person; None when they are the same."""
    differing = settings(views)
    if not differing:
        return None
    table = Sheet()
    table.column(say("cli.setting"), left=True)
    for view in views:
        table.column(view.name, wrapped=True)
    for path, values in differing.items():
        table.row(path, *map(told, values))
    return table
