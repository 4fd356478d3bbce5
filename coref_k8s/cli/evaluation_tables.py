"""What `evaluate` and `compare` print: an evaluation and a comparison as tables, in English or Korean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table

from coref_k8s.cli import words
from coref_k8s.cli.console import titled
from coref_k8s.cli.strings import Lang

if TYPE_CHECKING:
    from coref_k8s.evaluation.compare import Difference
    from coref_k8s.evaluation.result import EvaluationResult

_WORDS: dict[str, tuple[str, str]] = {
    "metric": ("metric", "지표"),
    "value": ("value", "값"),
    "context": ("by context", "문맥의 몫"),
    "interval": ("95 % interval", "95 % 구간"),
    "nothing": ("no model", "모델 없이"),
    "founding": ("founding way", "처음 방식"),
    "founding_nothing": ("its no model", "그 모델 없이"),
    "distance": ("distance (tokens)", "거리 (토큰)"),
    "items": ("items", "문항"),
    "few": ("n too small", "문항이 너무 적음"),
    "gain": ("Top5 by context", "Top5 문맥의 몫"),
    "difference": ("difference", "차이"),
    "of": ("{items} of {documents} documents", "문서 {documents}개의 {items}"),
    "better": ("better", "더 좋음"),
    "worse": ("worse", "더 나쁨"),
    "no difference shown": ("no difference shown", "차이가 확인되지 않음"),
    "conll": ("gold chains", "정답 사슬"),
    "recall": ("recall", "재현율"),
    "precision": ("precision", "정밀도"),
    "note": (
        "no model: the best of three lists of five nouns (the window's most frequent, its nearest, and always the "
        "same five) on the same items.",
        "모델 없이: 같은 문항에 명사 다섯 개짜리 목록 세 가지(창에서 가장 잦은 것, 가장 가까운 것, 늘 같은 다섯 개)로 답했을 때 가장 좋은 값.",
    ),
}
#: The lists that guess without a model, as in the metrics' names.
_LISTS = ("frequent", "nearest", "constant")
_SEED_LISTS = ("baseline_seed", "baseline_seed_frequent", "baseline_seed_nearest")
_CONLL = {"muc": "MUC", "b3": "B³", "ceafe": "CEAFe", "lea": "LEA"}


def word(key: str, lang: Lang) -> str:
    """Return a heading or verdict in a language."""
    return _WORDS[key][lang == "ko"]


def evaluation(result: EvaluationResult, lang: Lang) -> RenderableType:
    """Return the metrics with what no model scores, the distance buckets, and the CoNLL scores if there are any."""
    m = result.metrics
    headings = ("metric", "value", "context", "interval", "nothing", "founding", "founding_nothing")
    table = _table(headings, lang)
    for name, heading in words.METRICS.items():
        if name in m:
            table.add_row(
                heading,
                words.score(m[name]),
                words.gain(m, name),
                words.interval(m, name),
                words.score(_best(m, [f"baseline_{one}_{name.removeprefix('coref_')}" for one in _LISTS])),
                words.score(m.get(f"seed_{name}")),
                words.score(_best(m, [f"{one}_{name}" for one in _SEED_LISTS])),
            )
    parts: list[RenderableType] = [table, word("note", lang)]
    if result.buckets:
        parts += ["", _buckets(result, lang)]
    if "conll_f1" in m:
        parts += ["", _conll(m, lang)]
    return Group(*parts)


def comparison(found: Sequence[Difference], model: str, other: str, lang: Lang) -> Table:
    """Return the differences of all metrics."""
    table = titled()
    for heading in (
        word("metric", lang), model, other, word("difference", lang), word("interval", lang), word("items", lang), "",
    ):  # fmt: skip
        table.add_column(heading, justify="left" if heading in (word("metric", lang), "") else "right")
    for one in found:
        table.add_row(
            words.METRICS.get(one.metric, one.metric),
            words.score(one.a),
            words.score(one.b),
            f"{one.difference:+.3f}",
            f"{one.low:+.3f} … {one.high:+.3f}",
            word("of", lang).format(items=one.items, documents=one.documents),
            word(one.verdict, lang),
        )
    return table


def _buckets(result: EvaluationResult, lang: Lang) -> Table:
    table = _table(("distance", "items"), lang)
    for heading in ("Top1", word("interval", lang), "Top5", word("interval", lang), word("gain", lang)):
        table.add_column(heading, justify="right", no_wrap=True)
    for bucket in result.buckets:
        scores: dict[str, Any] = bucket.scores or {}
        cells = [
            text
            for name in ("coref_top1", "coref_top5")
            for text in (words.score(scores.get(name)), words.interval(scores, name))
        ]
        table.add_row(
            f"{bucket.above + 1}–{min(bucket.up_to, result.seq_len)}",
            str(bucket.n),
            *(cells if scores else [word("few", lang), "", "", ""]),
            words.gain(scores, "coref_top5") if scores else "",
        )
    return table


def _conll(metrics: dict[str, float], lang: Lang) -> Table:
    table = _table(("conll", "recall", "precision"), lang)
    table.add_column("F1", justify="right")
    for name, heading in (*((f"conll_{key}", text) for key, text in _CONLL.items()), ("conll", "CoNLL")):
        table.add_row(
            heading, *(words.score(metrics[f"{name}_{part}"]) for part in ("recall", "precision", "f1"))
        )
    return table


def _table(headings: Sequence[str], lang: Lang) -> Table:
    table = titled()
    for number, key in enumerate(headings):
        table.add_column(word(key, lang), justify="right" if number else "left", no_wrap=True)
    return table


def _best(metrics: dict[str, float], names: Sequence[str]) -> float | None:
    return max((metrics[name] for name in names if name in metrics), default=None)
