"""The best trial of each length as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from coref_k8s.cli.console import out
from coref_k8s.cli.sheet import FirstThatFits, Sheet, headed
from coref_k8s.cli.speech import lang, said, say
from coref_k8s.client.loading import loading, model_folder
from coref_k8s.controller.view import LengthView, StudyView
from coref_k8s.report.claims import conclusions
from coref_k8s.report.figures import Figure, on_dev, reported
from coref_k8s.report.metrics import gain, interval_of, metric, metrics_of
from coref_k8s.search.records import TrialRecord
from coref_k8s.study.spec import StudySpec
from coref_k8s.wording.formats import difference, interval, parameter, score


def print_best(view: StudyView, root: str = "") -> None:
    """Print the best trial of each length, and how its model is used; `root` is the data folder that paths begin with."""
    code: list[str] = []
    for one in view.lengths:
        for part in _length(view, one):
            out.print(part)
        if (path := model_folder(view, one, root)) is not None:
            # whole lines, to be copied: a terminal wraps them, we do not
            out.print(say("cli.model-is-in", folder=path), soft_wrap=True)
            if view.spec.purpose.kind == "train":
                out.print(say("cli.card-is-in", file=f"{path}/README.md"), soft_wrap=True)
            code = loading(view, path)
            out.print()
    if code:
        out.print(say("cli.load-it"))
        out.print("\n".join(f"  {line}" for line in code), soft_wrap=True)


def _length(view: StudyView, one: LengthView) -> Iterator[RenderableType]:
    found, trial = reported(one), one.best
    if found is None or trial is None:
        yield Text(say("cli.no-complete", length=one.seq_len) + "\n", style="dim")
        return
    told = conclusions(one, view.ended, lang()) if view.spec.purpose.kind == "search" else []
    if one.verdict is not None:  # its first sentence says who wins, with the figures
        head = f"{say('words.of-tokens', length=one.seq_len)}: {told.pop(0)}"
    else:
        head = say("cli.best-of-length", length=one.seq_len, trial=trial.number, figure=found.message)
    yield Text(head, "bold")
    yield from (Text(f"  {sentence}") for sentence in told)
    yield ""
    for figure in _shown(one, found):
        if not figure.given.keys().isdisjoint(metrics_of(view.spec)):  # of too few items there is no number
            yield _metrics(view.spec, figure)
            yield ""
    if "ensemble" in trial.attrs:
        yield from (_ensemble(trial), "")
    claims = [row for row in trial.attrs.get("comparisons", ()) if row["metric"] == "score"]
    for row in claims:
        yield Text(say("verdict.on-split", split=row["split"], said=said(row["sentence"])))
    if claims:
        yield ""
    if trial.params:
        yield from (_parameters(trial), "")


def _shown(one: LengthView, found: Figure) -> Iterator[Figure]:
    """Yield the figures that have a table: what the heading says, and the scores on dev where they are of the same model."""
    yield found
    dev = on_dev(one)
    if dev is not None and dev.metrics and dev.split != found.split:
        yield dev


def _ensemble(trial: TrialRecord) -> Sheet:
    """Return the single models and the ways to join them, with what came out."""
    table = headed(
        "words.model", "words.trials", "words.metric-score", "cli.against-best", "words.interval", "",
        left=("words.trials",), wrapped=("words.model", ""), title=say("cli.ensemble-on-dev"),
        spare=("words.trials", "words.interval"),
    )  # fmt: skip
    for row in trial.attrs.get("ensemble", ()):
        compared = row.get("difference") is not None
        table.row(
            said(row["way"]),
            " ".join(map(str, row["members"])),
            score(row["score"]),
            difference(row["difference"]) if compared else "",
            interval(row["low"], row["high"], difference) if compared else "",
            said(row["verdict"]),
        )
    return table


def _metrics(spec: StudySpec, figure: Figure) -> Sheet:
    """Return what was scored; gains and reference metrics where the task has them."""
    metrics: Mapping[str, Any] = figure.given
    names = [name for name in metrics_of(spec) if name in metrics]
    gains = any(f"{name}_gain" in metrics for name in names)
    references = any(f"seed_{name}" in metrics for name in names)
    table = headed(
        "words.metric", "words.value", *(["words.gain"] if gains else []), "words.interval",
        *(["cli.reference"] if references else []), left=("words.metric",),
        spare=("cli.reference", "words.gain"), title=figure.of.say(lang()),
    )  # fmt: skip
    for name in names:
        table.row(
            metric(name, lang()),
            score(metrics[name]),
            *([gain(metrics, name)] if gains else []),
            interval_of(metrics, name),
            *([score(metrics.get(f"seed_{name}"))] if references else []),
        )
    return table


def _parameters(trial: TrialRecord) -> FirstThatFits:
    """Return the parameters in two pairs of columns, or in one where there is no room for two."""
    pairs = [(name, parameter(value)) for name, value in trial.params.items()]
    half = (len(pairs) + 1) // 2
    two = headed(*(("words.parameter", "words.value") * 2), left=("words.parameter",))
    for left, right in zip(pairs[:half], [*pairs[half:], ("", "")], strict=False):
        two.row(*left, *right)
    one = headed("words.parameter", "words.value", left=("words.parameter",))
    for pair in pairs:
        one.row(*pair)
    return FirstThatFits(two, one)
