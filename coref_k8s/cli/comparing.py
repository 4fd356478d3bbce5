"""Several studies side by side: what each length reached, how sure that is, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from coref_k8s.cli import words
from coref_k8s.cli.console import titled
from coref_k8s.controller.view import LengthView, StudyView


def side_by_side(views: Sequence[StudyView], price: float | None = None) -> list[dict[str, Any]]:
    """Return one row a study and length; `price` is that of a GPU-hour.

    `score` is that of the best single run on dev; with finalists `dev` is the winner's mean over its runs, and
    `test` what it reaches on test, with its interval. Jobs of the whole study (preparation) are in no row.
    """
    return [_row(view, one, price) for view in views for one in view.lengths]


def _row(view: StudyView, one: LengthView, price: float | None) -> dict[str, Any]:
    attempts = [attempt for attempt in view.attempts if attempt.seq_len == one.seq_len]
    gpu_hours = sum(attempt.gpu_seconds for attempt in attempts) / 3600
    spent = sum(
        (a.finished_at - a.started_at).total_seconds() for a in attempts if a.started_at and a.finished_at
    )
    best, verdict = one.best, one.verdict
    claims = {c.against: c.score.claim for c in verdict.comparisons if c.score} if verdict else {}
    row = {
        "study": view.name,
        "phase": view.phase.value,
        "seq_len": one.seq_len,
        "model": view.spec.model,
        "trial": best.number if best else None,
        "score": best.value if best else None,
        "dev": verdict.dev if verdict else None,
        "test": verdict.test if verdict else None,
        "test_ci_low": verdict.low if verdict else None,
        "test_ci_high": verdict.high if verdict else None,
        "against_untuned": claims.get("untuned"),
        "against_defaults": claims.get("defaults"),
        "trials": one.done,
        "runs": one.runs_done,
        "hours": round(spent / 3600, 4),
        "gpu_hours": round(gpu_hours, 4),
    }
    return row if price is None else {**row, "cost": round(gpu_hours * price, 2)}


def as_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return the rows for a person."""
    table = titled()
    headings = [
        "study",
        "tokens",
        "model",
        "trials",
        "best",
        "test",
        "95 % interval",
        "untuned",
        "time",
        "GPU h",
    ]
    priced = any("cost" in row for row in rows)
    for heading in [*headings, *(["cost"] if priced else [])]:
        left = heading in ("study", "model", "untuned")
        table.add_column(heading, justify="left" if left else "right", no_wrap=heading != "model")
    for row in rows:
        low, high = row["test_ci_low"], row["test_ci_high"]
        table.add_row(
            row["study"],
            str(row["seq_len"]),
            row["model"],
            f"{row['trials']}" + (f" + {row['runs']}" if row["runs"] else ""),
            words.score(row["score"] if row["dev"] is None else row["dev"]),
            words.score(row["test"]),
            f"{low:.3f} … {high:.3f}" if low is not None and high is not None else "–",
            row["against_untuned"] or "–",
            words.duration(row["hours"] * 3600),
            f"{row['gpu_hours']:.2f}",
            *([f"{row['cost']:.2f}"] if priced else []),
        )
    return table
