"""Scores of chains as people read them: what they are to be held against, and where they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from coref_k8s.coref.formats.pieces import pieces
from coref_k8s.report.context import Context
from coref_k8s.report.html import Cell, grouped, table, whisker
from coref_k8s.report.metrics import interval_of
from coref_k8s.wording import Lang, say
from coref_k8s.wording.formats import number, score

#: What end-to-end scores are held against, by the beginning of their names: other questions, and no model at all.
BESIDE = ("gold", "equal", "alone", "gold_equal", "gold_alone")
#: Other ways to match mentions and to count (`CorefScores`).
VIEWS = ("exact", "exact-no-singletons", "head", "head-no-singletons")


def beside(metrics: Mapping[str, Any], lang: Lang = "en") -> Iterator[tuple[str, str]]:
    """Yield what there is beside the CoNLL score, in words, and the metric that has it."""
    names = {name: f"scores.chains-{name}" for name in BESIDE}
    names |= {view.replace("-", "_"): f"scores.view-{view}" for view in VIEWS}
    for name, code in names.items():
        if (key := f"{name}_conll_f1") in metrics:
            yield say(code, lang), key


def links(counts: Mapping[str, int], lang: Lang = "en", of: str = "recall") -> Iterator[tuple[str, int, str]]:
    """Yield kinds of mentions with an antecedent: in words, by type and by distance, how many, and the metric of them."""
    for name, n in counts.items():
        if name.startswith(f"{of}_"):
            kind = name.removeprefix(f"{of}_")
            low, _, high = kind.partition("_")
            if low.isdecimal():
                span = number(int(low) + 1) + (f"–{number(int(high))}" if high else "+")
                words = say("words.of-tokens", lang, length=span)
            else:
                words = say(f"scores.type-{kind}", lang)
            yield words, n, name


def antecedents(page: Context) -> str:
    """The best trial of each length: which earlier mention gold mentions go back to, by type and distance."""
    rows: list[list[Cell]] = []
    for one in page.view.lengths:
        if one.best is None:
            continue
        metrics, counts = one.best.metrics, one.best.attrs.get("evidence", {}).get("counts", {})
        for words, n, key in links(counts, page.lang, "antecedent"):
            if key in metrics:
                guesses = [metrics[f"baseline_{guess}_{key}"] for guess in ("frequent", "nearest")]
                low, high = (metrics.get(f"{key}_ci_{end}") for end in ("low", "high"))
                line = whisker(metrics[key], low, high, guess=max(guesses))
                rows.append(
                    [
                        str(one.seq_len), words, number(n), score(metrics[key]), line, interval_of(metrics, key),
                        *map(score, guesses),
                    ]
                )  # fmt: skip
    if not rows:
        return ""
    heads = page.heads(
        "words.tokens", "scores.anaphors", "words.items", "scores.accuracy", "", "words.interval",
        "scores.most-frequent", "scores.nearest",
    )  # fmt: skip
    return page.about("report.antecedents-about") + table(heads, grouped(rows), left=2)


def chains(page: Context) -> str:
    """The best trial of each length: its CoNLL score beside others, and links by type of mention and distance."""
    rows: list[list[Cell]] = []
    found: list[list[Cell]] = []
    for one in page.view.lengths:
        if one.best is None:
            continue
        metrics = one.best.metrics
        for words, key in beside(metrics, page.lang):
            low, high = (metrics.get(f"{key}_ci_{end}") for end in ("low", "high"))
            line = whisker(metrics[key], low, high, guess=metrics.get("conll_f1"))
            rows.append([str(one.seq_len), words, score(metrics[key]), line, interval_of(metrics, key)])
        counts = one.best.attrs.get("evidence", {}).get("counts", {})
        for words, n, key in links(counts, page.lang):
            if (share := metrics.get(key)) is not None:
                found.append([str(one.seq_len), words, number(n), score(share), whisker(share)])
    if not rows:
        return ""
    first = page.heads("words.tokens", "scores.beside", "scores.conll", "", "words.interval")
    second = page.heads("words.tokens", "scores.anaphors", "words.items", "scores.recall", "")
    return (
        page.about("report.chains-about") + table(first, grouped(rows), left=2)
        + page.about("report.links-about") + table(second, grouped(found), left=2)
    )  # fmt: skip


@dataclass(frozen=True)
class _Mark:
    start: int
    end: int
    chain: int


@dataclass(frozen=True)
class _Marked:
    """A text with mentions, as `pieces` cuts it."""

    text: str
    mentions: list[_Mark]


def sample(page: Context) -> str:
    """The beginning of a dev document as the best model of the longest length resolved it, beside its gold chains."""
    shown = [
        (one.seq_len, found)
        for one in page.view.lengths
        if one.best is not None and (found := one.best.attrs.get("evidence", {}).get("sample"))
    ]
    if not shown:
        return ""
    seq_len, found = shown[-1]
    about = page.about("report.sample-about", document=found["doc_id"], length=seq_len)
    return about + marked(page, found)


def marked(page: Context, found: Mapping[str, Any]) -> str:
    """Return a text as a model resolved it, beside its gold chains; `found` is a trial's `sample`."""
    gold = [set(map(tuple, spans)) for spans in found["gold"]]
    numbers, free = [], len(gold)
    for spans in found["found"]:
        # an entity has the number and colour of the gold one with which it shares most, and which no other has
        common = [
            len(one & set(map(tuple, spans))) * (number not in numbers) for number, one in enumerate(gold)
        ]
        best = max(range(len(gold)), key=common.__getitem__, default=0)
        if common and common[best]:
            numbers.append(best)
        else:
            numbers.append(free)
            free += 1
    parts = [
        f'<div><h3>{page.say(f"report.sample-{name}")}</h3><p class="who" lang="ko">{_who(found["text"], chains, numbered)}</p></div>'
        for name, chains, numbered in (
            ("found", found["found"], numbers),
            ("gold", found["gold"], range(len(gold))),
        )
    ]
    return f'<div class="two">{"".join(parts)}</div>'


def _who(text: str, chains: Sequence[Sequence[Sequence[int]]], numbers: Sequence[int]) -> str:
    marks = [
        _Mark(start, end, number)
        for number, spans in zip(numbers, chains, strict=True)
        for start, end in spans
    ]
    marks.sort(key=lambda one: (one.start, -one.end))
    parts = []
    for piece in pieces(_Marked(text, marks)):
        if piece.mention is None:
            parts.append(escape(piece.text))
        elif piece.kind == "open":
            parts.append(f'<mark class="c{piece.mention.chain % 5}">')
        else:
            parts.append("</mark>" if piece.again else f"<sub>{piece.mention.chain + 1}</sub></mark>")
    return "".join(parts)
