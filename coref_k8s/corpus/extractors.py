"""The extractors that are built in, and which source uses which."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from coref_k8s.corpus.ontonotes import ontonotes_row
from coref_k8s.corpus.registry import Extracted, register_extractor
from coref_k8s.errors import DataError

#: Bare hub names that no longer resolve, and where the data sets live now.
HUB_NAMES = {"squad_kor_v1": "KorQuAD/squad_kor_v1", "klue": "klue/klue", "wikipedia": "wikimedia/wikipedia"}
#: Extractor by hub id, or by hub id and subset.
BY_SOURCE = {
    "wikimedia/wikipedia": "wikipedia",
    "klue/klue:mrc": "question_context",
    "klue/klue:ynat": "title",
    "KorQuAD/squad_kor_v1": "question_context",
    "dev7halo/naver-news-summarization-ko-with-gen": "document",
    "thunder-research-group/SNU_Ko-LAMBADA": "lambada",
}
_BLANK = re.compile(r"\[MASK\]|<mask>|_{2,}", re.IGNORECASE)
_TEXT_COLUMNS = ("text", "document", "content", "context", "article", "body")


def extractor_for(source: str, subset: str | None) -> str:
    """Return the name of the extractor for a source that names none."""
    return BY_SOURCE.get(f"{source}:{subset}") or BY_SOURCE.get(source) or "auto"


@register_extractor("auto")
def auto(row: Mapping[str, Any]) -> Extracted | None:
    """Rows with `text` (or a like column), with gold `clusters` or without, or OntoNotes-style `sentences`; a null text is left out."""
    if "sentences" in row and "clusters" in row:
        return ontonotes_row(row)
    for column in _TEXT_COLUMNS:
        if isinstance(row.get(column), str):
            return Extracted(
                text=row[column],
                title=str(row.get("title") or row.get("title_ko") or ""),
                doc_id=str(row.get("doc_id") or row.get("id") or ""),
                clusters=_clusters(row.get("clusters"), row[column]),
            )
    there = [column for column in _TEXT_COLUMNS if column in row]
    if any(row[column] is None for column in there):
        return None  # a row without its text is no reason to lose the others
    if there:
        raise DataError(
            f"the column {there[0]} of a row holds no text but {type(row[there[0]]).__name__}; name an extractor that knows it"
        )
    raise DataError(
        f"none of the columns {', '.join(_TEXT_COLUMNS)} is there, but {', '.join(map(str, row))}; "
        "name an extractor that knows it"
    )


@register_extractor("text")
def text(row: Mapping[str, Any]) -> str:
    """The column `text`."""
    return _column(row, "text")


@register_extractor("lambada")
def lambada(row: Mapping[str, Any]) -> Extracted | None:
    """A passage with one masked word: `text` and `answer`; evaluation takes the chain `answer` as its item.

    The word stands where a blank is shown, else at its last place in the text; a row without either is left out.
    """
    passage, answer = _column(row, "text"), _column(row, "answer").strip()
    blank = _BLANK.search(passage)
    if blank:
        passage = passage[: blank.start()] + answer + passage[blank.end() :]
    at = blank.start() if blank else passage.rfind(answer)
    if not answer or at < 0:
        return None
    return Extracted(
        passage, doc_id=str(row.get("index") or ""), clusters={"answer": [(at, at + len(answer))]}
    )


@register_extractor("title")
def title(row: Mapping[str, Any]) -> str:
    """The column `title` (headlines)."""
    return _column(row, "title")


@register_extractor("document")
def document(row: Mapping[str, Any]) -> Extracted:
    """The column `document` (news)."""
    return Extracted(_column(row, "document"), title=str(row.get("title") or ""))


@register_extractor("wikipedia")
def wikipedia(row: Mapping[str, Any]) -> Extracted:
    """A Wikipedia article."""
    return Extracted(_column(row, "text"), title=str(row.get("title") or ""), doc_id=str(row.get("id") or ""))


@register_extractor("question_context")
def question_context(row: Mapping[str, Any]) -> Extracted:
    """The context of a question; several questions share one, several contexts an article."""
    name = str(row.get("title") or "")
    return Extracted(_column(row, "context"), title=name, group=name)


def _column(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise DataError(
            f"column {name!r} is {'missing' if name not in row else 'no text'}; the row has {', '.join(map(str, row))}"
        )
    return value


def _clusters(value: Any, text: str) -> dict[str, list[tuple[int, int]]]:
    """Gold chains as {label: [[start, end], ...]} or [[[start, end], ...], ...] or either as JSON."""
    if not value:
        return {}
    try:
        return _checked(json.loads(value) if isinstance(value, str) else value, text)
    except (TypeError, ValueError) as error:
        raise DataError(f"clusters must be {{label: [[start, end], ...]}} in characters ({error})") from error


def _checked(value: Any, text: str) -> dict[str, list[tuple[int, int]]]:
    named = value.items() if isinstance(value, Mapping) else enumerate(value)
    clusters = {}
    for label, spans in named:
        # parquet rows give every column of a struct, absent ones as None
        if spans is None:
            continue
        pairs = sorted({(int(start), int(end)) for start, end in spans})
        for start, end in pairs:
            if not 0 <= start < end <= len(text):
                raise DataError(
                    f"cluster {label}: span {start}-{end} lies outside its text of {len(text)} characters"
                )
        clusters[str(label)] = pairs
    return clusters
