"""From the bytes of a file to text: UTF-8, or UTF-16 that begins with a byte order mark; else what the bytes are."""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TextIO

from coref_k8s.errors import DataError
from coref_k8s.wording import Message

UTF16_MARKS = (BOM_UTF16_LE, BOM_UTF16_BE)
#: First bytes of what people take for text, by the name of the format.
_FORMATS = {
    b"%PDF": "PDF",
    b"PK\x03\x04": "ZIP (hwpx, docx)",
    b"\x1f\x8b": "gzip",
    b"\xd0\xcf\x11\xe0": "OLE (hwp, doc)",
}
#: Bytes of a file that are looked at, at a time.
_PIECE = 1 << 20


def decode(data: bytes) -> str:
    """Return the text of a file, without its byte order mark (RFC 8259, section 8.1). Raises DataError with what to do."""
    try:
        return data.decode(_encoding(data))
    except UnicodeDecodeError as error:
        plain = data[: error.start].isascii()
        raise DataError(_instead(data, error.start + 1, [data] if plain else None)) from error


def open_text(path: Path) -> TextIO:
    """Open a text file of any size, with any kind of line ends. Raises DataError as `decode` does, for any part of the file."""
    with path.open("rb") as file:
        head = file.read(_PIECE)
        rest = iter(lambda: file.read(_PIECE), b"")
        decoder = getincrementaldecoder(_encoding(head))()
        done, plain = 0, True
        for piece in chain([head], rest, [b""]):
            try:
                decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                # what the decoder looked at ends where the piece does
                byte = done + len(piece) - len(error.object) + error.start + 1
                plain = plain and error.object[: error.start].isascii()
                raise DataError(_instead(head, byte, chain([piece], rest) if plain else None)) from error
            plain = plain and piece.isascii()
            done += len(piece)
    return path.open(encoding=_encoding(head), newline=None)


def _encoding(head: bytes) -> str:
    return "utf-16" if head.startswith(UTF16_MARKS) else "utf-8-sig"


def _instead(head: bytes, byte: int, rest: Iterable[bytes] | None) -> Message:
    """Return what bytes are that are no UTF-8 from one on; `rest` is what follows ASCII alone, from before that byte."""
    for begin, name in _FORMATS.items():
        if head.startswith(begin):
            return Message.of("corpus.no-text-format", format=name)
    if rest is not None and b"\0" not in head:
        decoder = getincrementaldecoder("cp949")()
        try:
            for piece in chain(rest, [b""]):
                decoder.decode(piece, final=not piece)
            return Message.of("corpus.not-utf8")
        except UnicodeDecodeError:
            pass
    return Message.of("corpus.broken-text", byte=byte)
