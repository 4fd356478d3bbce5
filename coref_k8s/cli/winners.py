"""The best trial of each length as a person reads it."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from coref_k8s.cli.console import headed
from coref_k8s.cli.speech import lang, said, say
from coref_k8s.client.results import folder
from coref_k8s.controller.view import StudyView
from coref_k8s.report.claims import conclusions
from coref_k8s.report.metrics import gain, interval_of, metric, metrics_of
from coref_k8s.search.records import TrialRecord
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording.formats import difference, interval, parameter, score


def best_tables(view: StudyView, root: str = "") -> RenderableType:
    """Return the best trial of each length for a person; `root` is the data folder that paths begin with."""
    parts: list[RenderableType] = []
    for one in view.lengths:
        if (trial := one.best) is None:
            parts.append(Text(say("cli.no-complete", length=one.seq_len) + "\n", style="dim"))
            continue
        head = say("cli.best-of-length", length=one.seq_len, trial=trial.number, score=one.score)
        parts.append(Text(head, "bold"))
        if view.spec.purpose.kind == "search":
            parts += [Text(f"  {sentence}") for sentence in conclusions(one, view.ended, lang())]
        parts += ["", _metrics(view.spec, one.verdict.metrics if one.verdict else trial.metrics), ""]
        parts += _tested(view.spec, trial)
        if trial.params:
            parts += [_parameters(trial), ""]
        parts.append(Text(say("cli.files", folder=f"{root}{folder(view, one)}") + "\n"))
    return Group(*parts)


def _tested(spec: StudySpec, trial: TrialRecord) -> list[RenderableType]:
    """Return what a final training or an ensemble has to show beside its scores on dev; nothing for others."""
    attrs, parts = trial.attrs, list[RenderableType]()
    if "ensemble" in attrs:
        parts += [_ensemble(trial), ""]
    if "test" in attrs:
        parts += [say("cli.test-documents"), "", _metrics(spec, attrs["test"]["metrics"]), ""]
    claims = [Text(said(one["sentence"])) for one in attrs.get("comparisons", ()) if one["metric"] == "score"]
    return [*parts, *claims, ""] if claims else parts


def _ensemble(trial: TrialRecord) -> Table:
    """Return the single models and the ways to join them, with what came out."""
    table = headed(
        "words.model", "words.trials", "words.metric-score", "cli.against-best", "words.interval", "",
        left=("words.model", "words.trials", ""), wrapped=("words.model", "cli.against-best", ""),
    )  # fmt: skip
    for row in trial.attrs.get("ensemble", ()):
        compared = row.get("difference") is not None
        table.add_row(
            said(row["way"]),
            " ".join(map(str, row["members"])),
            score(row["score"]),
            difference(row["difference"]) if compared else "",
            interval(row["low"], row["high"], difference) if compared else "",
            said(row["verdict"]),
        )
    return table


def _metrics(spec: StudySpec, metrics: dict[str, Any]) -> Table:
    """Return what was scored; gains and reference metrics where the task has them."""
    names = [name for name in metrics_of(spec) if name in metrics]
    gains = any(f"{name}_gain" in metrics for name in names)
    references = any(f"seed_{name}" in metrics for name in names)
    table = headed(
        "words.metric", "words.value", *(["words.gain"] if gains else []), "words.interval",
        *(["cli.reference"] if references else []), left=("words.metric",),
    )  # fmt: skip
    for name in names:
        table.add_row(
            metric(name, lang()),
            score(metrics[name]),
            *([gain(metrics, name)] if gains else []),
            interval_of(metrics, name),
            *([score(metrics.get(f"seed_{name}"))] if references else []),
        )
    return table


def _parameters(trial: TrialRecord) -> Table:
    pairs = [(name, parameter(value)) for name, value in trial.params.items()]
    half = (len(pairs) + 1) // 2
    table = headed(*(("words.parameter", "words.value") * 2), left=("words.parameter",))
    for left, right in zip(pairs[:half], [*pairs[half:], ("", "")], strict=False):
        table.add_row(*left, *right)
    return table
