"""The marked-text format (`.coref.txt`): a short header, a blank line, text with mentions in braces.

    id: story-01
    title: 마지막 나루터
    domain: story
    split: train

    {1|김영희}는 {2|나루터}에 앉아 있었다. {3|{2|나루터}의 주인}이 {1|그녀}를 보았다.

A `group` names the work that this is a part of. `{N|...}` is a mention of entity N; mentions nest but never cross; particles stay outside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from coref_k8s.errors import DataError
from coref_k8s.text.document import SPLITS, Document

SUFFIX = ".coref.txt"
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
_OPEN = re.compile(r"\{(\d+)\|")
_HEADER = ("id", "title", "domain", "split", "group")


def parse_marked(content: str, *, where: str) -> Document:
    """Parse one document; `where` names the file in errors. Raises DataError with the place of the fault."""
    head, *rest = _BLANK_LINE.split(content.replace("\r\n", "\n").lstrip(), maxsplit=1)
    if not rest:
        raise DataError("coref_data.no-blank-line", place=where)
    fields: dict[str, str] = {}
    for line in head.splitlines():
        key, colon, value = line.partition(":")
        if not colon or key.strip() not in _HEADER:
            raise DataError("coref_data.header", place=where, line=line, known=list(_HEADER))
        if key.strip() in fields:
            raise DataError("coref_data.header-twice", place=where, key=key.strip())
        fields[key.strip()] = value.strip()
    if not fields.get("id"):
        raise DataError("coref_data.no-id", place=where)
    split = fields.get("split") or None
    if split is not None and split not in SPLITS:
        raise DataError("coref_data.split", place=where, split=split, known=list(SPLITS))
    text, clusters = _parse_body(rest[0].strip("\n"), where)
    return Document(
        doc_id=fields["id"],
        text=text,
        clusters=clusters,
        title=fields.get("title", ""),
        domain=fields.get("domain", "general"),
        split=split,
        group=fields.get("group", ""),
    )


def mark(text: str, mentions: Iterable[tuple[int, int, str]]) -> str:
    """Return `text` with its mentions (start, end, label) in braces; the inverse of parsing."""
    opens: dict[int, list[tuple[int, str]]] = {}
    closes: dict[int, int] = {}
    for start, end, label in mentions:
        opens.setdefault(start, []).append((end, label))
        closes[end] = closes.get(end, 0) + 1
    parts = []
    last = 0
    for place in sorted({*opens, *closes}):
        parts.append(text[last:place])
        parts.append("}" * closes.get(place, 0))
        parts.extend(
            "{" + label + "|" for _, label in sorted(opens.get(place, []), key=lambda o: (-o[0], o[1]))
        )
        last = place
    return "".join([*parts, text[last:]])


def _parse_body(body: str, where: str) -> tuple[str, dict[str, list[tuple[int, int]]]]:
    out: list[str] = []
    length = 0
    stack: list[tuple[str, int]] = []
    clusters: dict[str, list[tuple[int, int]]] = {}
    place = 0
    while place < len(body):
        char = body[place]
        if char == "{":
            opened = _OPEN.match(body, place)
            if not opened:
                raise DataError("coref_data.brace", place=where, near=body[place : place + 30])
            stack.append((opened.group(1), length))
            place = opened.end()
            continue
        if char == "}":
            if not stack:
                raise DataError("coref_data.closes-nothing", place=where, near=_before(body, place))
            label, start = stack.pop()
            clusters.setdefault(label, []).append((start, length))
        elif char == "|":
            raise DataError("coref_data.bar", place=where, near=_before(body, place))
        else:
            out.append(char)
            length += 1
        place += 1
    if stack:
        raise DataError("coref_data.mention-open", place=where, label=stack[-1][0])
    return "".join(out), {label: sorted(spans) for label, spans in clusters.items()}


def _before(body: str, place: int) -> str:
    return body[max(0, place - 30) : place + 5]
