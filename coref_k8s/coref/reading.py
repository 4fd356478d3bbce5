"""What a Korean text says about its spans: sentences, where a noun ends and its particle begins, who is quoted.

Gold mentions of most Korean corpora are nouns without the particles that are glued to them, while tokens may hold
both (`철수는` is one or two tokens). A model therefore learns and finds mentions as whole tokens; `Reading.cut` then
takes trailing particles, endings and punctuation off, by Kiwi.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from dataclasses import dataclass

from coref_k8s.text.korean import morphemes

#: What a noun's own part of a word may end with (Sejong tags).
_NOMINAL = ("N", "XSN", "XR", "SL", "SH", "SN", "UN", "W", "MM")
#: What may follow the noun in its word: particles, endings, the copula, verb-making suffixes, symbols.
_TAIL = ("J", "E", "VCP", "XSV", "XSA", "XSM", "S")
_QUOTES = dict(zip("“「『《", "”」』》", strict=True)) | {'"': '"'}


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as Kiwi reads it. Offsets are characters, end exclusive."""

    text: str
    sentences: list[tuple[int, int]]
    """Sentences without surrounding blanks, in order."""
    starts: list[int]
    """Where each morpheme begins, ascending."""
    ends: list[int]
    tags: list[str]

    def cut(self, start: int, end: int) -> tuple[int, int]:
        """Return a span of whole tokens without opening signs, and without what follows the last noun of its last word.

        A span that holds no noun there keeps its words and loses signs only.
        """
        text = self.text
        while start < end - 1 and not _counts(text[start]):
            start += 1
        bare = end
        while bare > start + 1 and not _counts(text[bare - 1]):
            bare -= 1
        begin = max(start, 1 + max(text.rfind(sign, start, bare) for sign in " \n\t"))
        for number in range(bisect_left(self.starts, bare) - 1, bisect_left(self.starts, begin) - 1, -1):
            tag = self.tags[number]
            if tag.startswith(_NOMINAL):
                return start, max(min(bare, self.ends[number]), start + 1)
            if not tag.startswith(_TAIL):
                break
        return start, bare


def read(text: str) -> Reading:
    """Analyse a text of any length. Raises MissingDependencyError when Kiwi is not installed."""
    reading = Reading(text, [], [], [], [])
    for sentence in morphemes(text):
        reading.sentences.append((sentence[0].start, sentence[-1].end))
        for start, end, tag in sentence:
            reading.starts.append(start)
            reading.ends.append(end)
            reading.tags.append(tag)
    return reading


def quotations(text: str) -> list[tuple[int, int]]:
    """Return the quoted stretches of a text, in order; a quotation that is not closed ends with its line."""
    found: list[tuple[int, int]] = []
    offset = 0
    for line in text.splitlines(keepends=True):
        opened, closing = -1, ""
        for at, char in enumerate(line):
            if opened < 0:
                if char in _QUOTES:
                    opened, closing = at, _QUOTES[char]
            elif char == closing:
                found.append((offset + opened, offset + at + 1))
                opened = -1
        if opened >= 0:
            found.append((offset + opened, offset + len(line)))
        offset += len(line)
    return found


def _counts(char: str) -> bool:
    """Whether a character can begin or end a mention."""
    return unicodedata.category(char)[0] in "LNM" or char in "%℃°+#♥♡★☆○◯●□×"
