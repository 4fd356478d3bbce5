"""Local files: txt (one document a file, a line, or between blank lines), jsonl, parquet, conllu, coref.txt, or a folder of them.

A file that cannot be read, and a line or row without a text, is left out alone and named (`LeftOut`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from coref_k8s.corpus.conll2012 import read_conll2012
from coref_k8s.corpus.conllu import read_conllu
from coref_k8s.corpus.koconovel import is_novel, read_novel
from coref_k8s.corpus.marked import SUFFIX, parse_marked
from coref_k8s.errors import DataError, reason
from coref_k8s.text.decoding import UTF16_MARKS, decode, open_text
from coref_k8s.text.document import Document
from coref_k8s.wording import Message

#: Endings of the files that are read.
ROW_SUFFIXES = (".jsonl", ".jsonlines", ".parquet")
CONLL_SUFFIXES = (".conll", ".v4_gold_conll", ".v4_auto_conll")
SUFFIXES = (".txt", ".conllu", *CONLL_SUFFIXES, *ROW_SUFFIXES)
#: Files that are named of those that are left out.
_NAMED = 5


def _paragraphs(stream: TextIO) -> Iterator[str]:
    part: list[str] = []
    for line in stream:
        if not line.isspace():
            part.append(line)
        elif part:
            yield "".join(part).lstrip().removesuffix("\n")
            part = []
    if part:
        yield "".join(part).lstrip()


#: What reads the documents of a txt file, by the source's extractor; without one the file is one document.
TEXT_UNITS: dict[str, Callable[[TextIO], Iterator[str]]] = {
    "lines": lambda stream: (line.removesuffix("\n") for line in stream if not line.isspace()),
    "paragraphs": _paragraphs,
}


@dataclass
class LeftOut:
    """What of a source is not read: files by name and rows by number, with the reason of the first of a kind."""

    files: dict[str, tuple[Message, list[str]]] = field(default_factory=dict)
    """By the reason's code: the first file's reason, and the names of all."""
    notes: list[Message] = field(default_factory=list)
    """How a source was read, where there is a choice or a doubt."""
    rows: int = 0
    first_row: Message | None = None

    def file(self, name: str, why: Message) -> None:
        """Leave a file out."""
        self.files.setdefault(why.code, (why, []))[1].append(name)

    def row(self, place: str, why: Message) -> None:
        """Leave a row or line out."""
        self.rows += 1
        self.first_row = self.first_row or Message.of("corpus.at", place=place, what=why)

    def notice(self, messages: Iterable[Message]) -> None:
        """Say how something was read, once for each kind."""
        for message in messages:
            if all(one.code != message.code for one in self.notes):
                self.notes.append(message)

    def messages(self, source: str) -> Iterator[Message]:
        """Yield a sentence for each choice or doubt and each kind of loss."""
        yield from self.notes
        for why, names in self.files.values():
            shown = [*names[:_NAMED], *(["…"] if len(names) > _NAMED else [])]
            yield Message.of("corpus.files-left-out", source=source, n=len(names), names=shown, why=why)
        if self.first_row:
            yield Message.of("corpus.rows-left-out", source=source, n=self.rows, first=self.first_row)

    def first(self) -> Message | None:
        """Return why the first file or row was left out; None when nothing was."""
        for why, names in islice(self.files.values(), 1):
            at_its_line = str(why).startswith(f"{names[0]}:")
            return why if at_its_line else Message.of("corpus.at", place=names[0], what=why)
        return self.first_row


def is_local(source: str) -> bool:
    """Tell whether a source names a file or folder rather than a data set of a hub."""
    path = _path(source)
    return (
        os.path.lexists(path)  # a link that leads nowhere is no name on a hub
        or source.startswith((".", "/", "~"))
        or source.endswith("/")
        or source.count("/") > 1
        or path.suffix.lower() in SUFFIXES
        or not source.isascii()  # no hub has such names, nor any with a blank
        or " " in source
    )


def is_there(source: str) -> bool:
    """Tell whether a source is a file or folder of this machine."""
    return is_local(source) and os.path.exists(_path(source))


def files_of(source: str, left_out: LeftOut | None = None) -> dict[str, Path]:
    """Return the files of a source in a fixed order, by their path within it; links and subfolders are followed.

    Hidden files are passed over; all others that are not read are put into `left_out`. Raises DataError when a
    named file or folder is not there, or a named file is of no known format.
    """
    root = _path(source)
    if not os.path.exists(root):
        raise DataError("corpus.no-such-source", source=source)
    if root.is_file():
        if root.suffix.lower() not in SUFFIXES:
            raise DataError("corpus.other-format", name=source, suffixes=[*SUFFIXES, SUFFIX])
        return {root.name: root}
    if not root.is_dir():
        raise DataError("corpus.no-file", name=source)
    left_out = LeftOut() if left_out is None else left_out
    found: dict[str, Path] = {}
    for name, file in sorted(_walk(root, left_out)):
        if not file.exists():
            left_out.file(name, Message.of("corpus.dangling-link"))
        elif file.suffix.lower() not in SUFFIXES:
            suffixes = [*SUFFIXES, SUFFIX]
            left_out.file(name, Message.of("corpus.other-format", name=name, suffixes=suffixes))
        elif not file.is_file():
            left_out.file(name, Message.of("corpus.no-file", name=name))
        else:
            found[name] = file
    return found


def _walk(root: Path, left_out: LeftOut) -> Iterator[tuple[str, Path]]:
    """Yield every file below a folder that is not hidden; a folder that links lead to again is read once."""

    def unreadable(error: OSError) -> None:
        left_out.file(_within(Path(error.filename), root), _unreadable(error))

    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, followlinks=True, onerror=unreadable):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if not name.startswith("."):
                yield _within(Path(folder, name), root), Path(folder, name)


def _within(path: Path, root: Path) -> str:
    # names that are no UTF-8 are spelt out: they are printed and become names of documents
    return os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", "backslashreplace")


def _path(source: str) -> Path:
    return Path(os.path.expanduser(source))  # Path's own raises where a user has no home


def _unreadable(error: OSError) -> Message:
    return Message.of("corpus.unreadable", why=reason(error))


def content_hash(source: str) -> str:
    """Return the SHA-256 of a source's files: names within the source and contents, as far as they can be read."""
    digest = hashlib.sha256()
    for name, file in files_of(source).items():
        digest.update(name.encode() + b"\0")
        try:
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            digest.update(f"unreadable: {error.errno}".encode())
    return digest.hexdigest()


