"""KoCoNovel's own files: a folder a novel, its parts as lines of `text.jsonl` and, beside it, `coref.jsonl`.

github.com/storidient/KoCoNovel (Kim, Lee & Lee 2024). Each part has four versions of its chains: as the omniscient author
or as a reader knows it, with several persons (우리) as an entity of their own (`separate`) or as mentions of each
(`overlapped`). Parts are joined by a newline, chains of the parts by the label of their entity.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coref_k8s.errors import DataError
from coref_k8s.text.document import Document

#: Versions of the chains, as the files spell them; the first is taken when a source names none in `subset`.
VERSIONS = ("omniscent_separate", "omniscent_overlapped", "reader_separate", "reader_overlapped")
TEXT, CHAINS = "text.jsonl", "coref.jsonl"


def of_koconovel(file: Path) -> bool:
    """Tell whether a file is one of a novel's: its text or chains, or a CoNLL copy of a part."""
    return _paired(file) or _copied(file) is not None


def chosen(files: Mapping[str, Path], version: str) -> dict[str, Path]:
    """Return of a source's files those to read: each novel once, and no chains of another version."""
    paired = any(map(_paired, files.values()))
    return {
        name: file
        for name, file in files.items()
        if not (file.name == CHAINS and _paired(file))
        and not ((copy := _copied(file)) and (paired or copy != version))
    }


def is_novel(file: Path) -> bool:
    """Tell whether a file is the text of a novel with its chains beside it."""
    return file.name == TEXT and _paired(file)


def _paired(file: Path) -> bool:
    return file.name in (TEXT, CHAINS) and all(file.with_name(name).is_file() for name in (TEXT, CHAINS))


def _copied(file: Path) -> str | None:
    """Return the version of which a file is a CoNLL copy."""
    if file.suffix != ".conll":
        return None
    return next((parent.name for parent in file.parents if parent.name in VERSIONS), None)


def check_version(subset: str | None) -> str:
    """Return the version that a source asks for. Raises DataError when there is none of that name."""
    version = (subset or VERSIONS[0]).replace("omniscient", "omniscent")
    if version not in VERSIONS:
        raise DataError("coref_data.no-version", version=subset, known=list(VERSIONS))
    return version


def read_novel(file: Path, version: str, *, where: str) -> Document:
    """Return a novel from its `text.jsonl`. Raises DataError when its two files do not fit together."""
    texts, annotations = list(_rows(file, where)), list(_rows(file.with_name(CHAINS), where))
    # ids of parts repeat where a novel was published in instalments: the order of the lines tells
    if [row.get("doc_id") for row in texts] != [row.get("doc_id") for row in annotations]:
        raise DataError("coref_data.other-parts", place=where, texts=len(texts), chains=len(annotations))
    clusters: dict[str, list[tuple[int, int]]] = {}
    moved = offset = 0
    for row, annotation in zip(texts, annotations, strict=True):
        for number, chain in enumerate(annotation.get(version) or ()):
            for start, end, string, *label in chain:
                first, last = int(start), int(end)
                if row["text"][first:last] != string:
                    moved += 1
                    continue
                name = str(label[0]) if label else f"{row['doc_id']}:{number}"
                clusters.setdefault(name, []).append((offset + first, offset + last))
        offset += len(row["text"]) + 1
    return Document(
        file.parent.name,
        "\n".join(row["text"] for row in texts),
        {label: sorted(set(spans)) for label, spans in clusters.items()},
        title=file.parent.name.partition("_")[2].replace("_", " "),
        beyond={"other-string": moved} if moved else {},
    )


def _rows(file: Path, where: str) -> Iterator[Mapping[str, Any]]:
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise DataError("corpus.at", place=f"{where}:{number}", what=str(error)) from error
                if not isinstance(row, dict):
                    raise DataError("corpus.no-object")
                yield row
