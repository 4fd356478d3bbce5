"""What every text passes before anything reads it: composed letters, one kind of line end, no half characters.

Texts that differ in composition are canonically equivalent (UAX #15), but Kiwi and tokenisers know composed syllables
only: of text in conjoining letters, as macOS and some PDF files have it, they would find no noun. Gold offsets are
carried over to the characters of the clean text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace

from coref_k8s.errors import DataError
from coref_k8s.text.document import Document

#: Halves of a pair of UTF-16 units, which no file can hold, and NUL, which no database takes.
_BROKEN = re.compile("[\ud800-\udfff\0]")


@dataclass(frozen=True)
class CleanText:
    """A clean text; `begins` and `ends` carry offsets of the text as it came over to it, None where all stayed."""

    text: str
    begins: list[int] | None = None
    ends: list[int] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return where characters [start, end) of the text as it came are now; a part of a letter becomes the letter."""
        if self.begins is None or self.ends is None:
            return start, end
        return self.begins[start], self.ends[end]

    def place(self, at: int) -> int:
        """Return where the place before character `at` is now."""
        return at if self.begins is None else self.begins[at]


def whole_characters(text: str) -> str:
    """Return a text, as long as before, with U+FFFD for what is no character."""
    return _BROKEN.sub("\ufffd", text)


def harmless(text: str) -> str:
    """Return a text without the signs by which it could command a terminal; blanks and joiners of any kind stay."""
    return "".join(char for char in text if char in "\n\t" or unicodedata.category(char) != "Cc")


def clean_text(text: str) -> CleanText:
    """Return a text in NFC with `\\n` for every line end and U+FFFD for what is no character."""
    text = whole_characters(text)
    if "\r" not in text and unicodedata.is_normalized("NFC", text):
        return CleanText(text)
    parts: list[str] = []
    begins, ends, at = [], [0], 0
    for unit in _units(text):
        part = "\n" if unit[0] == "\r" else unicodedata.normalize("NFC", unit)
        begins += [at] * len(unit)
        at += len(part)
        ends += [at] * len(unit)
        parts.append(part)
    return CleanText("".join(parts), [*begins, at], ends)


def clean(document: Document) -> Document:
    """Return a document with clean text and names; chains without a mention are none.

    Raises DataError for a mention outside the text.
    """
    cleaned = clean_text(document.text)
    length = len(document.text)

    def carried(label: str, start: int, end: int) -> tuple[int, int]:
        if not 0 <= start < end <= length:
            raise DataError("corpus.span-outside", label=label, start=start, end=end, length=length)
        return cleaned.span(start, end)

    clusters = {
        clean_text(str(label)).text: sorted({carried(label, start, end) for start, end in spans})
        for label, spans in document.clusters.items()
        if spans
    }
    return replace(
        document,
        text=cleaned.text,
        clusters=clusters,
        answer=document.answer and carried("answer", *document.answer),
        words=document.words and document.words.moved(cleaned.span),
        zeros={
            clean_text(label).text: [cleaned.place(at) for at in places]
            for label, places in document.zeros.items()
        },
        doc_id=clean_text(document.doc_id).text,
        title=clean_text(document.title).text,
        group=clean_text(document.group).text,
    )


def _units(text: str) -> Iterator[str]:
    """Yield what is composed by itself: a letter with its marks or conjoining vowel and final, or a line end."""
    start = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or not _continues(text[at - 1], text[at]):
            yield text[start:at]
            start = at


def _continues(before: str, letter: str) -> bool:
    """Tell whether a letter may be composed with what stands before it (all that NFC composes are of these)."""
    if letter == "\n":
        return before == "\r"
    return before not in "\r\n" and ("\u1160" <= letter <= "\u11ff" or unicodedata.category(letter)[0] == "M")
