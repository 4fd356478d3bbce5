"""The extractors that are built in, and which source uses which."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from coref_k8s.corpus.columns import column_text, document_name, missing
from coref_k8s.corpus.corefud_rows import corefud_row, is_corefud
from coref_k8s.corpus.ontonotes import ontonotes_row
from coref_k8s.corpus.registry import Extracted, Extractor, installed, register_extractor, registered
from coref_k8s.corpus.wordpieces import is_pieces, pieces_row
from coref_k8s.errors import DataError
from coref_k8s.text.document import Document

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
    "Elda-AI/elda-coref-ko-v2": "corefud",
}
_BLANK = re.compile(r"\[MASK\]|<mask>|_{2,}", re.IGNORECASE)
_TEXT_COLUMNS = ("text", "document", "content", "context", "article", "body")


def extractor_for(source: str, subset: str | None) -> str:
    """Return the name of the extractor for a source that names none."""
    return BY_SOURCE.get(f"{source}:{subset}") or BY_SOURCE.get(source) or "auto"


def get_extractor(name: str) -> Extractor:
    """Return the extractor called `name`. Raises DataError, which lists the known ones."""
    if name in registered:
        return registered[name]
    if name in installed():
        function: Extractor = installed()[name].load()
        return function
    raise DataError("corpus.no-such-extractor", name=name, known=sorted({*registered, *installed()}))


@register_extractor("auto")
def auto(row: Mapping[str, Any]) -> Extracted | Document | None:
    """Rows with `text` (or a like column), with gold `clusters` or without, or `sentences` with chains in tokens or word pieces, or after CorefUD; a null text is left out."""
    if "clusters" in row and is_pieces(row):
        return pieces_row(row)
    if "sentences" in row and "clusters" in row:
        return ontonotes_row(row)
    if is_corefud(row):
        return corefud_row(row)
    for column in _TEXT_COLUMNS:
        if isinstance(row.get(column), str):
            return Extracted(
                text=row[column],
                title=column_text(row, "title", "title_ko"),
                doc_id=document_name(row),
                clusters=_clusters(row.get("clusters")),
            )
    there = [column for column in _TEXT_COLUMNS if column in row]
    if any(missing(row[column]) for column in there):
        return None
    if there:
        raise DataError("corpus.no-text", column=there[0], kind=type(row[there[0]]).__name__)
    raise DataError("corpus.no-column", columns=list(_TEXT_COLUMNS), there=[str(column) for column in row])


register_extractor("corefud")(corefud_row)


@register_extractor("lines")
@register_extractor("paragraphs")
@register_extractor("text")
def text(row: Mapping[str, Any]) -> str:
    """The column `text`; by the names `lines` and `paragraphs`, of a txt file a line or what blank lines part."""
    return _column(row, "text")


@register_extractor("lambada")
def lambada(row: Mapping[str, Any]) -> Extracted | None:
    """A passage with one masked word: `text` and `answer`, which evaluation asks for.

    The word stands where a blank is shown, else at its last place in the text; a row without either is left out.
    """
    passage, answer = _column(row, "text"), _column(row, "answer").strip()
    blank = _BLANK.search(passage)
    if blank:
        passage = passage[: blank.start()] + answer + passage[blank.end() :]
    at = blank.start() if blank else passage.rfind(answer)
    if not answer or at < 0:
        return None
    return Extracted(passage, doc_id=column_text(row, "index"), answer=(at, at + len(answer)))


@register_extractor("title")
def title(row: Mapping[str, Any]) -> str:
    """The column `title` (headlines)."""
    return _column(row, "title")


@register_extractor("document")
def document(row: Mapping[str, Any]) -> Extracted:
    """The column `document` (news)."""
    return Extracted(_column(row, "document"), title=column_text(row, "title"))


@register_extractor("wikipedia")
def wikipedia(row: Mapping[str, Any]) -> Extracted:
    """A Wikipedia article."""
    return Extracted(_column(row, "text"), title=column_text(row, "title"), doc_id=column_text(row, "id"))


@register_extractor("question_context")
def question_context(row: Mapping[str, Any]) -> Extracted:
    """The context of a question; several questions share one, several contexts an article."""
    name = column_text(row, "title")
    return Extracted(_column(row, "context"), title=name, group=name)


def _column(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        code = "corpus.no-text" if name in row else "corpus.no-column"
        there = [str(column) for column in row]
        raise DataError(code, column=name, columns=[name], there=there, kind=type(value).__name__)
    return value


def _clusters(value: Any) -> dict[str, list[tuple[int, int]]]:
    """Gold chains as {label: [[start, end], ...]} or [[[start, end], ...], ...] or either as JSON."""
    if missing(value) or not value:
        return {}
    try:
        value = json.loads(value) if isinstance(value, str) else value
        named = value.items() if isinstance(value, Mapping) else enumerate(value or ())
        # parquet rows give every column of a struct, absent ones as None
        return {
            str(label): [(int(start), int(end)) for start, end in spans] for label, spans in named if spans
        }
    except (TypeError, ValueError) as error:
        raise DataError("corpus.bad-clusters", why=str(error)) from error
