"""What `prepare` and `data show` print: the statistics of prepared data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from coref_k8s.cli.sheet import Sheet, headed
from coref_k8s.cli.speech import lang, said, say
from coref_k8s.wording import Message, has
from coref_k8s.wording.formats import number, percent


def summary(statistics: Mapping[str, Any]) -> str:
    """Return one line: the documents of each split, and the sequences of each length or the chains to train on."""
    rows = (
        say("prepared.sequences", length=length, rows=counts["rows"])
        for length, counts in statistics["lengths"].items()
    )
    chains = [say("prepared.chains-of", **statistics["chains"]["train"])] if "chains" in statistics else []
    documents = say("prepared.documents-of", counts=_counts(statistics["documents"]))
    return "; ".join([documents, *rows, *chains, *_represented(statistics)])


def losses(statistics: Mapping[str, Any]) -> list[str]:
    """Return a line for every source that was left out, and for files and rows of others."""
    lost = [
        say(
            "prepared.lost",
            source=one["source"],
            reason=said(Message.load(one.get("message", one["reason"]))),
        )
        for one in statistics["skipped_sources"]
    ]
    return lost + [said(Message.load(one)) for one in statistics.get("left_out", ())]


def data_view(statistics: Mapping[str, Any], *, samples: bool) -> Iterator[RenderableType]:
    """Yield counts, densities, sources and what was lost of them, lengths, distances and sample texts."""
    yield Text(say("prepared.head", hash=statistics["hash"]), style="bold")
    yield ""
    yield _overview(statistics)
    yield ""
    yield _sources(statistics)
    for line in losses(statistics):
        yield Text(line, style="yellow")
    removed = {_filter(why): count for why, count in statistics["filters"].items() if count}
    yield Text(say("prepared.filtered", counts=_counts(removed) or say("prepared.nothing")))
    yield ""
    yield from _chains(statistics["chains"]) if "chains" in statistics else _lengths(statistics["lengths"])
    yield ""
    yield _numbers(
        statistics["document_tokens"], [statistics["document_tokens"].values()], "prepared.document-tokens"
    )
    if samples and statistics["samples"]:
        yield ""
        yield Text(say("prepared.marks"))
        for sample in statistics["samples"]:
            yield ""
            yield Text(f"{sample['doc_id']} ({sample['source']})", style="bold")
            yield Text(sample["text"])


def _overview(statistics: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    values = {
        "prepared.documents": _counts(statistics["documents"]),
        "prepared.text": say("prepared.text-of", characters=statistics["characters"], words=statistics["words"]),
        "prepared.density": say(
            "prepared.density-of", nouns=statistics["noun_density"], pronouns=statistics["pronoun_density"], coref=statistics["coref_density"]
        ),
        "words.tokens": say(
            "prepared.tokens-of", tokens=statistics["training_tokens"], vocabulary=statistics["tokenizer"]["vocabulary"]
        ),
        "prepared.mentions": "; ".join(
            [say("prepared.mentions-of", share=percent(statistics["mentions_aligned"], lang(), 1)), *_represented(statistics)]
        ),
        "prepared.domains": _counts(statistics["domains"]),
    }  # fmt: skip
    for key, value in values.items():
        table.add_row(say(key), Text(value))
    return table


def _sources(statistics: Mapping[str, Any]) -> Sheet:
    revisions = statistics["revisions"]
    last = ["words.revision"] if revisions else []
    table = headed(
        "prepared.source",
        "prepared.read",
        "prepared.kept",
        *last,
        left=last,
        wrapped=("prepared.source",),
        spare=last,
    )
    for name, read in statistics["read"].items():
        revision = [revisions.get(name, "")[:12]] if revisions else []
        table.row(name, number(read), number(statistics["sources"].get(name, 0)), *revision)
    return table


def _represented(statistics: Mapping[str, Any]) -> Iterator[str]:
    """Say how many gold mentions a model can give back; nothing where it was not counted."""
    if found := statistics.get("representable"):
        code = "prepared.represented-cut" if found["without_particles"] else "prepared.represented"
        yield say(code, share=percent(found["share"], lang(), 1))


def _chains(splits: Mapping[str, Mapping[str, int]]) -> Iterator[RenderableType]:
    """Yield the chains of each split."""
    columns = ("documents", "mentions", "entities", "singletons", "tokens", "longest")
    rows: Iterable[list[str | int]] = (
        [split, *(counts[key] for key in columns)] for split, counts in splits.items()
    )
    heads = [say("words.tokens" if key == "tokens" else f"prepared.{key}") for key in columns]
    yield _numbers([say("prepared.split"), *heads], rows, "prepared.chains")


def _lengths(lengths: Mapping[str, Any]) -> Iterator[RenderableType]:
    columns = ("rows", "tokens", "padding", "chunks", "mentions")
    table = headed(
        "prepared.length",
        "prepared.rows",
        "words.tokens",
        "prepared.padding",
        "prepared.chunks",
        "prepared.mentions",
        spare=("prepared.chunks", "prepared.padding"),
    )
    for length, counts in lengths.items():
        table.row(
            length,
            *(
                percent(counts[key], lang(), 1) if key == "padding" else number(counts[key])
                for key in columns
            ),
        )
    yield table
    yield ""
    names = next(iter(lengths.values()))["distances"]
    rows = ([length, *counts["distances"].values()] for length, counts in lengths.items())
    yield _numbers([say("prepared.length"), *names], rows, "prepared.distances")


def _numbers(heads: Iterable[str], rows: Iterable[Iterable[str | int]], title: str) -> Sheet:
    table = Sheet(say(title))
    for place, head in enumerate(heads):
        # the first says of what the numbers are; of the others the last is left out first
        table.column(head, spare=-place if place > 1 else None)
    for row in rows:
        table.row(*(number(cell) if isinstance(cell, int) else cell for cell in row))
    return table


def _filter(name: str) -> str:
    code = f"prepared.filter-{name}"
    return say(code) if has(code) else name


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number(count)}" for name, count in counts.items())
