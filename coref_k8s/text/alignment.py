"""One alignment of tokens to characters for every tokeniser; training, evaluation and `resolve` read offsets here only.

What tokenisers report differs: SentencePiece counts the blank before a word as part of it, byte-level BPE cuts a
syllable into tokens of equal offsets, some decompose Hangul before they cut, others compose it. Here a token's span
holds the whole characters that it says something about (a decomposed syllable is one), and never a blank at its edges.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Any

from coref_k8s.errors import ModelError

#: The mark by which SentencePiece writes a blank; a token that is nothing else says nothing about a character.
_BLANK = "▁"


@dataclass(frozen=True, slots=True)
class Tokens:
    """A tokenised text without special tokens. Spans are characters, end exclusive; both lists ascend.

    Tokens of one character (bytes, jamo) have equal spans; a token of blanks alone has an empty one.
    """

    ids: list[int]
    starts: list[int]
    ends: list[int]
    word_starts: list[bool]
    """Whether a token begins a word as the tokeniser cuts words."""

    def __len__(self) -> int:
        return len(self.ids)

    def covering(self, start: int, end: int) -> tuple[int, int]:
        """Return the tokens (first, end exclusive) that hold a part of characters [start, end)."""
        return bisect_right(self.ends, start), bisect_left(self.starts, end)

    def exactly(self, start: int, end: int) -> tuple[int, int] | None:
        """Return the tokens that hold characters [start, end) and no others; None where a token runs over."""
        first, stop = self.covering(start, end)
        if first < stop and self.starts[first] == start and self.ends[stop - 1] == end:
            return first, stop
        return None


def check_offsets(tokenizer: Any) -> None:
    """Raise ModelError when a tokeniser of transformers gives no character offsets."""
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError("coref.no-offsets", tokenizer=type(tokenizer).__name__)


def token_spans(tokenizer: Any, text: str) -> Tokens:
    """Tokenise a text of any length. Words such as `[MASK]` in the text are words, never special tokens.

    Raises ModelError when the tokeniser gives no character offsets.
    """
    check_offsets(tokenizer)
    encoding = tokenizer(
        text,
        add_special_tokens=False,
        return_offsets_mapping=True,
        split_special_tokens=True,
        truncation=False,
        verbose=False,
    )
    ids: list[int] = list(encoding["input_ids"])
    words = encoding.word_ids()
    unknown = tokenizer.unk_token_id
    # a Unigram vocabulary holds its special tokens as pieces, too
    special = {number for number in tokenizer.all_special_ids if number != unknown}
    blank = tokenizer.convert_tokens_to_ids(_BLANK)
    starts: list[int] = []
    ends: list[int] = []
    low = high = 0
    for number, (start, end) in enumerate(encoding["offset_mapping"]):
        if ids[number] in special and unknown is not None:
            ids[number] = unknown
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        if ids[number] == blank and blank != unknown:
            end = start  # put before a word that has no blank: its offsets are the word's
        else:
            while start > 0 and start < end and _continues(text[start]):
                start -= 1
            while start < end < len(text) and _continues(text[end]):
                end += 1
        low, high = max(low, start), max(high, start, end)
        starts.append(low)
        ends.append(high)
    word_starts = [number == 0 or words[number] != words[number - 1] for number in range(len(ids))]
    return Tokens(ids, starts, ends, word_starts)


def _continues(char: str) -> bool:
    """Whether a character is part of the one before: a vowel or final of decomposed Hangul, a mark, a joiner."""
    if char < "\u0300" or "가" <= char <= "힣":
        return False
    return "\u1160" <= char <= "\u11ff" or char == "\u200d" or unicodedata.combining(char) != 0
