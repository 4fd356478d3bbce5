"""Items of the reference metrics: ONE mask, a window of characters, a list of right answers.

Kept so that its "about 60 %" can be compared with; see docs/metrics-evaluation.md for why they prove little.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from coref_k8s.evaluation.lambada_items import LambadaItem
from coref_k8s.evaluation.table import Workbench
from coref_k8s.evaluation.vocabulary import Vocabulary, normalise
from coref_k8s.text.korean import CORE_TAGS, Span, is_noun, kiwi

#: Characters kept on each side of the mask, at 512 tokens; grows with the length.
WINDOW = 200
#: Nouns per text whose second occurrence is masked: the reference code takes the first three.
NOUNS_PER_TEXT = 3
#: Pronouns of one document that are masked.
PRONOUNS_PER_TEXT = 3

Kind = Literal["coref_top5", "coref_f1", "lbd_top1"]
KINDS: tuple[Kind, ...] = ("coref_top5", "coref_f1", "lbd_top1")
#: Nouns of a list that guesses without a model.
LISTED = 5


@dataclass(frozen=True)
class SeedItem:
    """One masked word in its window."""

    id: str
    kind: Kind
    document: str
    """The work or document that it counts for."""
    ids: list[int]
    """The window's token ids, without special tokens, the mask among them."""
    mask: int
    """Where in `ids` the mask stands."""
    gold: list[str]
    """The word that was masked; for a pronoun the nouns of the sentences around it."""
    frequent: list[str]
    """The window's 5 most frequent nouns, without the masked word: a guess that needs no model."""
    nearest: list[str]
    """The window's 5 nouns nearest to the mask."""


def from_document(
    bench: Workbench, lambada: Sequence[LambadaItem], seq_len: int, vocabulary: Vocabulary
) -> Iterator[SeedItem]:
    """Yield a document's items; texts longer than the length are taken in pieces of as many tokens."""
    text = bench.document.text
    nouns = _nouns(text, bench.analysis.sentences)
    starts = [noun.start for noun in nouns]
    for begin in range(0, max(1, len(bench.tokens.ids)), seq_len):
        last = min(begin + seq_len, len(bench.tokens.ids)) - 1
        if last < begin:
            return
        low = bisect_left(starts, bench.tokens.starts[begin])
        piece = nouns[low : bisect_left(starts, bench.tokens.ends[last])]
        counts: Counter[str] = Counter()
        second = {}
        for noun in piece:
            counts[noun.text] += 1
            if counts[noun.text] == 2:
                second[noun.text] = noun
        for word in [word for word in counts if counts[word] > 1][:NOUNS_PER_TEXT]:
            noun = second[word]
            yield _item(bench, "coref_top5", noun.start, noun.end, [word], seq_len, vocabulary, nouns)
    sentences = bench.analysis.sentences
    for pronoun in bench.analysis.pronouns[:PRONOUNS_PER_TEXT]:
        number = max(0, bisect_left(sentences, (pronoun.start + 1, -1)) - 1)
        low = sentences[max(0, number - 1)][0]
        high = sentences[min(len(sentences) - 1, number + 1)][1]
        around = sorted({noun.text for noun in nouns if low <= noun.start and noun.end <= high})
        if around:
            yield _item(bench, "coref_f1", pronoun.start, pronoun.end, around, seq_len, vocabulary, nouns)
    for item in lambada:
        at = bench.tokens.starts[item.target[0]]
        end = bench.tokens.ends[item.target[1] - 1]
        yield _item(bench, "lbd_top1", at, end, [text[at:end]], seq_len, vocabulary, nouns)


def sample(candidates: Sequence[SeedItem], max_items: int, seed: int) -> list[SeedItem]:
    """Draw at most `max_items` of each kind."""
    kept: list[SeedItem] = []
    for kind in KINDS:
        group = sorted((item for item in candidates if item.kind == kind), key=lambda item: item.id)
        random.Random(seed).shuffle(group)
        kept += group[:max_items]
    return kept


def noun_ids(vocabulary: Vocabulary) -> list[int]:
    """Ids of the tokens that Kiwi calls a noun, found once so that a trial need not load Kiwi."""
    return [i for i, piece in enumerate(vocabulary.pieces) if _is_noun(piece)]


@lru_cache(maxsize=1 << 18)
def _is_noun(piece: str) -> bool:
    return any("가" <= letter <= "힣" for letter in piece) and is_noun(piece)


def _nouns(text: str, sentences: Sequence[tuple[int, int]]) -> list[Span]:
    """Single morphemes NNG and NNP of two or more syllables: the reference metrics' nouns."""
    return [
        Span(start + token.start, start + token.end, token.form)
        for start, end in sentences
        for token in kiwi().tokenize(text[start:end])
        if token.tag in CORE_TAGS and token.len >= 2 and token.len == len(token.form)
    ]


def _item(
    bench: Workbench,
    kind: Kind,
    start: int,
    end: int,
    gold: list[str],
    seq_len: int,
    vocabulary: Vocabulary,
    nouns: Sequence[Span],
) -> SeedItem:
    """Cut the window, put ONE mask for the word and keep it within the length."""
    text, reach = bench.document.text, WINDOW * seq_len // 512
    left = vocabulary.tokenise(text[max(0, start - reach) : start]).ids
    right = vocabulary.tokenise(text[end : end + reach]).ids
    room = seq_len - 3
    keep_left = min(len(left), max(room // 2, room - len(right)))
    left = left[len(left) - keep_left :]
    right = right[: room - keep_left]
    # nouns of the window, without those that the mask hides
    seen = [
        noun
        for noun in nouns
        if start - reach <= noun.start
        and noun.end <= end + reach
        and (noun.end <= start or noun.start >= end)
    ]
    near = sorted(seen, key=lambda noun: start - noun.end if noun.end <= start else noun.start - end)
    return SeedItem(
        id=f"{kind}/{bench.document.doc_id}:{start}-{end}",
        kind=kind,
        document=bench.table.unit,
        ids=[*left, vocabulary.mask, *right],
        mask=len(left),
        gold=[normalise(word) for word in gold],
        frequent=[normalise(word) for word, _ in Counter(noun.text for noun in seen).most_common(LISTED)],
        nearest=[normalise(word) for word in dict.fromkeys(noun.text for noun in near)][:LISTED],
    )
