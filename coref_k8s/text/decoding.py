"""From the bytes of a file to text: UTF-8, or UTF-16 that begins with a byte order mark; else what the bytes are."""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE

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


def decode(data: bytes) -> str:
    """Return the text of a file, without its byte order mark (RFC 8259, section 8.1). Raises DataError with what to do."""
    try:
        return data.decode("utf-16" if data.startswith(UTF16_MARKS) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(_instead(data, error)) from error


def _instead(data: bytes, error: UnicodeDecodeError) -> Message:
    """Return what bytes are that are no UTF-8."""
    for begin, name in _FORMATS.items():
        if data.startswith(begin):
            return Message.of("corpus.no-text-format", format=name)
    if data[: error.start].isascii() and b"\0" not in data:
        try:
            data.decode("cp949")
            return Message.of("corpus.not-utf8")
        except UnicodeDecodeError:
            pass
    return Message.of("corpus.broken-text", byte=error.start + 1)