def read_file(
    file: Path, name: str, left_out: LeftOut, extractor: str = "auto", version: str | None = None
) -> Iterator[tuple[str, Document | Mapping[str, Any]]]:
    """Yield a file's documents, or rows that an extractor has to read, each with its place in the source.

    `name` is the file's path within the source; `extractor` may say what a document of a txt file is, `version` which
    chains of a KoCoNovel are read. What cannot be read is put into `left_out`.
    """
    try:
        if version and is_novel(file):
            yield name, read_novel(file, version, where=name)
        else:
            yield from _read(file, name, left_out, extractor)
    except DataError as error:
        left_out.file(name, error.message)
    except OSError as error:
        left_out.file(name, _unreadable(error))


def _read(
    file: Path, name: str, left_out: LeftOut, extractor: str
) -> Iterator[tuple[str, Document | Mapping[str, Any]]]:
    stem = name.removesuffix(file.suffix)
    if file.name.lower().endswith(SUFFIX):
        with open_text(file) as stream:
            yield name, parse_marked(stream.read(), where=name)
    elif file.suffix.lower() == ".txt":
        with open_text(file) as stream:
            if extractor in TEXT_UNITS:
                parts = enumerate(TEXT_UNITS[extractor](stream), 1)
                yield from ((f"{name}: text {number}", {"text": part}) for number, part in parts)
            else:
                yield name, Document(stem, stream.read())
    elif file.suffix.lower() == ".conllu":
        with open_text(file) as stream:
            yield from ((name, one) for one in read_conllu(stream, where=name))
    elif file.suffix.lower() in CONLL_SUFFIXES:
        with open_text(file) as stream:
            for one in read_conll2012(stream, where=name):
                # a work's parts may be files of their own; files of other folders may have its name
                yield name, replace(one, group=one.group and f"{name[: name.rfind('/') + 1]}{one.group}")
    elif file.suffix.lower() == ".parquet":
        yield from _parquet_rows(file, name, left_out)
    else:
        yield from _json_rows(file, name, left_out)


def _json_rows(file: Path, name: str, left_out: LeftOut) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the rows of JSON lines; the file is read as bytes, so that a line in another encoding is lost alone.

    Files that were put together have a byte order mark where each began.
    """
    for number, line in enumerate(_json_lines(file), 1):
        place = f"{name}:{number}"
        try:
            text = decode(line).strip("\ufeff \t\r\n")
            row = json.loads(text) if text else None
        except DataError as error:
            left_out.row(place, error.message)
        except (ValueError, RecursionError) as error:
            left_out.row(place, Message.of("corpus.not-json", why=str(error)))
        else:
            if isinstance(row, dict):
                yield place, row
            elif text:
                left_out.row(place, Message.of("corpus.no-object"))


def _json_lines(file: Path) -> Iterator[bytes]:
    with file.open("rb") as lines:
        if not lines.peek(2).startswith(UTF16_MARKS):
            yield from lines
            return
    with open_text(file) as stream:
        yield from (line.encode() for line in stream)


def _parquet_rows(file: Path, name: str, left_out: LeftOut) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        for batch in parquet.ParquetFile(file).iter_batches(batch_size=256):
            for place in range(batch.num_rows):
                number += 1
                try:
                    row = batch.slice(place, 1).to_pylist()[0]
                # a time beyond Python's, or text that is no UTF-8
                except (ValueError, OverflowError) as error:
                    left_out.row(f"{name}: row {number}", Message.of("corpus.no-value", why=str(error)))
                else:
                    yield f"{name}: row {number}", row
    except pyarrow.ArrowException as error:
        raise DataError("corpus.not-parquet", why=str(error).splitlines()[0]) from error
