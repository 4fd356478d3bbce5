"""What `evaluate` and `compare` print: an evaluation and a comparison as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType

from coref_k8s.cli.sheet import Sheet, headed
from coref_k8s.cli.speech import lang, said, say
from coref_k8s.report import chains
from coref_k8s.report.claims import claim as claimed
from coref_k8s.report.metrics import gain, guess_without, interval_of, metric
from coref_k8s.study.tasks import SHOWN
from coref_k8s.wording import has
from coref_k8s.wording.formats import difference, interval, number, score

if TYPE_CHECKING:
    from coref_k8s.evaluation.compare import Difference
    from coref_k8s.evaluation.result import EvaluationResult

_SEED_LISTS = ("baseline_seed", "baseline_seed_frequent", "baseline_seed_nearest")
_CHAINS = ("conll", "muc", "b3", "ceafe", "lea", "mention")


def heading(result: EvaluationResult, model: str, text: str | None, split: str) -> str:
    """Return what was scored on what, and the score."""
    where = text or say("scores.documents", split=split)
    code = "scores.head" if "score" in result.given else "scores.head-too-few"
    between = interval_of(result.metrics, "score")
    return say(code, model=model, length=result.seq_len, where=where, score=result.score, between=between)


def remarks(result: EvaluationResult) -> tuple[str, list[str]]:
    """Return how many items of each kind there were, and the warnings."""
    shown = {kind: n for kind, n in result.counts.items() if not kind.startswith(("recall_", "antecedent_"))}
    counted = ", ".join(f"{_kind(kind)} {number(count)}" for kind, count in shown.items())
    return say("scores.items", counts=counted), [said(one) for one in result.warnings]


def _kind(kind: str) -> str:
    """Return what items of a kind are called; those of the reference metrics bear the metric's name."""
    if kind.startswith("seed_"):
        return say("scores.kind-reference", metric=metric(kind.removeprefix("seed_"), lang()))
    code = f"scores.kind-{kind}"
    return say(code) if has(code) else kind


def evaluation(result: EvaluationResult) -> RenderableType:
    """Return the metrics with what no model scores, and the distance buckets; of chains what `_chains` says."""
    if result.view:
        return _chains(result)
    m, counted = result.given, result.metrics
    table = headed(
        "words.metric", "words.value", "scores.context", "scores.interval", "scores.no-model", "scores.reference",
        "scores.reference-no-model", left=("words.metric",),
        spare=("scores.reference-no-model", "scores.reference", "scores.no-model", "scores.context"),
    )  # fmt: skip
    for name in SHOWN["mentions"]:
        if name in counted:
            table.row(
                metric(name, lang()),
                score(m[name]) if name in m else say("words.too-small"),
                gain(m, name),
                interval_of(m, name),
                score(guess_without(m, name) if name in m else None),
                score(m.get(f"seed_{name}")),
                score(_best(m, [f"{one}_{name}" for one in _SEED_LISTS])),
            )
    parts: list[RenderableType] = [table, say("scores.note")]
    if "coref_closed1" in m:
        parts += ["", _arms(m)]
    if result.buckets:
        parts += ["", _buckets(result)]
    if "antecedent" in result.counts:
        parts += ["", _antecedents(result)]
    return Group(*parts)


def _arms(m: dict[str, float]) -> Sheet:
    """What the headline leaves out: closed questions with their chance, the swapped and the truncated arm."""
    table = headed(
        "scores.more",
        "words.value",
        "scores.context",
        "scores.interval",
        "scores.chance",
        left=("scores.more",),
        spare=("scores.chance", "scores.context"),
    )
    rows = (("scores.closed1", "coref_closed1"), ("scores.closed5", "coref_closed5"), ("scores.swapped", "swap_top1"),
            ("scores.truncated", "coref_top5_truncated"))  # fmt: skip
    for code, name in rows:
        if name in m:
            table.row(
                say(code), score(m[name]), gain(m, name), interval_of(m, name),
                score(m.get(f"{name}_chance")),
            )  # fmt: skip
    if (more := m.get("coref_top5_truncated_gain")) is not None:
        between = interval_of(m, "coref_top5_truncated_gain", difference)
        table.row(say("scores.truncated-gain"), difference(more), "", between, "")
    return table


