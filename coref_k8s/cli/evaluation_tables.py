"""What `evaluate` and `compare` print: an evaluation and a comparison as tables, in English or Korean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table

from coref_k8s.cli import words
from coref_k8s.cli.console import titled
from coref_k8s.cli.strings import Lang
from coref_k8s.report.messages import told

if TYPE_CHECKING:
    from coref_k8s.evaluation.compare import Difference
    from coref_k8s.evaluation.result import EvaluationResult

_WORDS: dict[str, tuple[str, str]] = {
    "metric": ("metric", "지표"),
    "value": ("value", "값"),
    # in two lines, so that every number has room in 80 columns
    "context": ("by\ncontext", "문맥의\n이득"),
    "interval": ("95 %\ninterval", "95%\n신뢰구간"),
    "nothing": ("no\nmodel", "모델\n없이"),
    "founding": ("founding\nway", "기준\n문서식"),
    "founding_nothing": ("its no\nmodel", "그 모델\n없이"),
    "distance": ("distance\n(tokens)", "거리\n(토큰)"),
    "items": ("items", "문항"),
    "head": (
        "{model}, {length} tokens, {where}: score {score}",
        "{model}, {length} 토큰, {where}: 점수 {score}",
    ),
    "documents": ("{split} documents", "{split} 문서"),
    "warning": ("warning: {message}", "경고: {message}"),
    "few": ("n too small", "문항 부족"),
    "gain": ("Top5 by\ncontext", "Top5 문맥\n이득"),
    "more": ("more of the same items", "같은 문항, 다른 물음"),
    "chance": ("chance", "우연"),
    "closed1": ("chosen among the window's nouns, Top1", "창 안의 명사 중에서 고름, Top1"),
    "closed5": ("chosen among the window's nouns, Top5", "창 안의 명사 중에서 고름, Top5"),
    "swapped": ("the word swapped for a stranger, Top1", "낯선 말로 바꾸어도 따라옴, Top1"),
    "truncated": ("left context of 256 tokens only, Top5", "왼쪽 문맥 256토큰만, Top5"),
    "truncated_gain": ("what the rest of the context adds", "나머지 문맥의 이득"),
    "difference": ("difference", "차이"),
    "of": ("{items} of {documents}", "{documents}개의 {items}"),
    "items_of": ("items of\ndocuments", "문서와\n문항"),
    "better": ("better", "나음"),
    "worse": ("worse", "못함"),
    "no difference shown": ("no difference shown", "차이 미확인"),
    "score": ("score", "점수"),
    "coref_top1_gain": ("Top1 by context", "Top1 문맥 이득"),
    "coref_top5_gain": ("Top5 by context", "Top5 문맥 이득"),
    "lbd_top1_gain": ("LAMBADA by context", "LAMBADA 문맥 이득"),
    "coref_closed1": ("closed Top1", "고르기 Top1"),
    "coref_closed5": ("closed Top5", "고르기 Top5"),
    "swap_top1": ("swapped Top1", "바꾼 말 Top1"),
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


def metric_name(name: str, lang: Lang) -> str:
    """Return a metric's name for people; one of the user's own as it is."""
    return word(name, lang) if name in _WORDS else words.METRICS.get(name, name)


def heading(result: EvaluationResult, model: str, text: str | None, split: str, lang: Lang) -> str:
    """Return what was scored on what, and the score."""
    where = text or word("documents", lang).format(split=split)
    return word("head", lang).format(
        model=model, length=result.seq_len, where=where, score=words.score(result.score)
    )


def remarks(result: EvaluationResult, lang: Lang) -> tuple[str, list[str]]:
    """Return how many items of each kind there were, and the warnings."""
    counted = ", ".join(f"{kind} {count}" for kind, count in result.counts.items())
    warnings = [word("warning", lang).format(message=told(one, lang)) for one in result.warnings]
    return f"{word('items', lang)}: {counted}", warnings


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
    if "coref_closed1" in m:
        parts += ["", _arms(m, lang)]
    if result.buckets:
        parts += ["", _buckets(result, lang)]
    if "conll_f1" in m:
        parts += ["", _conll(m, lang)]
    return Group(*parts)


def _arms(m: dict[str, float], lang: Lang) -> Table:
    """What the headline leaves out: closed questions with their chance, the swapped and the truncated arm."""
    table = _table(("more", "value", "context", "interval", "chance"), lang)
    rows = (("closed1", "coref_closed1"), ("closed5", "coref_closed5"), ("swapped", "swap_top1"),
            ("truncated", "coref_top5_truncated"))  # fmt: skip
    for heading, name in rows:
        if name in m:
            table.add_row(
                word(heading, lang), words.score(m[name]), words.gain(m, name), words.interval(m, name),
                words.score(m.get(f"{name}_chance")),
            )  # fmt: skip
    if (gain := m.get("coref_top5_truncated_gain")) is not None:
        interval = words.interval(m, "coref_top5_truncated_gain")
        table.add_row(word("truncated_gain", lang), f"{gain:+.3f}", "", interval, "")
    return table


def claim(one: Difference, model: str, other: str, lang: Lang) -> str:
    """Return the sentence that may be claimed, with the figures it rests on."""
    if lang == "en":
        return one.sentence(model, other)
    metric = metric_name(one.metric, lang)
    if not one.items:
        return f"{metric}: 함께 물은 문항이 없어 차이를 확인할 수 없습니다."
    # names may end in any letter, so no particle follows them directly
    said = {
        "better": f"「{model}」 모델이 「{other}」 모델보다 낫습니다",
        "worse": f"「{model}」 모델이 「{other}」 모델보다 못합니다",
    }.get(one.verdict, f"「{model}」 모델과 「{other}」 모델의 차이가 확인되지 않았습니다")
    few = "; 문서가 너무 적어 주장할 수 없음" if one.few else ""
    return (
        f"{said}: {metric} {one.a:.3f} 대 {one.b:.3f} (차이 {one.difference:+.3f}, "
        f"95% 신뢰구간 {one.low:+.3f} … {one.high:+.3f}; 문서 {one.documents}개의 문항 {one.items}개{few})."
    )


def comparison(found: Sequence[Difference], model: str, other: str, lang: Lang) -> RenderableType:
    """Return the differences of all metrics; A and B are named above, since a path has no room in a column."""
    table = titled()
    table.add_column(word("metric", lang))
    for heading in ("A", "B", word("difference", lang), word("interval", lang), word("items_of", lang)):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for one in found:
        table.add_row(
            metric_name(one.metric, lang),
            words.score(one.a),
            words.score(one.b),
            f"{one.difference:+.3f}",
            f"{one.low:+.3f} … {one.high:+.3f}",
            word("of", lang).format(items=one.items, documents=one.documents),
            word(one.verdict, lang),
        )
    return Group(f"A: {model}\nB: {other}\n", table)


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
