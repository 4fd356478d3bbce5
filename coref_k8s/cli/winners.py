"""The best trial of each length as a person reads it, in English or Korean."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from coref_k8s.cli import words
from coref_k8s.cli.console import titled
from coref_k8s.cli.strings import say
from coref_k8s.client.results import folder
from coref_k8s.controller.view import StudyView
from coref_k8s.report.messages import told
from coref_k8s.report.verdict import Lang, standing
from coref_k8s.search.records import TrialRecord


def best_tables(view: StudyView, root: str = "", lang: Lang = "en") -> RenderableType:
    """Return the best trial of each length for a person; `root` is the data folder that paths begin with."""
    parts: list[RenderableType] = []
    for one in view.lengths:
        if (trial := one.best) is None:
            parts.append(
                Text(f"{say(lang, 'tokens', n=one.seq_len)}: {say(lang, 'no_complete')}\n", style="dim")
            )
            continue
        parts.append(
            Text.assemble(
                (say(lang, "tokens", n=one.seq_len), "bold"),
                f": {say(lang, 'trial', n=trial.number)}, {say(lang, 'h_score')} ",
                (words.score(one.verdict.dev if one.verdict else trial.value), "bold green"),
            )
        )
        if view.spec.purpose.kind == "search":
            parts += [Text(f"  {said}") for said in standing(one, view.ended, lang)]
        parts += ["", _metrics(one.verdict.metrics if one.verdict else trial.metrics, lang), ""]
        parts += _tested(trial, lang)
        if trial.params:
            parts += [_parameters(trial, lang), ""]
        parts.append(Text(f"{say(lang, 'h_files')}: {root}{folder(view, one)}\n"))
    return Group(*parts)


def _tested(trial: TrialRecord, lang: Lang) -> list[RenderableType]:
    """Return what a final training or an ensemble has to show beside its scores on dev; nothing for others."""
    attrs, parts = trial.attrs, list[RenderableType]()
    if "ensemble" in attrs:
        parts += [_ensemble(trial, lang), ""]
    if "test" in attrs:
        parts += [f"{say(lang, 'h_test')}:", "", _metrics(attrs["test"]["metrics"], lang), ""]
    said = [
        Text(told(one["sentence"], lang)) for one in attrs.get("comparisons", ()) if one["metric"] == "score"
    ]
    return [*parts, *said, ""] if said else parts


def _ensemble(trial: TrialRecord, lang: Lang) -> Table:
    """Return the single models and the ways to join them, with what came out."""
    table = titled()
    table.add_column(say(lang, "h_model"), no_wrap=True)
    table.add_column(say(lang, "h_trials"))
    for heading in ("h_score", "h_against", "h_interval"):
        table.add_column(say(lang, heading), justify="right", no_wrap=True)
    table.add_column("")
    for row in trial.attrs.get("ensemble", ()):
        difference = row.get("difference")
        table.add_row(
            row["way"],
            " ".join(map(str, row["members"])),
            words.score(row["score"]),
            "" if difference is None else f"{difference:+.3f}",
            "" if difference is None else f"{row['low']:+.3f} … {row['high']:+.3f}",
            told(row["verdict"], lang),
        )
    return table


def _metrics(metrics: dict[str, Any], lang: Lang) -> Table:
    table = titled()
    table.add_column(say(lang, "h_metric"), no_wrap=True)
    for heading in ("h_value", "h_context", "h_interval", "h_founding"):
        table.add_column(say(lang, heading), justify="right")
    for name, heading in words.METRICS.items():
        if name in metrics:
            table.add_row(
                heading,
                words.score(metrics[name]),
                words.gain(metrics, name),
                words.interval(metrics, name),
                words.score(metrics.get(f"seed_{name}")) if f"seed_{name}" in metrics else "",
            )
    return table


def _parameters(trial: TrialRecord, lang: Lang) -> Table:
    table = titled()
    pairs = [(name, words.parameter(value)) for name, value in trial.params.items()]
    half = (len(pairs) + 1) // 2
    for heading in ("h_parameter", "h_value", "h_parameter", "h_value"):
        table.add_column(
            say(lang, heading), no_wrap=True, justify="right" if heading == "h_value" else "left"
        )
    for left, right in zip(pairs[:half], [*pairs[half:], ("", "")], strict=False):
        table.add_row(*left, *right)
    return table
