"""What `prepare` and `data show` print: the statistics of prepared data, in English or Korean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from coref_k8s.cli.console import titled
from coref_k8s.cli.strings import Lang
from coref_k8s.report.messages import told

_WORDS: dict[str, tuple[str, str]] = {
    "head": ("prepared data {hash}", "준비된 데이터 {hash}"),
    "documents": ("documents", "문서"),
    "text": ("text", "글"),
    "text_of": ("{characters:,} characters, {words:,} words", "{characters:,}자, 어절 {words:,}개"),
    "density": ("density", "밀도"),
    "density_of": (
        "per 100 words: nouns {nouns:g}, pronouns {pronouns:g}, repeated mentions and pronouns {coref:g}",
        "어절 100개당 명사 {nouns:g}, 대명사 {pronouns:g}, 다시 나온 언급과 대명사 {coref:g}",
    ),
    "tokens": ("tokens", "토큰"),
    "tokens_of": ("{tokens:,} to train on; vocabulary {vocabulary:,}", "학습용 {tokens:,}개; 어휘 {vocabulary:,}개"),
    "mentions": ("mentions", "언급"),
    "mentions_of": ("{share} begin and end at token boundaries", "{share}가 토큰 경계에서 시작하고 끝남"),
    "domains": ("domains", "분야"),
    "source": ("source", "출처"),
    "read": ("read", "읽음"),
    "kept": ("kept", "남음"),
    "revision": ("revision", "리비전"),
    "lost": ("left out: {source}: {reason}", "제외됨: {source}: {reason}"),
    "filtered": ("filters removed: {counts}", "걸러 낸 문서: {counts}"),
    "nothing": ("nothing", "없음"),
    "empty": ("empty", "빈 문서"),
    "too_short": ("too short", "너무 짧음"),
    "too_long": ("too long", "너무 김"),
    "domain": ("other domain", "다른 분야"),
    "same_text": ("same text", "같은 글"),
    "coref_density": ("too little coreference", "상호참조가 너무 적음"),
    "near_duplicate": ("near-duplicate", "거의 같은 글"),
    "length": ("length", "길이"),
    "rows": ("sequences", "시퀀스"),
    "padding": ("padding\nat most", "패딩\n(최대)"),
    "chunks": ("chunks", "조각"),
    "distances": (
        "Distance of a mention to the one before (tokens)",
        "언급과 바로 앞 언급 사이의 거리(토큰)",
    ),
    "document_tokens": ("Documents by length (tokens)", "길이별 문서 수(토큰)"),
    "marks": (
        "Samples: mentions of one entity bear one number, {1|like this}.",
        "예문: 같은 대상을 가리키는 언급에는 같은 번호가 붙습니다. {1|이렇게}",
    ),
    "sequences": ("{length}: {rows:,} sequences", "{length}: 시퀀스 {rows:,}개"),
}  # fmt: skip


def summary(statistics: Mapping[str, Any], lang: Lang) -> str:
    """Return one line: the documents of each split and the sequences of each length."""
    rows = (
        _word("sequences", lang).format(length=length, rows=counts["rows"])
        for length, counts in statistics["lengths"].items()
    )
    return "; ".join([f"{_word('documents', lang)}: {_counts(statistics['documents'])}", *rows])


def losses(statistics: Mapping[str, Any], lang: Lang) -> list[str]:
    """Return a line for every source that was left out."""
    return [
        _word("lost", lang).format(source=lost["source"], reason=told(lost["reason"], lang))
        for lost in statistics["skipped_sources"]
    ]


def data_view(statistics: Mapping[str, Any], lang: Lang, *, samples: bool) -> Iterator[RenderableType]:
    """Yield counts, densities, sources and what was lost of them, lengths, distances and sample texts."""
    yield Text(_word("head", lang).format(hash=statistics["hash"]), style="bold")
    yield ""
    yield _overview(statistics, lang)
    yield ""
    yield _sources(statistics, lang)
    for line in losses(statistics, lang):
        yield Text(line, style="yellow")
    removed = {_word(why, lang): count for why, count in statistics["filters"].items() if count}
    yield Text(_word("filtered", lang).format(counts=_counts(removed) or _word("nothing", lang)))
    yield ""
    yield from _lengths(statistics["lengths"], lang)
    yield ""
    yield _numbers(
        statistics["document_tokens"], [statistics["document_tokens"].values()], "document_tokens", lang
    )
    if samples and statistics["samples"]:
        yield ""
        yield Text(_word("marks", lang))
        for sample in statistics["samples"]:
            yield ""
            yield Text(f"{sample['doc_id']} ({sample['source']})", style="bold")
            yield Text(sample["text"])


def _overview(statistics: Mapping[str, Any], lang: Lang) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    values = {
        "documents": _counts(statistics["documents"]),
        "text": _word("text_of", lang).format(**statistics),
        "density": _word("density_of", lang).format(
            nouns=statistics["noun_density"], pronouns=statistics["pronoun_density"], coref=statistics["coref_density"]
        ),
        "tokens": _word("tokens_of", lang).format(
            tokens=statistics["training_tokens"], vocabulary=statistics["tokenizer"]["vocabulary"]
        ),
        "mentions": _word("mentions_of", lang).format(share=_share(statistics["mentions_aligned"], lang)),
        "domains": _counts(statistics["domains"]),
    }  # fmt: skip
    for key, value in values.items():
        table.add_row(_word(key, lang), Text(value))
    return table


def _sources(statistics: Mapping[str, Any], lang: Lang) -> Table:
    table = titled()
    table.add_column(_word("source", lang), overflow="fold")
    for key in ("read", "kept"):
        table.add_column(_word(key, lang), justify="right", no_wrap=True)
    revisions = statistics["revisions"]
    if revisions:
        table.add_column(_word("revision", lang), no_wrap=True)
    for name, read in statistics["read"].items():
        revision = [revisions.get(name, "")[:12]] if revisions else []
        table.add_row(Text(name), f"{read:,}", f"{statistics['sources'].get(name, 0):,}", *revision)
    return table


def _lengths(lengths: Mapping[str, Any], lang: Lang) -> Iterator[RenderableType]:
    columns = ("rows", "tokens", "padding", "chunks", "mentions")
    table = titled()
    for key in ("length", *columns):
        table.add_column(_word(key, lang), justify="right", no_wrap=True)
    for length, counts in lengths.items():
        table.add_row(
            length,
            *(_share(counts[key], lang) if key == "padding" else f"{counts[key]:,}" for key in columns),
        )
    yield table
    yield ""
    names = next(iter(lengths.values()))["distances"]
    rows = ([length, *counts["distances"].values()] for length, counts in lengths.items())
    yield _numbers([_word("length", lang), *names], rows, "distances", lang)


def _numbers(heads: Iterable[str], rows: Iterable[Iterable[str | int]], title: str, lang: Lang) -> Table:
    table = titled(_word(title, lang))
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else cell for cell in row))
    return table


def _word(key: str, lang: Lang) -> str:
    return _WORDS[key][lang == "ko"]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _share(value: float | None, lang: Lang) -> str:
    return "–" if value is None else f"{100 * value:.1f}{'%' if lang == 'ko' else ' %'}"
