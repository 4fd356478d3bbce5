"""A tokeniser as evaluation sees it: tokens with character spans, the tokens of a word, what a token reads.

Two strings are equal when their normalised forms are (NFC, no word-piece mark, no white space). Nothing
else counts: no substring, no lemma.
"""

from __future__ import annotations

import hashlib
import unicodedata
from functools import cached_property
from typing import Any

from coref_k8s.errors import ModelError
from coref_k8s.text.alignment import Tokens, check_offsets, token_spans
from coref_k8s.text.tokenisers import rules_of


def normalise(piece: str) -> str:
    """Return the form in which strings are compared: NFC, without `##`, `▁` and white space."""
    if piece.startswith("##") and len(piece) > 2:
        piece = piece[2:]
    return "".join(unicodedata.normalize("NFC", piece).replace("▁", " ").split())


class Vocabulary:
    """Wraps a fast tokeniser of transformers. Raises ModelError when it cannot serve masked evaluation."""

    def __init__(self, tokenizer: Any) -> None:
        check_offsets(tokenizer)
        if tokenizer.mask_token_id is None:
            raise ModelError("evaluation.no-mask-token")
        self.tokenizer = tokenizer
        self.mask: int = tokenizer.mask_token_id
        self.unknown: int | None = tokenizer.unk_token_id
        self.pad: int = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        first = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
        last = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
        self.prefix: list[int] = [] if first is None else [first]
        self.suffix: list[int] = [] if last is None else [last]
        self._words: dict[str, list[int]] = {}

    @cached_property
    def pieces(self) -> list[str]:
        """Normalised string of every token id; special tokens keep theirs, so they equal no noun."""
        return [normalise(piece or "") for piece in self.tokenizer.convert_ids_to_tokens(range(self.size))]

    @cached_property
    def size(self) -> int:
        """Number of token ids."""
        return max(self.tokenizer.get_vocab().values()) + 1

    @cached_property
    def sha256(self) -> str:
        """Hash of the whole tokeniser: items of one cannot be scored with another."""
        return hashlib.sha256(rules_of(self.tokenizer).encode()).hexdigest()

    def tokenise(self, text: str) -> Tokens:
        """Tokenise a text of any length (characters) without special tokens."""
        return token_spans(self.tokenizer, text)

    def word(self, word: str) -> list[int]:
        """T(word): the tokens that the tokeniser gives the word after a blank; empty when one is unknown."""
        if word not in self._words:
            tokens = self.tokenise(f" {word}")
            # a blank that is a token of its own stands before the word, not in it
            ids = tokens.ids[slice(*tokens.covering(1, len(word) + 1))]
            self._words[word] = [] if self.unknown in ids else ids
        return self._words[word]

    def join(self, ids: list[int]) -> str:
        """The string that token ids read, normalised."""
        pieces = self.pieces
        return "".join(pieces[i] if i < len(pieces) else "" for i in ids)
