"""Local files: txt (one document a file), jsonl, parquet, conllu, coref.txt, or a folder of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coref_k8s.corpus.conllu import read_conllu
from coref_k8s.corpus.marked import SUFFIX, parse_marked
from coref_k8s.errors import DataError
from coref_k8s.text.document import Document

#: Endings of the files that are read; others in a folder are passed over.
ROW_SUFFIXES = (".jsonl", ".jsonlines", ".parquet")
SUFFIXES = (".txt", ".conllu", *ROW_SUFFIXES)


def is_local(source: str) -> bool:
    """Tell whether a source names a file or folder rather than a data set of a hub."""
    path = Path(source).expanduser()
    return (
        path.exists()
        or source.startswith((".", "/", "~"))
        or source.count("/") > 1
        or path.suffix.lower() in SUFFIXES
    )


def files_of(source: str) -> list[Path]:
    """Return the readable files of a source, in a fixed order. Raises DataError when there are none."""
    path = Path(source).expanduser()
    if not path.exists():
        raise DataError(f"{source} does not exist")
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(f"{source} ends in none of {', '.join(SUFFIXES)}, {SUFFIX}")
        return [path]
    found = sorted(
        file
        for file in path.rglob("*")
        if file.is_file()
        and file.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )
    if not found:
        raise DataError(f"folder {source} holds no file that ends in {', '.join(SUFFIXES)}")
    return found


def content_hash(source: str) -> str:
    """Return the SHA-256 of a source's files: names within the folder and contents."""
    digest = hashlib.sha256()
    root = Path(source).expanduser()
    for file in files_of(source):
        digest.update(str(file.relative_to(root) if root.is_dir() else file.name).encode() + b"\0")
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def read_file(file: Path) -> Iterator[Document | Mapping[str, Any]]:
    """Yield a file's documents, or its rows where an extractor has to read them. Raises DataError."""
    try:
        yield from _read(file)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: not UTF-8 ({error}); convert it, older Korean files with iconv -f cp949 -t utf-8"
        ) from error


def _read(file: Path) -> Iterator[Document | Mapping[str, Any]]:
    if file.name.endswith(SUFFIX):
        yield parse_marked(file.read_text(encoding="utf-8"), where=str(file))
    elif file.suffix.lower() == ".txt":
        yield Document(file.stem, file.read_text(encoding="utf-8-sig"))
    elif file.suffix.lower() == ".conllu":
        with file.open(encoding="utf-8") as lines:
            yield from read_conllu(lines, where=str(file))
    elif file.suffix.lower() == ".parquet":
        import pyarrow
        from pyarrow import parquet

        try:
            table = parquet.ParquetFile(file)
        except pyarrow.ArrowInvalid as error:
            raise DataError(f"{file}: {error}") from error
        for batch in table.iter_batches(batch_size=256):
            yield from batch.to_pylist()
    else:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    try:
                        row = json.loads(line.rstrip())
                    except json.JSONDecodeError as error:
                        raise DataError(
                            f"{file}:{number}: not JSON ({error.msg} at column {error.colno})"
                        ) from error
                    if not isinstance(row, dict):
                        raise DataError(f"{file}:{number}: a line must be a JSON object")
                    yield row
