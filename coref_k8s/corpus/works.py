"""Works in parts: a work stays in one split, and is one unit where numbers are spread over documents.

A `group` says what belongs together, in whatever source it stands. Without one, names that count parts say so (`work#1`, `work-part2`, `work_3화`,
OntoNotes' `…_0000_0`), as long as they part a source into works: a source that is one series would be no document.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from coref_k8s.corpus.filtering import PRIORITY
from coref_k8s.text.document import Document, Split
from coref_k8s.wording import Message

#: How the name of a part ends; OntoNotes' names end in four digits and a part.
_PART = re.compile(
    r"(?:\s?#\d{1,5}|[\s;./_-]{1,3}(?:part|pt)[\s._-]?\d{1,5}|[\s./_-](?:제 ?)?\d{1,5} ?[부장화회권편])$",
    re.IGNORECASE,
)
_ONTONOTES = re.compile(r"(?<=_\d{4})_\d{1,5}$")
#: Fewest works that names may part a source into (one for each split), and the largest part of its documents in one.
_FEWEST, _LARGEST = 3, 0.5


class Named(NamedTuple):
    """What tells a document's work: its source, its name in there, and the group that it was given, if any."""

    source: str
    doc_id: str
    group: str


def works_of(documents: Sequence[Named]) -> tuple[list[str], list[Message]]:
    """Return the work of every document, empty for one that is whole, and what was made of names."""
    notes: list[Message] = []
    sources: dict[str, list[int]] = defaultdict(list)
    for number, document in enumerate(documents):
        sources[document.source].append(number)
    works = [document.group for document in documents]
    for source, numbers in sources.items():
        unnamed = [number for number in numbers if not works[number]]
        named, note = _by_name(source, [documents[number].doc_id for number in unnamed])
        notes += note
        for number, work in zip(unnamed, named, strict=True):
            works[number] = work
    return works, notes


def grouped(documents: Iterable[Document]) -> tuple[list[Document], list[Message]]:
    """Return documents that know their works, and what was made of names."""
    found = list(documents)
    works, notes = works_of([Named(one.source, one.doc_id, one.group) for one in found])
    return [replace(one, group=work) for one, work in zip(found, works, strict=True)], notes


def together(
    keys: Sequence[str], given: Sequence[Split | None], held_out: Sequence[Split | None]
) -> tuple[list[Split | None], set[str]]:
    """Return the split that each document is bound to, and the keys whose documents name several.

    Documents of one key (a work, or a text) go where one of them was held out elsewhere; else those that name no split go
    with those that do, the furthest from training.
    """
    named: dict[str, set[Split]] = defaultdict(set)
    held: dict[str, Split] = {}
    for key, own, elsewhere in zip(keys, given, held_out, strict=True):
        if own:
            named[key].add(own)
        if elsewhere:
            held[key] = elsewhere
    strictest = {key: min(splits, key=PRIORITY.__getitem__) for key, splits in named.items()}
    bound = [held.get(key) or own or strictest.get(key) for key, own in zip(keys, given, strict=True)]
    return bound, {key for key, splits in named.items() if len(splits) > 1 and key not in held}


def _by_name(source: str, names: list[str]) -> tuple[list[str], list[Message]]:
    stems = [_work(name) for name in names]
    parted = Counter(stem for stem in stems if stem)
    # the first part may bear the work's name
    works = [stem or (name if name in parted else "") for stem, name in zip(stems, names, strict=True)]
    sizes = Counter(work for work in works if work)
    several = {work for work, n in sizes.items() if n > 1}
    if not several:
        return [""] * len(names), []
    parts = sum(sizes[work] for work in several)
    first = next(name for name, work in zip(names, works, strict=True) if work in several)
    values = {"source": source, "parts": parts, "n": len(several), "first": first}
    apart = len(names) - parts + len(several)
    if apart < _FEWEST or max(sizes.values()) > _LARGEST * len(names):
        return [""] * len(names), [Message.of("corpus.perhaps-parts", **values)]
    return [work if work in several else "" for work in works], [Message.of("corpus.parts", **values)]


def _work(name: str) -> str:
    """Return the name of the work that a name counts a part of; empty when it does not."""
    found = _PART.search(name) or ("/" in name and _ONTONOTES.search(name))
    work = name[: found.start()] if found else ""
    return work if any(map(str.isalnum, work)) else ""