def claim(one: Difference, model: str, other: str) -> str:
    """Return the sentence that may be claimed, with the figures it rests on."""
    return one.sentence(model, other).say(lang())


def comparison(found: Sequence[Difference], model: str, other: str, where: str) -> RenderableType:
    """Return the differences of all metrics; A and B, and `where` both were asked, stand above: a path has no room in a column."""
    table = headed(
        "words.metric", "scores.a", "scores.b", "words.difference", "scores.interval", "scores.items-of", "",
        left=("words.metric", ""), wrapped=("words.metric", ""), spare=("scores.items-of", "scores.a", "scores.b"),
    )  # fmt: skip
    for one in found:
        table.row(
            metric(one.metric, lang()),
            score(one.a),
            score(one.b),
            difference(one.difference),
            interval(one.low, one.high, difference),
            say("scores.of", items=one.items, documents=one.documents),
            claimed(one.claim, lang()),
        )
    return Group(f"A: {model}\nB: {other}\n{say('scores.compared', where=where)}\n", table)


def _buckets(result: EvaluationResult) -> Sheet:
    table = headed(
        "scores.distance", "words.items", "scores.top1", "scores.interval", "scores.top5", "scores.interval",
        "scores.gain", left=("scores.distance",), spare=("scores.gain", "scores.interval"),
    )  # fmt: skip
    for bucket in result.buckets:
        scores: dict[str, Any] = bucket.scores or {}
        cells = [
            text
            for name in ("coref_top1", "coref_top5")
            for text in (score(scores.get(name)), interval_of(scores, name))
        ]
        table.row(
            f"{number(bucket.above + 1)}–{number(min(bucket.up_to, result.seq_len))}",
            str(bucket.n),
            *(cells if scores else [say("words.too-small"), "", "", ""]),
            gain(scores, "coref_top5") if scores else "",
        )
    return table


def _antecedents(result: EvaluationResult) -> Sheet:
    """Return which earlier mention gold mentions go back to, beside two choices without a model."""
    m = result.metrics
    table = headed(
        "scores.anaphors", "words.items", "scores.accuracy", "scores.interval", "scores.most-frequent", "scores.nearest",
        left=("scores.anaphors",),
    )  # fmt: skip
    kinds = [
        (say("scores.all"), result.counts["antecedent"], "antecedent"),
        *chains.links(result.counts, lang(), "antecedent"),
    ]
    for words, n, key in kinds:
        few = key not in m
        table.row(
            words, number(n), say("words.too-small") if few else score(m[key]), "" if few else interval_of(m, key),
            *("" if few else score(m[f"baseline_{guess}_{key}"]) for guess in ("frequent", "nearest")),
        )  # fmt: skip
    return table


def _chains(result: EvaluationResult) -> RenderableType:
    """What a coreference model finds: the scores, what they are to be held against, and where they come from."""
    m = result.metrics
    table = headed(
        "scores.end-to-end", "scores.recall", "scores.precision", "scores.f1", "scores.interval",
        left=("scores.end-to-end",), spare=("scores.recall", "scores.precision"),
    )  # fmt: skip
    for name in _CHAINS:
        parts = (score(m[f"{name}_{part}"]) for part in ("recall", "precision", "f1"))
        table.row(metric(f"{name}_f1", lang()), *parts, interval_of(m, f"{name}_f1"))
    beside = headed("scores.beside", "scores.conll", "scores.interval", left=("scores.beside",))
    for words, key in chains.beside(m, lang()):
        beside.row(words, score(m[key]), interval_of(m, key))
    found = headed("scores.anaphors", "words.items", "scores.recall", left=("scores.anaphors",))
    for words, n, key in chains.links(result.counts, lang()):
        if n:
            found.row(words, number(n), score(m.get(key)))
    view = say(f"scores.view-{result.view}")
    ceiling = say("scores.ceiling", view=view, share=m.get("representable", 1.0))
    return Group(table, ceiling, "", beside, "", found)


def _best(metrics: dict[str, float], names: Sequence[str]) -> float | None:
    return max((metrics[name] for name in names if name in metrics), default=None)
